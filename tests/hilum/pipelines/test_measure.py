"""Millilitres, shares and findings are counted from masks whose answers are known."""

import numpy as np
import pytest

from hilum.catalogue import CT_LESIONS
from hilum.findings import LEFT_LUNG, RIGHT_LUNG
from hilum.pipelines.measure import join_findings, measure_burden, measure_slices
from hilum.pipelines.slices import Lesions
from hilum.volume import Volume
from tests.analyses import volume_of
from tests.phantoms import chest

LABELS = CT_LESIONS.labels
GROUND_GLASS, CONSOLIDATION = 1, 2


@pytest.fixture
def volume() -> Volume:
    """Twenty slices of 40 x 40, five millimetres apart, one millimetre a pixel: 0.005 ml each."""
    voxels = np.full((20, 40, 40), -850, np.int16)
    return Volume(voxels, np.diag([5.0, 1, 1, 1])[[2, 1, 0, 3]], tuple(map(str, range(20))))


@pytest.fixture
def lungs() -> np.ndarray:
    lungs = np.zeros((20, 40, 40), np.uint8)
    lungs[:, :, :20], lungs[:, :, 20:] = RIGHT_LUNG, LEFT_LUNG
    return lungs


def lesions_of(labels: np.ndarray) -> Lesions:
    return Lesions(labels, np.where(labels > 0, 204, 0).astype(np.uint8))


def test_a_lesion_is_joined_across_slices_even_when_it_shifts(
    volume: Volume, lungs: np.ndarray
) -> None:
    labels = np.zeros_like(lungs)
    labels[5, 10:15, 4:9] = labels[6, 15:20, 9:14] = GROUND_GLASS

    (finding,) = join_findings(volume, lungs, lesions_of(labels), LABELS)

    assert (finding.first_slice, finding.last_slice) == (5, 6)
    assert finding.box == ((5, 10, 4), (7, 20, 14))
    assert finding.volume_ml == pytest.approx(50 * 0.005)
    assert finding.lung_share == pytest.approx(50 / lungs.size)
    assert (finding.lung, finding.label) == ("right", "ground-glass opacity")
    assert finding.score == pytest.approx(0.8)


def test_findings_are_numbered_by_falling_volume_and_classes_kept_apart(
    volume: Volume, lungs: np.ndarray
) -> None:
    labels = np.zeros_like(lungs)
    labels[5, 0:5, 0:10] = GROUND_GLASS
    labels[5, 5:15, 0:10] = CONSOLIDATION
    labels[15, 0:8, 30:40] = GROUND_GLASS

    findings = join_findings(volume, lungs, lesions_of(labels), LABELS)

    assert [(one.number, one.label, one.lung) for one in findings] == [
        (1, "consolidation", "right"),
        (2, "ground-glass opacity", "left"),
        (3, "ground-glass opacity", "right"),
    ]


def test_mean_density_is_that_of_the_lesion_alone(volume: Volume, lungs: np.ndarray) -> None:
    labels = np.zeros_like(lungs)
    labels[5, 0:10, 0:10] = CONSOLIDATION
    volume.voxels[labels > 0] = -40

    (finding,) = join_findings(volume, lungs, lesions_of(labels), LABELS)

    assert finding.mean_hu == pytest.approx(-40)


def test_specks_are_no_findings_and_leave_the_mask(volume: Volume, lungs: np.ndarray) -> None:
    labels = np.zeros_like(lungs)
    labels[5, 0:4, 0:4] = GROUND_GLASS
    lesions = lesions_of(labels)

    assert join_findings(volume, lungs, lesions, LABELS) == ()
    assert not lesions.labels.any()
    assert not lesions.probability.any()


def test_burden_is_counted_for_each_lung_and_both(volume: Volume, lungs: np.ndarray) -> None:
    labels = np.zeros_like(lungs)
    labels[:10, :, :20] = GROUND_GLASS
    labels[:5, :20, 20:] = CONSOLIDATION

    right, left, total = measure_burden(volume, lungs, labels, LABELS)

    assert (right.share, left.share) == pytest.approx((0.5, 0.125))
    assert total.lung_ml == pytest.approx(lungs.size * 0.005)
    assert total.share == pytest.approx((8000 + 2000) / 32000)
    assert total.by_label == pytest.approx({"ground-glass opacity": 40.0, "consolidation": 10.0})


def test_no_lung_has_no_share(volume: Volume, lungs: np.ndarray) -> None:
    nothing = np.zeros_like(lungs)

    *_, total = measure_burden(volume, nothing, nothing, LABELS)

    assert (total.lung_ml, total.share) == (0.0, 0.0)


def test_areas_are_counted_slice_by_slice(volume: Volume, lungs: np.ndarray) -> None:
    labels = np.zeros_like(lungs)
    labels[3, :10, :10] = GROUND_GLASS

    slices = measure_slices(volume, lungs, labels)

    assert [one.lesion_mm2 for one in slices[2:5]] == [0, 100, 0]
    assert {one.lung_mm2 for one in slices} == {1600}
    assert [one.instance_uid for one in slices[:2]] == ["0", "1"]


def test_the_phantoms_lesions_are_measured_to_the_millilitre() -> None:
    phantom = chest()
    volume = volume_of(phantom)

    findings = join_findings(volume, phantom.lungs, lesions_of(phantom.lesions.copy()), LABELS)

    expected_ml = np.count_nonzero(phantom.lesions) * volume.voxel_ml
    assert sum(one.volume_ml for one in findings) == pytest.approx(expected_ml, rel=0.01)
