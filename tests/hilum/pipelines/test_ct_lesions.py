"""The whole pipeline: what was planted is found, what is healthy stays clean, by real weights."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import hilum
from hilum.catalogue import CT_LESIONS
from hilum.errors import NoDicom, UnknownNetwork
from hilum.findings import Analysis
from hilum.grading import MOSMED, Verdict
from hilum.jobs import Stage
from hilum.networks.weights import load
from hilum.phantom import Phantom, make_phantom
from hilum.pipelines.analyse import analyse_fully
from hilum.pipelines.lungs import STEPS
from hilum.pipelines.one_slice import analyse_slice
from tests.archives import unpacked
from tests.phantoms import healthy, write_chest, zip_chest


def test_planted_lesions_are_found_with_their_volume(ill: Phantom, analysis: Analysis) -> None:
    assert analysis.report.total.lesion_ml == pytest.approx(ill.lesion_ml, rel=0.35)


def test_masks_lie_where_the_lesions_were_planted(ill: Phantom, analysis: Analysis) -> None:
    found, planted = analysis.lesions > 0, ill.lesions > 0

    overlap = np.count_nonzero(found & planted)

    assert 2 * overlap / (np.count_nonzero(found) + np.count_nonzero(planted)) > 0.6


def test_lung_volume_is_that_of_the_phantom(ill: Phantom, analysis: Analysis) -> None:
    assert analysis.report.total.lung_ml == pytest.approx(ill.lung_ml, rel=0.05)


def test_the_verdict_is_the_one_that_the_planted_share_earns(
    ill: Phantom, analysis: Analysis
) -> None:
    assert MOSMED.finding_from < ill.lesion_share < MOSMED.alarming_share
    assert analysis.report.assessment.verdict is Verdict.MILD


def test_masks_stay_inside_the_lungs(analysis: Analysis) -> None:
    assert not (analysis.lesions[analysis.lungs == 0]).any()


def test_findings_add_up_to_the_burden(analysis: Analysis) -> None:
    report = analysis.report

    assert sum(one.volume_ml for one in report.findings) == pytest.approx(report.total.lesion_ml)
    assert report.right.lesion_ml + report.left.lesion_ml == pytest.approx(report.total.lesion_ml)


def test_a_report_tells_what_made_it(analysis: Analysis) -> None:
    report = analysis.report

    assert (report.pipeline, report.pipeline_version) == (CT_LESIONS.name, CT_LESIONS.version)
    assert report.code_version == hilum.__version__
    assert len(report.network.sha256) == 64
    assert report.assessment.thresholds == MOSMED.version
    assert list(report.timings_s) == ["reading", "lungs", "slices", "measuring"]
    assert report.to_json()["total"]["share"] == pytest.approx(report.total.share)


def test_progress_passes_every_stage_in_order(tmp_path: Path) -> None:
    heard: list[tuple[Stage, int, int]] = []

    analyse_fully(
        write_chest(tmp_path, healthy()),
        device="cpu",
        progress=lambda *step: heard.append(step),
    )

    order = list(dict.fromkeys(stage for stage, _, _ in heard))
    assert order == [Stage.READING, Stage.LUNGS, Stage.SLICES, Stage.MEASURING]
    assert all(0 <= done <= total for _, done, total in heard)
    assert sum(stage is Stage.SLICES and total > 1 for stage, _, total in heard) > 3


def test_between_two_reports_of_progress_lies_one_step_of_a_stage(tmp_path: Path) -> None:
    heard: dict[Stage, list[tuple[int, int]]] = {stage: [] for stage in Stage}

    analyse_fully(
        write_chest(tmp_path, make_phantom(slices=8, size_px=128)),
        device="cpu",
        progress=lambda stage, *step: heard[stage].append(step),
    )

    assert [done for done, total in heard[Stage.LUNGS] if total == STEPS] == [*range(1, STEPS + 1)]
    assert [done for done, total in heard[Stage.MEASURING] if total == 3] == [1, 2]
    assert [done for done, total in heard[Stage.READING] if total == 8] == [*range(9)]
    counted = [done for done, total in heard[Stage.SLICES] if total > 1]
    assert max(after - before for before, after in pairwise(counted)) <= load("resnet50").batch


def test_a_healthy_chest_reads_as_no_finding_from_a_zip(tmp_path: Path) -> None:
    # Whole, at seven millimetres: thicker slices blur vessels and liver into what looks like glass.
    fine = make_phantom(lesions=())

    report = hilum.analyse(zip_chest(tmp_path / "study.zip", fine), device="cpu")

    assert report.total.share < MOSMED.finding_from
    assert report.assessment.verdict is Verdict.NO_FINDING


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear colleague")

    with pytest.raises(NoDicom):
        hilum.analyse(tmp_path, device="cpu")


def test_a_network_that_is_not_there_is_refused_before_the_study_is_read(tmp_path: Path) -> None:
    with pytest.raises(UnknownNetwork, match="'resnet9000'; there is"):
        hilum.analyse(tmp_path, network="resnet9000")


def test_a_real_chest_without_covid_reads_near_zero(shared_data: Path, tmp_path: Path) -> None:
    study = unpacked(shared_data / "dicom-studies.tar.xz", tmp_path) / "dicom-studies"

    report = hilum.analyse(study / "lung-dx-A0001", device="cpu")

    # A tumour of the left upper lobe with its shadow is what is there to find.
    assert report.total.share < 0.02
    assert report.assessment.verdict in {Verdict.NO_FINDING, Verdict.MILD}
    assert len(report.slices) == 64
    assert "kernel" in report.series_reason
    assert len(report.series_passed) == 1


@pytest.mark.parametrize(
    ("patient", "ill"),
    [("A002304", True), ("A056642", True), ("A058062", False), ("A062055", False)],
)
def test_real_slices_show_lesions_where_there_are_lungs_with_them(
    shared_data: Path, tmp_path: Path, patient: str, *, ill: bool
) -> None:
    slices = unpacked(shared_data / "dicom-slices.tar.xz", tmp_path) / "dicom-slices"
    folder = slices / "ny-sbu" / patient / "axial"

    reports = [analyse_slice(path, device="cpu").report for path in sorted(folder.iterdir())]

    shares = [one.lesion_mm2 / one.lung_mm2 if one.lung_mm2 else 0.0 for one in reports]
    # Bowel below the lungs is gas and tissue, neither lung nor lesion.
    assert all(share > 0.05 for share in shares) if ill else not any(shares)
