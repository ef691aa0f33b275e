# SPDX-License-Identifier: Apache-2.0
"""S3, as the store uses it: how its client is set, what its troubles mean, what it hides.

Credentials, region and address are found where the AWS SDK looks for them: `AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, a profile, or the machine's role.
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, BinaryIO, Final

import fsspec

from hilum.errors import HilumError, StorageUnavailable, UnusableStorage

PART: Final = 8 * 1024 * 1024
"""Bytes. What is no longer goes in one request; what is goes in parts, of which S3 takes 10,000."""

OPTIONS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        # Other processes write too: a listing that was true a second ago hides their files.
        "use_listings_cache": False,
        # Each store finds address and credentials anew, as the environment has them now.
        "skip_instance_cache": True,
        "default_block_size": PART,
        "config_kwargs": {
            "connect_timeout": 5,
            "read_timeout": 30,
            # Seconds, not minutes: whoever asked can come again, a web server's thread cannot wait.
            "retries": {"mode": "standard", "total_max_attempts": 3},
        },
    }
)
"""Settings of the file system at an `s3://` URL."""

RETRIES: Final = 2
"""Times that s3fs tries what botocore has tried `total_max_attempts` times."""

LIBRARIES: Final = frozenset({"aiobotocore", "aiohttp", "botocore"})
"""Whose errors are troubles of the way to S3. They are known by name: most stores need none of them."""

REFUSALS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "NoSuchBucket": "there is no such bucket",
        "InvalidBucketName": "this is no name of a bucket",
        "InvalidAccessKeyId": "AWS_ACCESS_KEY_ID is not known there",
        "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY does not fit AWS_ACCESS_KEY_ID",
        "AccessDenied": "the credentials do not reach it",
        "AuthFailure": "the credentials are refused",
        "ExpiredToken": "AWS_SESSION_TOKEN has expired",
        "InvalidToken": "AWS_SESSION_TOKEN is not valid",
        "AuthorizationHeaderMalformed": "it is in another region than AWS_REGION",
        "PermanentRedirect": "it is in another region than AWS_REGION",
        "RequestTimeTooSkewed": "the clock of this machine is wrong",
        "NoCredentialsError": "there are no credentials; set AWS_ACCESS_KEY_ID and"
        " AWS_SECRET_ACCESS_KEY",
        "PartialCredentialsError": "half of the credentials is missing",
        "ProfileNotFound": "there is no profile of the name AWS_PROFILE",
        "ValueError": "AWS_ENDPOINT_URL is no address",
    }
)
"""What no repetition mends, by S3's code, or by the class of an error of the client."""


def is_s3(filesystem: fsspec.AbstractFileSystem) -> bool:
    """Whether a file system is S3."""
    return "s3" in filesystem.protocol


@contextmanager
def answered(path: str) -> Iterator[None]:
    """Give the troubles of a remote store, in a `with` block, the names that the queue knows.

    Raises:
        StorageUnavailable: it does not answer, or refuses.
        FileExistsError, FileNotFoundError: as of a local file.
    """
    try:
        yield
    except (FileExistsError, HilumError):
        raise
    except Exception as error:
        if _code(error) == "PreconditionFailed":
            raise FileExistsError(path) from error
        is_missing = isinstance(error, FileNotFoundError) and _code(error) != "NoSuchBucket"
        if is_missing or not _is_trouble(error):
            raise
        raise StorageUnavailable(f"The store did not answer ({_code(error)}).") from error


def check(filesystem: fsspec.AbstractFileSystem, root: str) -> None:
    """Make sure that a bucket is there and may be listed.

    Raises:
        UnusableStorage: no repetition would find it.
        StorageUnavailable: it does not answer at present.
    """
    bucket, _, prefix = root.partition("/")
    try:
        filesystem.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
    except Exception as error:
        code = _code(error)
        if code in REFUSALS:
            raise UnusableStorage(
                f"HILUM_STORAGE_URL names the bucket {bucket!r}: {REFUSALS[code]} ({code})."
            ) from error
        raise StorageUnavailable(f"The bucket {bucket!r} does not answer ({code}).") from error


def uploads_under(filesystem: fsspec.AbstractFileSystem, path: str) -> list[tuple[str, str]]:
    """Return path and id of each upload in parts under a path that was begun and not ended.

    No listing shows them, and they are kept, and paid for, for ever.
    """
    bucket, _, key = path.partition("/")
    found = filesystem.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{key}/")
    return [(f"{bucket}/{one['Key']}", one["UploadId"]) for one in found.get("Uploads", [])]


def abort_uploads(filesystem: fsspec.AbstractFileSystem, path: str) -> None:
    """Forget every upload under a path that was begun and not ended."""
    for upload, upload_id in uploads_under(filesystem, path):
        bucket, _, key = upload.partition("/")
        filesystem.abort_mpu(bucket, key, upload_id)


class Stream(io.RawIOBase):
    """A remote file whose troubles have the names that the queue knows."""

    def __init__(self, inner: BinaryIO, path: str) -> None:
        """Take over an open file."""
        self._inner, self._path = inner, path

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        return self._inner.readable()

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self._inner.writable()

    def seekable(self) -> bool:
        """Whether one may go back in it."""
        return self._inner.seekable()

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes."""
        with answered(self._path):
            data = self._inner.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        """Write the next bytes."""
        with answered(self._path):
            return self._inner.write(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._inner.tell()

    def close(self) -> None:
        """Close a file that was read; one that is written is ended by its writer."""
        if not self.closed and self._inner.readable():
            self._inner.close()
        super().close()


def _code(error: BaseException) -> str:
    """Return S3's code for an error, else the name of its class."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict) and (code := response.get("Error", {}).get("Code")):
            return str(code)
    return type(error).__name__


def _is_trouble(error: Exception) -> bool:
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in LIBRARIES
