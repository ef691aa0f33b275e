import random
import shutil
import subprocess
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from hilum.dicom.read import read_slice, read_slices, read_study, read_volume
from hilum.dicom.selection import choose_ct_series
from hilum.errors import (
    MissingSpacing,
    MixedStudies,
    NoCtSeries,
    NoDicom,
    UnreadablePixels,
    UnsupportedTransferSyntax,
)
from hilum.jobs import JobStopped, Stage
from hilum.volume import Volume
from tests import phantoms
from tests.phantoms import LOSSLESS, chest
from tests.programs import installed


def read(folder: Path) -> Volume:
    return read_volume(choose_ct_series(read_study(folder)).series)


# ── Studies ───────────────────────────────────────────────────────────────────────────────────


def test_folder_is_read_with_its_folders_inside(tmp_path: Path) -> None:
    slices = chest().datasets()
    phantoms.write(tmp_path / "one", slices[:5])
    phantoms.write(tmp_path / "two" / "deep", slices[5:])

    study = read_study(tmp_path)

    assert study.study_uid == slices[0].StudyInstanceUID
    assert study.study_date == "20200401"
    assert [len(series.instances) for series in study.series] == [len(slices)]


def test_study_can_be_read_from_a_list_of_files(tmp_path: Path) -> None:
    paths = chest().write_dicom(tmp_path)

    study = read_study(iter(paths[:7]))

    assert {instance.path for instance in study.series[0].instances} == set(paths[:7])


def test_series_carry_their_headers(tmp_path: Path) -> None:
    phantoms.write_chest(tmp_path)

    series = read_study(tmp_path).series[0]

    assert (series.modality, series.kernel) == ("CT", "LUNG")
    assert series.description == "Chest, lung kernel"
    assert series.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")


def test_larger_series_come_first(tmp_path: Path) -> None:
    slices = chest().datasets()
    phantoms.write(tmp_path, phantoms.as_series(slices[:4]))
    phantoms.write(tmp_path, slices)
    phantoms.write(tmp_path, phantoms.as_series(slices[:9]))

    assert [len(series.instances) for series in read_study(tmp_path).series] == [24, 9, 4]


def test_files_of_other_kinds_are_passed_over(tmp_path: Path) -> None:
    phantoms.write_chest(tmp_path)
    (tmp_path / "notes.txt").write_text("nothing to see")
    (tmp_path / "empty").touch()
    (tmp_path / "short").write_bytes(b"\x08\x00")
    (tmp_path / "noise").write_bytes(b"\x08\x00" + random.Random(1).randbytes(5000))
    (tmp_path / "preamble").write_bytes(bytes(128) + b"DICM")

    assert len(read_study(tmp_path).series[0].instances) == 24


def test_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")

    with pytest.raises(NoDicom, match="None of the 1 files"):
        read_study(tmp_path)


def test_two_studies_together_are_refused(tmp_path: Path) -> None:
    slices = chest().datasets()
    phantoms.write(tmp_path, slices)
    phantoms.write(tmp_path, phantoms.as_study(slices[:3]))

    with pytest.raises(MixedStudies, match="27 instances belong to 2 studies"):
        read_study(tmp_path)


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2.840/3", "", "1" * 65, "a.b"])
def test_instance_whose_uid_could_not_name_a_file_is_passed_over(tmp_path: Path, uid: str) -> None:
    slices = chest().datasets()
    with warnings.catch_warnings(action="ignore"):
        odd = phantoms.setting(slices[:1], None, SOPInstanceUID=uid)
        phantoms.write(tmp_path, [*odd, *slices[1:]])

    assert len(read_study(tmp_path).series[0].instances) == 23


# ── Volumes ───────────────────────────────────────────────────────────────────────────────────


def test_volume_of_a_phantom_is_the_phantom(tmp_path: Path) -> None:
    phantoms.write_chest(tmp_path)

    volume = read(tmp_path)

    np.testing.assert_array_equal(volume.voxels, chest().voxels)
    np.testing.assert_allclose(volume.affine, chest().affine, atol=1e-3)
    assert volume.instance_uids == chest().volume.instance_uids
    assert volume.warnings == ()


def test_order_of_files_and_numbers_does_not_matter(tmp_path: Path) -> None:
    slices = phantoms.reversed_numbers(chest().datasets())
    random.Random(3).shuffle(slices)
    phantoms.write(tmp_path, slices)

    np.testing.assert_array_equal(read(tmp_path).voxels, chest().voxels)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda uid: uid.keyword)
def test_lossless_compression_changes_no_voxel(tmp_path: Path, syntax: str) -> None:
    slices = chest().datasets()[8:14]
    phantoms.write(tmp_path, phantoms.compressed(slices, syntax))

    np.testing.assert_array_equal(read(tmp_path).voxels, chest().voxels[10:16])


def with_loss(folder: Path, syntax: UID) -> Path:
    """A few slices, compressed as scanners do that save space."""
    options = {JPEGBaseline8Bit: ["+eb"], JPEGExtended12Bit: ["+ee"]}
    slices = chest().datasets()[8:14]
    if syntax in options:
        program = installed("dcmcjpeg", package="dcmtk")
        for path in sorted(phantoms.write(folder / "plain", slices).iterdir()):
            target = folder / path.name
            subprocess.run([program, *options[syntax], path, target], check=True)
        shutil.rmtree(folder / "plain")
        return folder
    settings = {"jls_error": 2} if syntax == JPEGLSNearLossless else {"j2k_cr": [5]}
    for dataset in slices:
        dataset.compress(syntax, generate_instance_uid=False, **settings)
    return phantoms.write(folder, slices)


