import io
import zipfile
from pathlib import Path

import pytest

from cli.packing import Parcel
from hilum.errors import NoDicom


def ignore(_sent: int, _total: int) -> None:
    """Follow nothing."""


def names(data: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def test_a_folder_becomes_a_sound_zip_while_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "1.dcm").write_bytes(b"one" * 200_000)
    (tmp_path / "2.dcm").write_bytes(b"two")

    data = b"".join(Parcel.of(tmp_path).stream(ignore))

    assert names(data) == ["2.dcm", "series/1.dcm"]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.read("series/1.dcm") == b"one" * 200_000


def test_hidden_files_stay_at_home(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_bytes(b"junk")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_bytes(b"secret")
    (tmp_path / "1.dcm").write_bytes(b"one")

    assert names(b"".join(Parcel.of(tmp_path).stream(ignore))) == ["1.dcm"]


def test_a_zip_is_sent_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1.dcm", b"one")

    assert b"".join(Parcel.of(path).stream(ignore)) == path.read_bytes()


def test_one_file_is_sent_as_a_zip_of_one(tmp_path: Path) -> None:
    (tmp_path / "1.dcm").write_bytes(b"one")
    (tmp_path / "2.dcm").write_bytes(b"not asked for")

    assert names(b"".join(Parcel.of(tmp_path / "1.dcm").stream(ignore))) == ["1.dcm"]


def test_progress_grows_to_all_bytes_and_never_beyond(tmp_path: Path) -> None:
    (tmp_path / "1.dcm").write_bytes(b"1" * 1_000_000)
    (tmp_path / "2.dcm").write_bytes(b"2" * 500_000)
    seen: list[tuple[int, int]] = []

    list(Parcel.of(tmp_path).stream(lambda sent, total: seen.append((sent, total))))

    counts = [sent for sent, _ in seen]
    assert counts == sorted(counts)
    assert seen[-1] == (1_500_000, 1_500_000)
    assert {total for _, total in seen} == {1_500_000}


def test_a_large_file_is_never_held_whole(tmp_path: Path) -> None:
    (tmp_path / "1.dcm").write_bytes(bytes(8 * 1024 * 1024))

    chunks = [len(chunk) for chunk in Parcel.of(tmp_path).stream(ignore)]

    assert max(chunks) < 1024 * 1024


def test_an_empty_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NoDicom, match="holds no files"):
        Parcel.of(tmp_path)
