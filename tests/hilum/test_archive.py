import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import pytest

from hilum.archive import Limits, _telling_a_full_disk, unpack
from hilum.errors import (
    BrokenZip,
    EmptyUpload,
    EncryptedZip,
    HilumError,
    NestedZip,
    NotZip,
    StorageFull,
    TooManyFiles,
    UnsafePath,
    ZipBomb,
)

LIMITS = Limits(max_unpacked_bytes=10_000_000, max_ratio=200, max_files=50)
SLICE = bytes(range(256)) * 40


def make_zip(path: Path, files: dict[str, bytes], *, compression: int = ZIP_DEFLATED) -> Path:
    with ZipFile(path, "w", compression) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return path


def patched(path: Path, change: Callable[[bytearray], None]) -> Path:
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)
    return path


def central_headers(content: bytes | bytearray) -> list[int]:
    places = [content.find(b"PK\x01\x02")]
    while (following := content.find(b"PK\x01\x02", places[-1] + 1)) >= 0:
        places.append(following)
    return places


def test_files_are_unpacked_in_order_under_numbers(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"study/b.dcm": SLICE, "study/a.dcm": b"other"})

    paths = unpack(archive, tmp_path / "out", LIMITS)

    assert [path.name for path in paths] == ["000000", "000001"]
    assert [path.read_bytes() for path in paths] == [SLICE, b"other"]


def test_files_that_systems_add_are_passed_over(tmp_path: Path) -> None:
    junk = ["__MACOSX/._a", "x/.DS_Store", "DICOMDIR", "x/Thumbs.db", "x/._a.dcm"]
    archive = make_zip(tmp_path / "a.zip", {"x/a.dcm": SLICE} | dict.fromkeys(junk, b"junk"))

    paths = unpack(archive, tmp_path / "out", LIMITS)

    assert [path.read_bytes() for path in paths] == [SLICE]


def test_folders_are_passed_over(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with ZipFile(archive, "w") as target:
        target.mkdir("study")
        target.writestr("study/a.dcm", SLICE)

    assert len(unpack(archive, tmp_path / "out", LIMITS)) == 1


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "study/../../evil",
        "/etc/evil",
        "..\\evil",
        "C:\\evil",
        "c:evil",
        "\\\\host\\evil",
        "a/..",
    ],
)
def test_name_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    archive = make_zip(tmp_path / "a.zip", {"ok.dcm": SLICE, name: SLICE})

    with pytest.raises(UnsafePath, match="entry 2"):
        unpack(archive, tmp_path / "out", LIMITS)

    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("kind", [0o120777, 0o020666, 0o010666], ids=["link", "device", "pipe"])
def test_entry_that_is_no_file_is_refused(tmp_path: Path, kind: int) -> None:
    archive = tmp_path / "a.zip"
    entry = ZipInfo("link")
    entry.create_system = 3
    entry.external_attr = kind << 16
    with ZipFile(archive, "w") as target:
        target.writestr(entry, "/etc/passwd")

    with pytest.raises(UnsafePath, match="link or a device"):
        unpack(archive, tmp_path / "out", LIMITS)


def test_bomb_by_ratio_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"zeros": bytes(5_000_000)})

    with pytest.raises(ZipBomb, match="times its size, expected at most 200 times"):
        unpack(archive, tmp_path / "out", LIMITS)


def test_bomb_by_total_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    files = {f"{number}": bytes(1_000_000) for number in range(12)}
    archive = make_zip(tmp_path / "a.zip", files, compression=ZIP_STORED)

    with pytest.raises(ZipBomb, match="12000000 bytes or more, expected at most 10000000"):
        unpack(archive, tmp_path / "out", LIMITS)


def test_bomb_whose_directory_lies_about_its_size_is_not_unpacked(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"zeros": bytes(5_000_000)})

    def claim_ten_bytes(content: bytearray) -> None:
        struct.pack_into("<I", content, central_headers(content)[0] + 24, 10)

    with pytest.raises(BrokenZip):
        unpack(patched(archive, claim_ten_bytes), tmp_path / "out", LIMITS)

    assert list((tmp_path / "out").iterdir()) == []


def test_bomb_of_overlapping_entries_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a": SLICE, "b": SLICE, "c": SLICE})

    def share_the_first_entry(content: bytearray) -> None:
        for place in central_headers(content):
            struct.pack_into("<I", content, place + 42, 0)

    with pytest.raises(ZipBomb, match="overlap"):
        unpack(patched(archive, share_the_first_entry), tmp_path / "out", LIMITS)


@pytest.mark.parametrize("flag", [0x1, 0x40], ids=["traditional", "strong"])
def test_encrypted_archive_is_refused(tmp_path: Path, flag: int) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a.dcm": SLICE})

    def encrypt(content: bytearray) -> None:
        content[6] |= flag
        content[central_headers(content)[0] + 8] |= flag

    with pytest.raises(EncryptedZip):
        unpack(patched(archive, encrypt), tmp_path / "out", LIMITS)


