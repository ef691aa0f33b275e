import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage

from cli.main import hilum
from tests.hilum.dicom.deidentify.planted import WORDS, as_file, left_of, named
from tests.phantoms import zipped


def run(*arguments: object) -> Result:
    return CliRunner().invoke(hilum, ["deidentify", *map(str, arguments)])


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two slices that name their patient, as their files do."""
    folder = tmp_path / "Okonkwo"
    folder.mkdir()
    for number in range(2):
        (folder / f"Adaeze-{number}.dcm").write_bytes(as_file(named(number)))
    return folder


def test_a_folder_is_written_without_its_patient(study: Path, tmp_path: Path) -> None:
    result = run(study, "--out", tmp_path / "out", "--key", tmp_path / "key")

    assert result.exit_code == 0, result.output
    written = list((tmp_path / "out").rglob("*.dcm"))
    assert len(written) == 2
    assert left_of(WORDS, b"".join(path.read_bytes() for path in written)) == []
    assert "PatientName" in result.stdout
    assert "Wrote 2 files" in result.stderr


def test_nothing_that_is_printed_names_anybody(study: Path, tmp_path: Path) -> None:
    capture = named()
    capture.SOPClassUID = SecondaryCaptureImageStorage
    (study / "Percival.dcm").write_bytes(as_file(capture))
    (study / "Blessing.txt").write_text("Okonkwo")

    for arguments in ([], ["--json"]):
        result = run(study, "--out", tmp_path / "out", *arguments)

        assert result.exit_code == 0, result.output
        assert left_of(WORDS, result.output.encode()) == []
        assert "[not_deidentifiable]" in result.stderr
        assert "Passed over 1 files" in result.stderr


def test_a_key_is_made_once_for_its_owner_alone_and_gives_the_same_names_again(
    study: Path, tmp_path: Path
) -> None:
    key = tmp_path / "key"

    names = set()
    for out in ("one", "two"):
        assert run(study, "--out", tmp_path / out, "--key", key).exit_code == 0
        names |= {path.name for path in (tmp_path / out).rglob("*.dcm")}

    assert len(names) == 2
    assert key.stat().st_mode & 0o777 == 0o600


def test_without_a_key_the_names_are_others_each_time(study: Path, tmp_path: Path) -> None:
    names = set()
    for out in ("one", "two"):
        assert run(study, "--out", tmp_path / out).exit_code == 0
        names |= {path.name for path in (tmp_path / out).rglob("*.dcm")}

    assert len(names) == 4


def test_options_are_those_of_the_profile(study: Path, tmp_path: Path) -> None:
    result = run(
        study, "--out", tmp_path / "out", "--dates", "full", "--retain", "uids",
        "--retain", "patient", "--clean-descriptors", "--json",
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["counts"]["shifted"] == 0
    dataset = dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert dataset.StudyDate == "20200401"
    assert dataset.StudyInstanceUID == named().StudyInstanceUID
    assert dataset.PatientSex == "F"
    assert dataset.SeriesDescription == "Chest lung kernel"
    codes = {code.CodeValue for code in dataset.DeidentificationMethodCodeSequence}
    assert codes == {"113100", "113105", "113106", "113108", "113110"}


def test_a_zip_is_unpacked(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "study.zip", [named(0), named(1)])

    result = run(archive, "--out", tmp_path / "out")

    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 2


def test_the_folder_to_write_to_lies_elsewhere(study: Path) -> None:
    result = run(study, "--out", study / "out")

    assert result.exit_code == 2
    assert "lies within SOURCE" in result.stderr


def test_a_key_that_is_too_short_is_a_wrong_setting(study: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("short\n")

    result = run(study, "--out", tmp_path / "out", "--key", tmp_path / "key")

    assert result.exit_code == 2
    assert "[missing_setting]" in result.stderr


def test_where_nothing_can_be_taken_it_says_why(tmp_path: Path) -> None:
    capture, text = tmp_path / "capture.dcm", tmp_path / "text"
    dataset = named()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    capture.write_bytes(as_file(dataset))
    text.write_text("Okonkwo")

    refused, passed = (run(path, "--out", tmp_path / "out") for path in (capture, text))

    assert refused.exit_code == passed.exit_code == 1
    assert "[not_deidentifiable]" in refused.stderr
    assert "[no_dicom]" in passed.stderr
