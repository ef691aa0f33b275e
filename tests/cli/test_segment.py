import json
from pathlib import Path

import nibabel
import pytest
from click.testing import CliRunner
from PIL import Image
from pydicom import dcmread

from cli.main import hilum
from tests.cli.conftest import small_chest
from tests.phantoms import chest, missing, write


def test_a_study_becomes_a_report_masks_and_pictures(small_study: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        hilum,
        ["segment", str(small_study), "--device", "cpu", "--json", "--out", str(tmp_path / "out")],
    )

    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    assert report["total"]["lung_ml"] == pytest.approx(small_chest().lung_ml, rel=0.15)
    for name in ("lesions", "lungs"):
        mask = nibabel.load(tmp_path / "out" / f"{name}.nii.gz")
        assert mask.shape == small_chest().voxels.shape[::-1]
    for name in ("segmentation", "measurements", "key-image", "document"):
        assert dcmread(tmp_path / "out" / f"{name}.dcm").PatientID.startswith("PHANTOM")
    for name in ("montage", "card"):
        with Image.open(tmp_path / "out" / f"{name}.png") as picture:
            assert min(picture.size) > 300


def test_a_single_slice_gets_areas_and_no_verdict(small_study: Path, tmp_path: Path) -> None:
    middle = sorted(small_study.iterdir())[6]

    result = CliRunner().invoke(hilum, ["segment", str(middle), "--out", str(tmp_path / "out")])

    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["lung_mm2"] > 10_000
    assert report["lesion_mm2"] == pytest.approx(sum(report["by_label"].values()))
    assert "assessment" not in report
    assert "One slice has no verdict." in result.stdout
    with Image.open(tmp_path / "out" / "overlay.png") as picture:
        assert picture.size == small_chest().voxels.shape[:0:-1]


def test_a_study_that_cannot_be_read_is_named_on_standard_error(tmp_path: Path) -> None:
    write(tmp_path / "gap", missing(chest().datasets(), [11]))

    result = CliRunner().invoke(hilum, ["segment", str(tmp_path / "gap")])

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "[missing_slices]" in result.stderr


def test_a_file_that_is_no_dicom_is_named(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear colleague")

    result = CliRunner().invoke(hilum, ["segment", str(tmp_path / "letter.txt")])

    assert result.exit_code == 1
    assert "[no_dicom]" in result.stderr


def test_a_network_without_weights_is_refused_by_name(small_study: Path) -> None:
    result = CliRunner().invoke(hilum, ["segment", str(small_study), "--network", "resnet18"])

    assert result.exit_code == 1
    assert "[unknown_network]" in result.stderr


@pytest.mark.parametrize("by", ["option", "environment"])
def test_a_hospitals_own_network_is_named_like_any_other(
    small_study: Path, site: Path, by: str
) -> None:
    middle = sorted(small_study.iterdir())[6]
    command = ["segment", str(middle), "--json"]

    if by == "option":
        result = CliRunner().invoke(hilum, [*command, "--network", "ward", "--site", str(site)])
    else:
        given = {"HILUM_NETWORK": "ward", "HILUM_WEIGHTS": str(site)}
        result = CliRunner().invoke(hilum, command, env=given)

    assert result.exit_code == 0, result.output
    used = json.loads(result.stdout)["network"]
    assert (used["name"], used["version"]) == ("maskrcnn-ward", "1.0.0")
