import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from highdicom.seg import Segmentation
from highdicom.sr import srread
from pydicom.dataset import Dataset

from hilum.catalogue import CT_LESIONS
from hilum.dicom.maker import to_bytes
from hilum.dicom.seg import segmentation
from hilum.dicom.sr import measurement_report
from hilum.findings import Analysis
from tests.hilum.dicom.results import analysis_in, errors_of
from tests.phantoms import chest, healthy, write_chest

LABELS = CT_LESIONS.labels


@pytest.fixture
def analysis(tmp_path: Path) -> Analysis:
    """An ill chest."""
    return analysis_in(write_chest(tmp_path / "ct"), chest())


@pytest.fixture
def lesions(analysis: Analysis) -> Segmentation:
    """Its lesions as segments."""
    return segmentation(analysis, LABELS)


def groups(analysis: Analysis, lesions: Segmentation) -> dict[str, Dataset]:
    """Write the report, read it back, and return its groups by their tracking identifier."""
    data = to_bytes(measurement_report(analysis, LABELS, lesions))
    content = srread(io.BytesIO(data)).content
    every = [
        *content.get_volumetric_roi_measurement_groups(),
        *content.get_image_measurement_groups(),
    ]
    return {group.tracking_identifier: group for group in every}


def numbers(group: Dataset) -> dict[str, float]:
    return {one.name.meaning: float(one.value) for one in group.get_measurements()}


def test_each_segment_with_a_lesion_has_volume_share_and_density(
    analysis: Analysis, lesions: Segmentation
) -> None:
    found = groups(analysis, lesions)

    mask = (analysis.lesions == 2) & (analysis.lungs == 2)
    volume_ml = np.count_nonzero(mask) * analysis.volume.voxel_ml
    said = numbers(found["consolidation, left lung"])
    assert said["Volume"] == pytest.approx(volume_ml)
    assert said["Segment volume over volume of both lungs"] == pytest.approx(
        100 * volume_ml / analysis.report.total.lung_ml
    )
    assert said["Attenuation Coefficient"] == pytest.approx(analysis.volume.voxels[mask].mean())


def test_groups_point_at_segments_and_carry_their_tracking_ids(
    analysis: Analysis, lesions: Segmentation
) -> None:
    found = groups(analysis, lesions)

    for one in lesions.SegmentSequence:
        group = found[one.SegmentLabel]
        assert group.tracking_uid == one.TrackingUID
        [image] = [item for item in _items(group[0]) if item.ValueType == "IMAGE"]
        referred = image.ReferencedSOPSequence[0]
        assert referred.ReferencedSOPInstanceUID == lesions.SOPInstanceUID
        assert referred.ReferencedSegmentNumber == one.SegmentNumber


def test_lungs_carry_volumes_grades_and_the_verdict(
    analysis: Analysis, lesions: Segmentation
) -> None:
    report, found = analysis.report, groups(analysis, lesions)

    both = found["both lungs"]
    assert numbers(both) == {
        "Volume of lung, lesions included": pytest.approx(report.total.lung_ml),
        "Volume of all lesions": pytest.approx(report.total.lesion_ml),
        "Lesion volume over lung volume": pytest.approx(100 * report.total.share),
    }
    said = {
        one.name.value: one.value.meaning
        for one in both.get_qualitative_evaluations()
        if one.name.scheme_designator == "99HILUM"
    }
    assert said == {"grade": "CT-1", "verdict": "Mild", "review": "No"}
    right = [one.value.meaning for one in found["right lung"].get_qualitative_evaluations()]
    assert report.assessment.grade_right in right


def test_a_healthy_chest_has_groups_of_lungs_alone(tmp_path: Path) -> None:
    analysis = analysis_in(write_chest(tmp_path, healthy()), healthy())

    found = groups(analysis, segmentation(analysis, LABELS))

    assert list(found) == ["right lung", "left lung", "both lungs"]
    assert numbers(found["both lungs"])["Volume of all lesions"] == 0


def test_the_network_is_named_down_to_its_weights(
    analysis: Analysis, lesions: Segmentation
) -> None:
    report = measurement_report(analysis, LABELS, lesions)

    texts = [item.TextValue for item in _items(report) if "TextValue" in item]
    assert analysis.report.network.name in texts
    assert f"SHA-256 of the weights: {analysis.report.network.sha256}" in texts


@pytest.mark.parametrize("phantom", [chest(), healthy()], ids=["ill", "healthy"])
def test_the_validator_holds_nothing_against_it(phantom: object, tmp_path: Path) -> None:
    analysis = analysis_in(write_chest(tmp_path / "ct", phantom), phantom)

    report = measurement_report(analysis, LABELS, segmentation(analysis, LABELS))

    assert errors_of(report, tmp_path) == []


def _items(content: Dataset) -> Iterator[Dataset]:
    for item in content.get("ContentSequence", ()):
        yield item
        yield from _items(item)
