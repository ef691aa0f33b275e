import json
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage

from hilum.dicom.deidentify import Deidentifier, Export, Option, deidentify_file, deidentify_files
from hilum.dicom.read import read_study, read_volume
from hilum.dicom.selection import choose_ct_series
from hilum.errors import NoDicom
from tests.hilum.dicom.deidentify.planted import KEY, WORDS, as_file, left_of, named, slices


def study(folder: Path) -> Path:
    """Write a chest whose every slice names its patient; returns the folder."""
    folder.mkdir()
    for number in range(len(slices())):
        (folder / f"okonkwo-{number}.dcm").write_bytes(as_file(named(number)))
    return folder


def exported(folder: Path, out: Path, *options: Option) -> Export:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    chosen = frozenset(options or {Option.RETAIN_MODIFIED_DATES})
    return deidentify_files(paths, out, Deidentifier(KEY, chosen))


def everything_in(folder: Path) -> bytes:
    """Return what the files of a folder say, their names included."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"".join(str(path).encode() + path.read_bytes() for path in files)


def test_a_study_reads_as_before_and_names_nobody(tmp_path: Path) -> None:
    source = study(tmp_path / "in")

    export = exported(source, tmp_path / "out")

    assert export.written == len(slices())
    assert left_of(WORDS, everything_in(tmp_path / "out")) == []
    before, after = read_study(source), read_study(tmp_path / "out")
    chosen, again = choose_ct_series(before), choose_ct_series(after)
    assert again.reason == chosen.reason
    one, other = read_volume(chosen.series), read_volume(again.series)
    np.testing.assert_array_equal(one.voxels, other.voxels)
    np.testing.assert_array_equal(one.affine, other.affine)


def test_files_are_named_by_their_new_uids_alone(tmp_path: Path) -> None:
    exported(study(tmp_path / "in"), tmp_path / "out")

    for path in (tmp_path / "out").rglob("*.dcm"):
        dataset = dcmread(path)
        assert path.relative_to(tmp_path / "out") == Path(
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID, f"{dataset.SOPInstanceUID}.dcm"
        )


def test_the_same_files_give_the_same_bytes_another_day(tmp_path: Path) -> None:
    source = study(tmp_path / "in")

    for out in ("one", "two"):
        exported(source, tmp_path / out)

    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / out).rglob("*.dcm")}
        for out in ("one", "two")
    )
    assert one == two


def test_what_is_not_passed_on_is_counted_and_said_without_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "okonkwo"
    folder.mkdir()
    capture = named()
    capture.SOPClassUID = SecondaryCaptureImageStorage
    burned = named()
    burned.BurnedInAnnotation = "YES"
    for name, dataset in {"1": named(), "2": named(), "3": capture, "4": burned}.items():
        (folder / f"okonkwo-{name}").write_bytes(as_file(dataset))
    (folder / "okonkwo.txt").write_text("Okonkwo")

    export = exported(folder, tmp_path / "out")

    said = export.to_json()
    assert (said["written"], said["repeated"], said["passed_over"]) == (1, 1, 1)
    assert [(one["number"], one["code"]) for one in said["refused"]] == [
        (3, "not_deidentifiable"),
        (4, "burned_in_text"),
    ]
    assert left_of(WORDS, json.dumps(said).encode()) == []
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 1


def test_the_account_of_a_folder_adds_up(tmp_path: Path) -> None:
    export = exported(study(tmp_path / "in"), tmp_path / "out")

    changes = {change.keyword: change.count for change in export.account.changes}
    assert changes["SOPInstanceUID"] == changes["PatientName"] == len(slices())


def test_progress_is_told_file_by_file(tmp_path: Path) -> None:
    told: list[int] = []
    paths = sorted(study(tmp_path / "in").iterdir())[:3]

    deidentify_files(paths, tmp_path / "out", Deidentifier(KEY), told.append)

    assert told == [1, 2, 3]


def test_a_file_that_is_no_dicom_is_refused_without_its_name(tmp_path: Path) -> None:
    path = tmp_path / "okonkwo.txt"
    path.write_text("Okonkwo")

    with pytest.raises(NoDicom) as caught:
        deidentify_file(path, Deidentifier(KEY))

    assert left_of(WORDS, caught.value.message.encode()) == []


@pytest.mark.parametrize(
    "options", [{Option.RETAIN_MODIFIED_DATES}, {Option.CLEAN_DESCRIPTORS}], ids=["dates", "words"]
)
def test_a_real_study_reads_as_before(
    options: set[Option], real_studies: Path, tmp_path: Path
) -> None:
    source = real_studies / "lung-dx-A0001"

    export = exported(source, tmp_path / "out", *options)

    assert export.refused == ()
    before, after = read_study(source), read_study(tmp_path / "out")
    assert len(after.series) == len(before.series)
    chosen, again = choose_ct_series(before), choose_ct_series(after)
    assert again.reason == chosen.reason
    np.testing.assert_array_equal(
        read_volume(chosen.series).voxels, read_volume(again.series).voxels
    )
    first = dcmread(next(path for path in source.rglob("*.dcm")), stop_before_pixels=True)
    words = [str(first.PatientID), str(first.StudyInstanceUID), str(first.SeriesInstanceUID)]
    assert left_of(words, everything_in(tmp_path / "out")) == []
