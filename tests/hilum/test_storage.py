"""Files are written whole or not at all, never overwritten, and known by their hash."""

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import StorageFull, UnusableStorage
from hilum.storage import StudyStore
from tests.buckets import bucket_url, s3

__all__ = ["bucket_url", "s3"]

BYTES = b"pixels" * 1000


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StudyStore:
    """The two kinds of store: a folder of this machine, and a bucket."""
    if request.param == "file":
        return StudyStore.open(f"file://{tmp_path}/store")
    return StudyStore.open(request.getfixturevalue("bucket_url"))


class Breaking(io.BytesIO):
    """A stream that fails after its first chunk, as a network does."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 0:
            raise ConnectionResetError
        return super().read(size if size and size > 0 else 4)


def files_under(store: StudyStore) -> list[Any]:
    root = store.root
    return store.filesystem.find(root) if store.filesystem.exists(root) else []


def test_a_kept_file_is_read_back_and_its_hash_told(store: StudyStore) -> None:
    stored = store.put(io.BytesIO(BYTES), "a/b.dcm")

    assert (stored.sha256, stored.size) == (hashlib.sha256(BYTES).hexdigest(), len(BYTES))
    with store.open_file("a/b.dcm") as stream:
        assert stream.read() == BYTES


def test_the_same_bytes_may_be_kept_twice(store: StudyStore) -> None:
    first = store.put(io.BytesIO(BYTES), "a")

    assert store.put(io.BytesIO(BYTES), "a") == first


def test_other_bytes_never_replace_a_kept_file(store: StudyStore) -> None:
    store.put(io.BytesIO(BYTES), "a")

    with pytest.raises(FileExistsError, match="already holds other bytes"):
        store.put(io.BytesIO(b"other"), "a")

    with store.open_file("a") as stream:
        assert stream.read() == BYTES


def test_a_copy_that_breaks_off_leaves_nothing(store: StudyStore) -> None:
    with pytest.raises(ConnectionResetError):
        store.put(Breaking(BYTES * 1000), "a")

    assert files_under(store) == []


def test_files_are_handed_out_as_local_paths(store: StudyStore, tmp_path: Path) -> None:
    store.put(io.BytesIO(BYTES), "x/1")
    store.put(io.BytesIO(b"two"), "x/2")

    first, second = store.local_files(["x/1", "x/2"], tmp_path / "scratch")

    assert (first.read_bytes(), second.read_bytes()) == (BYTES, b"two")


def test_a_prefix_is_deleted_with_all_under_it_and_may_be_absent(store: StudyStore) -> None:
    store.put(io.BytesIO(BYTES), "x/1")

    store.delete("x")
    store.delete("x")

    assert files_under(store) == []


def test_store_tells_what_is_under_a_prefix(store: StudyStore) -> None:
    for key in ("x/1/a", "x/2/b", "xy/3"):
        store.put(io.BytesIO(BYTES), key)

    assert sorted(store.folders("x")) == ["1", "2"]
    assert store.folders("nothing") == []
    assert [store.holds(prefix) for prefix in ("x", "x/1", "x/1/a", "x/3", "nothing")] == [
        *[True] * 3,
        *[False] * 2,
    ]


def test_folder_that_is_left_empty_by_a_deletion_goes_too(tmp_path: Path) -> None:
    store = StudyStore.open(f"file://{tmp_path}/store")
    store.put(io.BytesIO(BYTES), "studies/1.2.3/one/a")
    store.put(io.BytesIO(BYTES), "studies/1.2.3/two/a")

    store.delete("studies/1.2.3/one")
    assert store.folders("studies") == ["1.2.3"]
    store.delete("studies/1.2.3/two")

    assert store.folders("studies") == []


def test_two_that_delete_the_same_at_once_leave_nothing(tmp_path: Path) -> None:
    store = StudyStore.open(f"file://{tmp_path}/store")
    for number in range(300):
        store.put(io.BytesIO(b"slice"), f"x/{number % 7}/{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(store.delete, ["x"] * 4))

    assert not store.holds("x")


def test_a_nearly_full_disk_refuses_and_says_by_how_much(tmp_path: Path) -> None:
    store = StudyStore.open(f"file://{tmp_path}", min_free_mb=1024**3)

    with pytest.raises(StorageFull, match=r"has \d+ MiB free, this needs 1073741824 MiB"):
        store.put(io.BytesIO(BYTES), "a")

    assert files_under(store) == []


def test_prefix_is_deleted_without_its_neighbour_of_a_longer_name(store: StudyStore) -> None:
    store.put(io.BytesIO(BYTES), "x/1")
    store.put(io.BytesIO(BYTES), "xy/1")

    store.delete("x")

    assert [path.removeprefix(f"{store.root}/") for path in files_under(store)] == ["xy/1"]


def test_kept_file_is_read_from_any_place_and_in_pieces(store: StudyStore) -> None:
    data = bytes(range(256)) * 100
    store.put(io.BytesIO(data), "a")

    with store.open_file("a") as stream:
        stream.seek(1000)
        middle, rest = stream.read(10), stream.read()
        stream.seek(-3, io.SEEK_END)
        end = stream.read()

    assert (middle, rest, end) == (data[1000:1010], data[1010:], data[-3:])


def test_empty_file_is_kept_like_any_other(store: StudyStore) -> None:
    stored = store.put(io.BytesIO(b""), "a")

    with store.open_file("a") as stream:
        assert (stored.size, stream.read()) == (0, b"")


def test_key_that_holds_nothing_is_told_like_a_missing_file(
    store: StudyStore, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        store.open_file("a").read()
    if not store.is_local:
        with pytest.raises(FileNotFoundError):
            store.local_files(["a"], tmp_path / "scratch")


@pytest.mark.parametrize("url", ["nfs4://server/studies", "s3:/studies://"])
def test_url_of_no_store_is_named(url: str) -> None:
    with pytest.raises(UnusableStorage, match="HILUM_STORAGE_URL"):
        StudyStore.open(url)
