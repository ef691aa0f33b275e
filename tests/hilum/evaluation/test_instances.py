import numpy as np
import pytest
from skimage.measure import label as label_by_skimage

from hilum.evaluation.instances import found_instances, true_instances
from tests.hilum.evaluation.boxes import detections

EMPTY = np.zeros((2, 20, 20), np.float32)


def test_touching_classes_are_one_lesion_and_one_of_each_class() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[2:10, 2:6], labels[2:10, 6:10] = 1, 2

    assert len(true_instances(labels, None)) == 1
    assert len(true_instances(labels, 1)) == 1
    assert len(true_instances(labels, 2)) == 1
    assert true_instances(labels, 2).masks[0].sum() == 32


def test_true_lesions_are_the_components_that_skimage_finds() -> None:
    noise = np.random.default_rng(4).random((60, 60)) > 0.55
    labels = noise.astype(np.uint8)
    pieces = label_by_skimage(labels, connectivity=2)
    areas = np.bincount(pieces.ravel())[1:]

    found = true_instances(labels, None)

    assert sorted(found.masks.sum(axis=(1, 2))) == sorted(areas[areas >= 12])


def test_a_box_is_a_lesion_with_its_own_score_and_place() -> None:
    given = detections([(2, 3, 12, 13), (14, 14, 20, 20)], [0.9, 0.2], [1, 2])

    found = found_instances(given, EMPTY, None, threshold=0.5, reading="boxes")

    assert found.scores == pytest.approx([0.9, 0.2])
    assert found.masks[0].sum() == 100
    assert found.masks[0, 3:13, 2:12].all()


def test_of_two_classes_in_one_place_the_better_stays_among_merged_lesions() -> None:
    given = detections([(2, 2, 12, 12), (2, 2, 12, 13)], [0.9, 0.8], [1, 2])

    assert found_instances(
        given, EMPTY, None, threshold=0.5, reading="boxes"
    ).scores == pytest.approx([0.9])
    assert found_instances(given, EMPTY, 2, threshold=0.5, reading="boxes").scores == pytest.approx(
        [0.8]
    )


def test_a_box_whose_mask_is_faint_everywhere_is_no_lesion() -> None:
    given = detections([(2, 2, 12, 12)], [0.9], [1])
    given.masks[:] = 0.4

    assert not len(found_instances(given, EMPTY, None, threshold=0.5, reading="boxes"))


def test_a_map_is_read_as_the_components_at_the_operating_point() -> None:
    probabilities = EMPTY.copy()
    probabilities[0, 2:8, 2:8] = 0.6
    probabilities[1, 8:12, 2:8] = 0.9
    probabilities[0, 15:19, 15:19] = 0.4

    def read(label: int | None) -> list[float]:
        found = found_instances(
            detections([], [], []), probabilities, label, threshold=0.5, reading="map"
        )
        return found.scores.tolist()

    assert read(None) == pytest.approx([(36 * 0.6 + 24 * 0.9) / 60])
    assert read(1) == pytest.approx([0.6])
    assert read(2) == pytest.approx([0.9])


def test_nothing_found_is_an_empty_stack_of_the_right_shape() -> None:
    for reading in ("boxes", "map"):
        found = found_instances(detections([], [], []), EMPTY, None, threshold=0.5, reading=reading)
        assert found.masks.shape == (0, 20, 20)