def test_archive_in_the_archive_is_refused_whatever_its_name(tmp_path: Path) -> None:
    inner = make_zip(tmp_path / "inner.zip", {"a.dcm": SLICE}).read_bytes()
    archive = make_zip(tmp_path / "a.zip", {"good.dcm": SLICE, "harmless.dcm": inner})

    with pytest.raises(NestedZip):
        unpack(archive, tmp_path / "out", LIMITS)

    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "start",
    [
        b"\x1f\x8b\x08",
        b"7z\xbc\xaf\x27\x1c",
        b"Rar!\x1a\x07",
        b"BZh9",
        b"\xfd7zXZ\x00",
        b"." * 257 + b"ustar",
    ],
)
def test_other_kinds_of_archive_inside_are_refused(tmp_path: Path, start: bytes) -> None:
    archive = make_zip(tmp_path / "a.zip", {"x.dcm": start + SLICE})

    with pytest.raises(NestedZip):
        unpack(archive, tmp_path / "out", LIMITS)


def test_empty_upload_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.touch()

    with pytest.raises(EmptyUpload, match="0 bytes"):
        unpack(archive, tmp_path / "out", LIMITS)


@pytest.mark.parametrize("files", [{}, {"DICOMDIR": b"junk"}], ids=["no file", "junk alone"])
def test_archive_without_a_file_to_read_is_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    archive = make_zip(tmp_path / "a.zip", files)

    with pytest.raises(EmptyUpload, match="no file to read"):
        unpack(archive, tmp_path / "out", LIMITS)


@pytest.mark.parametrize("content", [b"x", b"plain text, not an archive" * 9, bytes(70_000)])
def test_upload_that_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(content)

    with pytest.raises(NotZip):
        unpack(archive, tmp_path / "out", LIMITS)


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.99])
def test_archive_cut_short_is_refused(tmp_path: Path, kept: float) -> None:
    archive = make_zip(tmp_path / "a.zip", {f"{n}.dcm": SLICE * (n + 1) for n in range(9)})

    def cut(content: bytearray) -> None:
        del content[int(len(content) * kept) :]

    with pytest.raises(BrokenZip):
        unpack(patched(archive, cut), tmp_path / "out", LIMITS)


def test_damaged_file_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a.dcm": b"good", "b.dcm": SLICE * 9})

    def damage(content: bytearray) -> None:
        middle = central_headers(content)[0] // 2
        content[middle : middle + 8] = bytes(8)

    with pytest.raises(BrokenZip):
        unpack(patched(archive, damage), tmp_path / "out", LIMITS)

    assert list((tmp_path / "out").iterdir()) == []


def test_rare_compression_is_refused_by_its_number(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a.dcm": SLICE}, compression=zipfile.ZIP_LZMA)

    with pytest.raises(BrokenZip, match="compression method 14"):
        unpack(archive, tmp_path / "out", LIMITS)


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {f"{number}": b"x" for number in range(51)})

    with pytest.raises(TooManyFiles, match="51 files, expected at most 50"):
        unpack(archive, tmp_path / "out", LIMITS)


def test_huge_directory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {f"{number}": b"" for number in range(3000)})

    with pytest.raises(TooManyFiles, match="directory of the zip archive takes"):
        unpack(archive, tmp_path / "out", LIMITS)


def test_zip64_archive_is_read(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with ZipFile(archive, "w") as target, target.open("a.dcm", "w", force_zip64=True) as entry:
        entry.write(SLICE)

    assert unpack(archive, tmp_path / "out", LIMITS)[0].read_bytes() == SLICE


def test_archive_with_a_zip64_directory_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    archive = make_zip(tmp_path / "a.zip", {"a.dcm": SLICE, "b.dcm": b"other"})

    paths = unpack(archive, tmp_path / "out", LIMITS)

    assert b"PK\x06\x06" in archive.read_bytes()
    assert [path.read_bytes() for path in paths] == [SLICE, b"other"]


def test_huge_zip64_directory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    archive = make_zip(tmp_path / "a.zip", {"a.dcm": SLICE, "b.dcm": SLICE})

    def claim_a_terabyte(content: bytearray) -> None:
        struct.pack_into("<Q", content, content.find(b"PK\x06\x06") + 40, 2**40)

    with pytest.raises(TooManyFiles, match="takes 1099511627776 bytes"):
        unpack(patched(archive, claim_a_terabyte), tmp_path / "out", LIMITS)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_disk_that_runs_full_while_writing_is_told() -> None:
    with pytest.raises(StorageFull), _telling_a_full_disk(), Path("/dev/full").open("wb") as full:
        full.write(b"x")


def test_full_disk_is_told_before_anything_is_written(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a.dcm": SLICE})
    more_than_any_disk = Limits(10_000_000, 200, 50, min_free_mb=10**9)

    with pytest.raises(StorageFull):
        unpack(archive, tmp_path / "out", more_than_any_disk)

    assert list((tmp_path / "out").iterdir()) == []


def test_any_single_damaged_byte_ends_in_a_named_error_or_the_files(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a.dcm": b"abc" * 20, "b.dcm": b"defg" * 20})
    whole = archive.read_bytes()

    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        archive.write_bytes(damaged)
        with suppress(HilumError):
            unpack(archive, tmp_path / f"{place}", LIMITS)
