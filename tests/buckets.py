"""A server that speaks the S3 protocol over HTTP, and buckets in it."""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

import fsspec
import httpx
import pytest
from moto.server import ThreadedMotoServer

from hilum.bucket import uploads_under
from hilum.storage import StudyStore

ACCESS: Mapping[str, str] = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


class Server:
    """A server that can be away for a moment, and keeps what it has meanwhile."""

    def __init__(self) -> None:
        self._running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._running.start()
        self._host, self._port = self._running.get_host_and_port()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self._host}:{self._port}"

    def stop(self) -> None:
        """Refuse connections."""
        self._running.stop()

    def start(self) -> None:
        """Answer again, at the same place."""
        self._running = ThreadedMotoServer(ip_address=self._host, port=self._port, verbose=False)
        self._running.start()

    def refuse_keys(self, after: str) -> None:
        """Look at credentials after so many requests: none that tests use is known."""
        httpx.post(f"{self.url}/moto-api/reset-auth", content=after).raise_for_status()


@pytest.fixture(scope="session")
def s3() -> Iterator[Server]:
    """A server that speaks the S3 protocol."""
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def bucket_url(s3: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a store in an empty bucket, which the environment leads to."""
    return lead_to_bucket(s3, monkeypatch)


def lead_to_bucket(server: Server, patch: pytest.MonkeyPatch) -> str:
    """Set the environment as an installation does; return the URL of a store in a new bucket."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    for name, value in ACCESS.items():
        patch.setenv(name, value)
    patch.setenv("AWS_ENDPOINT_URL", server.url)
    # A laptop has credentials of its own, and a machine in a cloud a role.
    patch.setenv("AWS_CONFIG_FILE", "/dev/null")
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket = uuid4().hex
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(bucket)
    return f"s3://{bucket}/store"


def objects_in(store: StudyStore) -> list[str]:
    """Return the keys of all that a bucket holds, and of the uploads that were never ended."""
    filesystem = fsspec.filesystem("s3", skip_instance_cache=True)
    whole = filesystem.find(store.root)
    begun = [upload for upload, _ in uploads_under(filesystem, store.root)]
    return sorted(path.removeprefix(f"{store.root}/") for path in [*whole, *begun])


def requests_of(store: StudyStore) -> list[str]:
    """Return a list that grows with each request of a store to S3."""
    asked: list[str] = []
    prepare = store.filesystem._get_s3_method_kwargs

    def note(method: Callable[..., Any], *args: Any, **given: Any) -> Any:
        asked.append(method.__name__)
        return prepare(method, *args, **given)

    store.filesystem._get_s3_method_kwargs = note
    return asked