@pytest.mark.parametrize(
    ("syntax", "most_hu"), [(JPEGBaseline8Bit, 25), (JPEGLSNearLossless, 2), (JPEG2000, 20)]
)
def test_lossy_compression_changes_little(tmp_path: Path, syntax: UID, most_hu: float) -> None:
    voxels = read(with_loss(tmp_path, syntax)).voxels.astype(float)

    assert 0 < np.abs(voxels - chest().voxels[10:16]).mean() < most_hu


def test_jpeg_of_more_bits_than_its_decoders_read_is_refused_by_name(tmp_path: Path) -> None:
    with_loss(tmp_path, JPEGExtended12Bit)

    with pytest.raises(UnsupportedTransferSyntax, match=r"JPEG Extended .* of 12 bits"):
        read(tmp_path)


def test_prone_and_mirrored_slices_come_out_upright(tmp_path: Path) -> None:
    phantoms.write(tmp_path, phantoms.turned(chest().datasets(), rows=-1, columns=-1))

    volume = read(tmp_path)

    np.testing.assert_array_equal(volume.voxels, chest().voxels)
    np.testing.assert_allclose(volume.affine, chest().affine, atol=1e-3)


def test_rows_that_run_to_the_back_come_out_upright(tmp_path: Path) -> None:
    phantoms.write(tmp_path, phantoms.transposed(chest().datasets()))

    volume = read(tmp_path)

    np.testing.assert_array_equal(volume.voxels, chest().voxels)
    np.testing.assert_allclose(volume.affine, chest().affine, atol=1e-3)


def test_progress_is_reported_slice_by_slice(tmp_path: Path) -> None:
    phantoms.write_chest(tmp_path)
    seen: list[tuple[Stage, int, int]] = []

    read_volume(read_study(tmp_path).series[0], lambda *step: seen.append(step))

    assert seen == [(Stage.READING, done, 24) for done in range(25)]


def test_job_can_be_stopped_while_reading(tmp_path: Path) -> None:
    phantoms.write_chest(tmp_path)

    def stop(_stage: Stage, done: int, _total: int) -> None:
        if done == 3:
            raise JobStopped

    with pytest.raises(JobStopped):
        read_volume(read_study(tmp_path).series[0], stop)


def test_truncated_pixels_are_refused_by_instance(tmp_path: Path) -> None:
    phantoms.write(tmp_path, phantoms.truncated(chest().datasets(), 4))

    with pytest.raises(UnreadablePixels, match=r"Instance 4 .* cannot be decoded"):
        read(tmp_path)


def test_volume_is_held_in_memory_once(tmp_path: Path) -> None:
    phantoms.write_chest(tmp_path)
    series = read_study(tmp_path).series[0]
    read_volume(series)

    tracemalloc.start()
    volume = read_volume(series)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 1.5 * volume.voxels.nbytes


def test_real_study_is_read_from_its_lung_kernel(real_studies: Path) -> None:
    volume = read(real_studies / "lung-dx-A0001")

    assert volume.voxels.shape == (64, 512, 512)
    assert volume.spacing_mm == pytest.approx((5.0, 0.841797, 0.841797), abs=1e-5)
    # The shoulders are above the liver: a chest the right way up.
    assert volume.affine[2, 3] == -439.0
    assert volume.warnings == ()


# ── Single slices ─────────────────────────────────────────────────────────────────────────────


def test_single_slice_is_read_with_its_spacing(tmp_path: Path) -> None:
    paths = chest().write_dicom(tmp_path)

    image, spacing_mm = read_slice(paths[0])

    np.testing.assert_array_equal(image, chest().voxels[-1])
    assert spacing_mm == pytest.approx((400 / 192, 400 / 192))


def test_single_file_of_another_kind_is_refused_without_its_name(tmp_path: Path) -> None:
    path = tmp_path / "doe_jane.txt"
    path.write_text("nothing to see")

    with pytest.raises(NoDicom) as caught:
        read_slice(path)

    assert "doe" not in caught.value.message


def test_single_slice_without_spacing_is_refused(tmp_path: Path) -> None:
    slices = phantoms.without(chest().datasets()[:1], "PixelSpacing")
    phantoms.write(tmp_path, slices)

    with pytest.raises(MissingSpacing, match=r"Instance 2\.25"):
        read_slice(tmp_path / "0000.dcm")


def test_single_slice_of_another_modality_is_refused(tmp_path: Path) -> None:
    phantoms.write(tmp_path, phantoms.setting(chest().datasets()[:1], None, Modality="MR"))

    with pytest.raises(NoCtSeries, match="modality MR, expected CT"):
        read_slice(tmp_path / "0000.dcm")


def test_every_real_slice_is_read(real_slices: Path) -> None:
    paths = sorted(real_slices.rglob("*.dcm"))

    images = [read_slice(path)[0] for path in paths]

    assert len(images) == 30
    # The circle outside the scanner's view is padding, not matter.
    assert all(image.min() == -1024 and image.max() > 200 for image in images)


@pytest.mark.parametrize("way", ["as it is", "turned", "transposed"])
def test_slices_one_by_one_are_those_of_the_volume(tmp_path: Path, way: str) -> None:
    datasets = chest().datasets()
    if way == "turned":
        datasets = phantoms.turned(datasets, rows=-1, columns=-1)
    if way == "transposed":
        datasets = phantoms.transposed(datasets)
    phantoms.write(tmp_path, datasets)
    volume = read(tmp_path)
    paths = {dcmread(path).SOPInstanceUID: path for path in tmp_path.iterdir()}

    slices = list(read_slices((paths[uid], 0) for uid in volume.instance_uids))

    np.testing.assert_array_equal(np.stack(slices), volume.voxels)
