"""Files are written whole or not at all, never overwritten, and known by their hash."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from hilum.errors import StorageFull
from hilum.storage import StudyStore

BYTES = b"pixels" * 1000


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Address of a server that speaks the S3 protocol."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["file", "s3"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> StudyStore:
    """The two kinds of store: a folder of this machine, and a bucket."""
    if request.param == "file":
        return StudyStore.open(f"file://{tmp_path}/store")
    monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    bucket = uuid4().hex
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(bucket)
    return StudyStore.open(f"s3://{bucket}/store")


class Breaking(io.BytesIO):
    """A stream that fails after its first chunk, as a network does."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 0:
            raise ConnectionResetError
        return super().read(size if size and size > 0 else 4)


def files_under(store: StudyStore) -> list[Any]:
    root = store.root
    store.filesystem.invalidate_cache()
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


def test_a_nearly_full_disk_refuses_and_says_by_how_much(tmp_path: Path) -> None:
    store = StudyStore.open(f"file://{tmp_path}", min_free_mb=1024**3)

    with pytest.raises(StorageFull, match=r"has \d+ MiB free, this needs 1073741824 MiB"):
        store.put(io.BytesIO(BYTES), "a")

    assert files_under(store) == []
