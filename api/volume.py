# SPDX-License-Identifier: Apache-2.0
"""The volume that a report was made of, read while it is sent: one slice in memory, never all."""

from collections.abc import Generator
from contextlib import ExitStack
from itertools import chain
from typing import Any, BinaryIO, Final

from flask import Response

from api.kept import kept_files, open_kept
from api.parts import parts
from db.tables import ArtifactRow, ReportRow
from hilum.dicom.read import read_slices
from hilum.errors import FilesGone
from hilum.nifti import stream_volume

NIFTI: Final = "application/gzip"


def volume_response(report: ReportRow, mask: ArtifactRow, keys: dict[str, str]) -> Response:
    """Send the series behind a report as NIfTI, slice by slice as its masks have it.

    Args:
        report: whose document names each slice.
        mask: the artifact of one of its masks, which has the grid.
        keys: where the instances of its study are stored, by SOP instance UID.

    Raises:
        FilesGone: a slice or the mask is no longer stored.
        InputError: the first slice cannot be read.
    """
    slices: list[dict[str, Any]] = report.document["slices"]
    missing = sum(one["instance_uid"] not in keys for one in slices)
    if missing:
        raise FilesGone(f"{missing} of {len(slices)} slices are no longer stored, expected all.")
    pieces = _pieces(slices, open_kept(mask.key), keys)
    # Whatever is wrong with the files as a whole is told by a status, which goes before any byte.
    start = [next(pieces), next(pieces)]
    response = Response(chain(start, pieces), mimetype=NIFTI)
    response.call_on_close(pieces.close)
    return response


def _pieces(slices: list[dict[str, Any]], mask: BinaryIO, keys: dict[str, str]) -> Generator[bytes]:
    with ExitStack() as held:
        held.callback(mask.close)
        scratch = held.enter_context(parts().spool.folder())
        stored = [keys[one["instance_uid"]] for one in slices]
        unique = list(dict.fromkeys(stored))
        paths = dict(zip(unique, kept_files(unique, scratch), strict=True))
        # Reports of before there were enhanced series name no frame.
        frames = [one.get("frame_number", 1) - 1 for one in slices]
        places = zip((paths[key] for key in stored), frames, strict=True)
        yield from stream_volume(mask, read_slices(places))
