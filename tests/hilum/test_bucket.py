"""What a bucket hides from a process that believes its own memory, and what its troubles mean."""

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hilum.bucket import PART, uploads_under
from hilum.errors import StorageUnavailable, UnusableStorage
from hilum.storage import StudyStore
from tests.buckets import Server, bucket_url, objects_in, requests_of, s3

__all__ = ["bucket_url", "s3"]

LARGE = os.urandom(PART + 4096) * 2
"""Two parts and a rest."""


@pytest.fixture
def store(bucket_url: str) -> StudyStore:
    return StudyStore.open(bucket_url)


@pytest.fixture
def other(bucket_url: str) -> StudyStore:
    """The same bucket, as another process sees it."""
    return StudyStore.open(bucket_url)


@pytest.fixture
def away(s3: Server, store: StudyStore) -> Iterator[None]:
    """A server that is gone, after the store has found it."""
    store.put(io.BytesIO(b"kept"), "kept/1")
    s3.stop()
    yield
    s3.start()


class Torn(io.BytesIO):
    """A stream whose disk fails after its first part."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > PART:
            raise OSError(5, "Input/output error")
        return super().read(size)


def test_small_file_is_one_request(store: StudyStore) -> None:
    asked = requests_of(store)

    store.put(io.BytesIO(b"pixels"), "a")

    assert asked == ["put_object"]


def test_large_file_goes_in_parts_and_comes_back_whole(store: StudyStore, tmp_path: Path) -> None:
    asked = requests_of(store)

    stored = store.put(io.BytesIO(LARGE), "a")

    assert asked.count("upload_part") >= 2
    assert (stored.size, stored.sha256) == (len(LARGE), hashlib.sha256(LARGE).hexdigest())
    with store.open_file("a") as stream:
        assert stream.read() == LARGE
    [path] = store.local_files(["a"], tmp_path)
    assert path.read_bytes() == LARGE


@pytest.mark.parametrize("data", [b"pixels", LARGE], ids=["small", "large"])
def test_second_writer_of_a_key_is_refused_by_the_bucket(
    data: bytes, store: StudyStore, other: StudyStore
) -> None:
    store.put(io.BytesIO(data), "a")

    with pytest.raises(FileExistsError, match="a already holds other bytes"):
        other.put(io.BytesIO(data[::-1]), "a")

    assert other.put(io.BytesIO(data), "a").size == len(data)
    assert objects_in(store) == ["a"]


def test_large_file_that_breaks_off_leaves_neither_object_nor_parts(store: StudyStore) -> None:
    with pytest.raises(OSError, match="Input/output"):
        store.put(Torn(LARGE), "a")

    assert objects_in(store) == []


def test_files_of_another_process_are_seen_at_once(store: StudyStore, other: StudyStore) -> None:
    other.put(io.BytesIO(b"1"), "job/one/a")
    store.filesystem.find(store.path("job"))

    other.put(io.BytesIO(b"2"), "job/two/a")
    store.delete("job")

    assert objects_in(other) == []


def test_upload_that_a_killed_process_began_is_removed(
    store: StudyStore, other: StudyStore
) -> None:
    begun = store.filesystem.open(store.path("job/one/a"), "xb", autocommit=False)
    begun.write(LARGE)
    begun.flush(force=True)
    begun.closed = True
    before = objects_in(store)

    other.delete("job/one")

    assert before == ["job/one/a"]
    assert uploads_under(store.filesystem, store.path("job")) == []


def test_files_that_the_bucket_keeps_although_it_said_yes_are_told(
    store: StudyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(io.BytesIO(b"1"), "job/a")
    monkeypatch.setattr(store.filesystem, "rm", lambda *_, **__: [])

    with pytest.raises(StorageUnavailable, match="kept 1 files"):
        store.delete("job")


@pytest.mark.usefixtures("away")
def test_bucket_that_is_away_is_trouble_that_passes(store: StudyStore, tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="did not answer"):
        store.put(io.BytesIO(b"new"), "a")
    with pytest.raises(StorageUnavailable):
        store.put(io.BytesIO(LARGE), "b")
    with pytest.raises(StorageUnavailable):
        store.open_file("kept/1")
    with pytest.raises(StorageUnavailable):
        store.local_files(["kept/1"], tmp_path)
    with pytest.raises(StorageUnavailable):
        store.delete("kept")
    with pytest.raises(StorageUnavailable, match="does not answer"):
        store.check()


def test_bucket_that_goes_away_while_a_file_is_read_is_told_likewise(
    store: StudyStore, s3: Server
) -> None:
    store.put(io.BytesIO(b"pixels"), "a")

    with store.open_file("a") as stream:
        s3.stop()
        try:
            with pytest.raises(StorageUnavailable):
                stream.read()
        finally:
            s3.start()


def test_bucket_that_is_back_serves_the_same_store(store: StudyStore, s3: Server) -> None:
    store.put(io.BytesIO(b"pixels"), "a")
    s3.stop()
    with pytest.raises(StorageUnavailable):
        store.put(io.BytesIO(b"more"), "b")
    s3.start()

    store.put(io.BytesIO(b"more"), "b")

    assert objects_in(store) == ["a", "b"]


def test_store_that_is_there_passes_its_check(store: StudyStore) -> None:
    store.check()


def test_bucket_that_does_not_exist_is_named(bucket_url: str) -> None:
    assert bucket_url

    with pytest.raises(UnusableStorage, match="the bucket 'nowhere': there is no such bucket"):
        StudyStore.open("s3://nowhere/store").check()


def test_wrong_credentials_are_named(store: StudyStore, s3: Server) -> None:
    s3.refuse_keys("0")

    try:
        with pytest.raises(UnusableStorage, match="AWS_ACCESS_KEY_ID is not known there"):
            store.check()
    finally:
        s3.refuse_keys("inf")


def test_absent_credentials_are_named(bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(UnusableStorage, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        StudyStore.open(bucket_url).check()


def test_address_that_is_none_is_named(bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "not an address")

    with pytest.raises(UnusableStorage, match="AWS_ENDPOINT_URL is no address"):
        StudyStore.open(bucket_url).check()
