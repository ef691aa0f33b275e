# SPDX-License-Identifier: Apache-2.0
"""How fast a study of 300 slices is read, looked over and answered as DICOM; prints JSON.

python -m benchmarks.dicom [--slices 300] [--stow-mib 1024]
"""

import argparse
import hashlib
import http.client
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from api.confidential import treat
from benchmarks.api import Target, target
from hilum.catalogue import CT_LESIONS
from hilum.dicom.attributes import read_attributes
from hilum.dicom.deidentify import Deidentifier
from hilum.dicom.deidentify.pseudonyms import KEY_BYTES
from hilum.dicom.identity import content_digest
from hilum.dicom.maker import to_bytes
from hilum.dicom.quality import score_series
from hilum.dicom.read import read_study, read_volume
from hilum.dicom.seg import segmentation
from hilum.dicom.selection import choose_ct_series
from hilum.phantom import Phantom, make_phantom
from tests.analyses import analysis_of
from tests.api.large import MIB
from tests.phantoms import write_chest

SIZE_PX = 512

T = TypeVar("T")


def main(*, slices: int, stow_mib: int) -> dict[str, Any]:
    """Measure everything."""
    with TemporaryDirectory(prefix="hilum-bench-") as scratch:
        phantom = make_phantom(slices=slices, size_px=SIZE_PX)
        folder = write_chest(Path(scratch) / "chest", phantom)
        paths = sorted(folder.iterdir())
        return {
            "slices": slices,
            "mib": round(sum(path.stat().st_size for path in paths) / MIB, 1),
            "reading": measure_reading(paths),
            "segmentation": measure_segmentation(phantom, paths),
            "stow": measure_stow(paths, stow_mib),
        }


def measure_reading(paths: list[Path]) -> dict[str, float]:
    """Time each thing that is done to the files of a study; the floor is to read their bytes."""
    floor_s, _ = _timed(lambda: [path.read_bytes() for path in paths])
    headers_s, study = _timed(lambda: read_study(paths))
    sheets_s, _ = _timed(lambda: score_series(study))
    identity_s, _ = _timed(lambda: [content_digest(path) for path in paths])
    attributes_s, _ = _timed(lambda: [read_attributes(path) for path in paths])
    with TemporaryDirectory(prefix="hilum-bench-") as scratch:
        deidentifier = Deidentifier(bytes(KEY_BYTES))
        deidentify_s, _ = _timed(lambda: treat(paths, Path(scratch), deidentifier))
    volume_s, _ = _timed(lambda: read_volume(choose_ct_series(study).series))
    return {
        "floor_s": floor_s,
        "headers_s": headers_s,
        "sheets_s": sheets_s,
        "identity_s": identity_s,
        "attributes_s": attributes_s,
        "deidentify_s": deidentify_s,
        "volume_s": volume_s,
        "reading_and_checking_s": round(headers_s + sheets_s + volume_s, 3),
    }


def measure_segmentation(phantom: Phantom, paths: list[Path]) -> dict[str, float]:
    """Time the making of the Segmentation, and weigh it against its source."""
    analysis = analysis_of(phantom)
    made_s, data = _timed(
        lambda: to_bytes(segmentation(analysis, CT_LESIONS.labels), deflated=True)
    )
    source = sum(path.stat().st_size for path in paths)
    return {"seconds": made_s, "share_of_source": round(len(data) / source, 5)}


def measure_stow(paths: list[Path], mib: int) -> dict[str, float]:
    """Send so much in one request, beside writing as much to the same disk."""
    with target() as (there, folder):
        count = max(1, mib * MIB // paths[0].stat().st_size)
        length = sum(len(piece) for piece in _body(paths, count))
        written_s, _ = _timed(lambda: _write(folder / "floor", _body(paths, count)))
        (folder / "floor").unlink()
        before = there.server.peak_mib()
        sent_s, _ = _timed(lambda: _send(there, _body(paths, count), length))
        return {
            "instances": count,
            "mib": length // MIB,
            "seconds": sent_s,
            "write_s": written_s,
            "share_of_write_speed": round(written_s / sent_s, 2),
            "memory_growth_mib": round(there.server.peak_mib() - before, 1),
        }


def _body(paths: list[Path], count: int) -> Iterator[bytes]:
    """Yield the parts of a request: the study's files over and over, each with other pixels."""
    for number in range(count):
        data = paths[number % len(paths)].read_bytes()
        mark = hashlib.sha256(str(number).encode()).digest()
        yield b"--edge\r\nContent-Type: application/dicom\r\n\r\n"
        yield data[: -len(mark)] + mark
        yield b"\r\n"
    yield b"--edge--\r\n"


def _send(there: Target, body: Iterator[bytes], length: int) -> None:
    connection = there.connect()
    headers = there.headers | {
        "Content-Type": 'multipart/related; type="application/dicom"; boundary=edge',
        "Content-Length": str(length),
    }
    connection.request("POST", "/dicom-web/studies", body, headers, encode_chunked=False)
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        raise SystemExit(f"The request was answered with {answer.status}: {answer.read()!r}")
    answer.read()


def _write(path: Path, pieces: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _timed(act: Callable[[], T]) -> tuple[float, T]:
    begun = time.perf_counter()
    result = act()
    return round(time.perf_counter() - begun, 3), result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--stow-mib", type=int, default=1024)
    print(json.dumps(main(**vars(parser.parse_args())), indent=2))
