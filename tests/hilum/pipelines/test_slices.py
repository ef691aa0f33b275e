"""The network sees the lungs' crop of slices with lung, and its masks come back in place."""

import numpy as np
import pytest

from hilum.jobs import JobStopped, Stage, ignore_progress
from hilum.networks.maskrcnn import Segmenter
from hilum.networks.weights import NETWORKS, load
from hilum.phantom import Phantom
from hilum.pipelines.slices import find_lesions
from tests.analyses import volume_of
from tests.networks import hold_at_most


def test_no_lung_costs_no_network(segmenter: Segmenter, ill: Phantom) -> None:
    volume = volume_of(ill)

    lesions = find_lesions(volume, np.zeros_like(ill.lungs), segmenter, ignore_progress)

    assert not lesions.labels.any()


def test_slices_without_lung_are_passed_over(segmenter: Segmenter, ill: Phantom) -> None:
    lungs = ill.lungs.copy()
    lungs[:6] = lungs[9:] = 0
    totals = set[int]()

    def count(_stage: Stage, _done: int, total: int) -> None:
        totals.add(total)

    lesions = find_lesions(volume_of(ill), lungs, segmenter, count)

    assert totals == {3}
    assert not lesions.labels[:6].any()
    assert lesions.labels[6:9].any()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_shipped_network_finds_the_lesions_of_a_phantom(name: str, ill: Phantom) -> None:
    lungs = ill.lungs.copy()
    lungs[:5] = lungs[11:] = 0

    lesions = find_lesions(volume_of(ill), lungs, load(name, device="cpu"), ignore_progress)

    found, planted = lesions.labels > 0, (ill.lesions > 0) & (lungs > 0)
    overlap = np.count_nonzero(found & planted)
    assert 2 * overlap / (np.count_nonzero(found) + np.count_nonzero(planted)) > 0.75


def test_probability_is_kept_where_a_label_is_and_nowhere_else(
    segmenter: Segmenter, ill: Phantom
) -> None:
    lungs = ill.lungs.copy()
    lungs[:6] = lungs[7:] = 0

    lesions = find_lesions(volume_of(ill), lungs, segmenter, ignore_progress)

    assert np.array_equal(lesions.labels > 0, lesions.probability > 0)
    least = lesions.probability[lesions.labels > 0].min() / 255
    assert least == pytest.approx(segmenter.info.operating_point, abs=0.05)


def test_a_job_that_is_stopped_ends_between_two_batches(segmenter: Segmenter, ill: Phantom) -> None:
    steps: list[int] = []

    def stop(_stage: Stage, done: int, _total: int) -> None:
        steps.append(done)
        if done:
            raise JobStopped

    with pytest.raises(JobStopped):
        find_lesions(volume_of(ill), ill.lungs, segmenter, stop)

    assert steps == [0, segmenter.batch]


def test_memory_that_runs_short_in_the_middle_costs_no_slice(
    segmenter: Segmenter, ill: Phantom
) -> None:
    lungs = ill.lungs.copy()
    lungs[:2] = lungs[11:] = 0
    volume, whole = volume_of(ill), segmenter.batch
    segmenter.batch = 2
    undisturbed = find_lesions(volume, lungs, segmenter, ignore_progress)
    scarce, steps = load("resnet50", device="cpu"), list[int]()
    tried = hold_at_most(scarce, 2)

    disturbed = find_lesions(volume, lungs, scarce, lambda _stage, done, _: steps.append(done))

    segmenter.batch = whole
    assert tried == [4, 2, 2, 2, 2, 1]
    assert steps == [0, 4, 6, 8, 9]
    assert scarce.batch == whole
    assert np.array_equal(disturbed.labels, undisturbed.labels)
    assert np.array_equal(disturbed.probability, undisturbed.probability)
