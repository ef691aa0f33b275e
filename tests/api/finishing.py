"""Jobs that succeeded without a network: what they found is the truth of their phantom."""

import io
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

from db.claims import Artifact, claim_job, finish_job
from db.session import Sessions
from hilum.dicom.attributes import Attributes, read_attributes
from hilum.dicom.results import result_objects
from hilum.findings import Report, SliceBurden
from hilum.masks import pack_masks
from hilum.nifti import write_nifti
from hilum.phantom import Phantom
from hilum.render import overlay_png, thumbnail_png
from hilum.storage import StudyStore
from tests.analyses import analysis_of
from tests.db.factories import make_report


def finish(sessions: Sessions, store: StudyStore, job_id: str, phantom: Phantom) -> None:
    """End a queued job as a worker does that sees everything there is."""
    with sessions.begin() as session:
        claim = claim_job(session, UUID(job_id), worker="gpu", lease_s=60, max_attempts=3)
        assert claim is not None
        artifacts = [
            Artifact(kind, media_type, store.put(io.BytesIO(data), f"{job_id}/{kind}"), attributes)
            for kind, media_type, data, attributes in _files(phantom)
        ]
        finish_job(session, claim, _report(phantom), artifacts)


def _files(phantom: Phantom) -> Iterator[tuple[str, str, bytes, Attributes | None]]:
    middle = len(phantom.voxels) // 2
    picture = overlay_png(phantom.voxels[middle], phantom.lungs[middle], phantom.lesions[middle])
    yield "masks", "application/zip", pack_masks(phantom.lungs, phantom.lesions), None
    yield "lesions", "application/gzip", write_nifti(phantom.lesions, phantom.affine), None
    yield "lungs", "application/gzip", write_nifti(phantom.lungs, phantom.affine), None
    yield "montage", "image/png", picture, None
    analysis = analysis_of(phantom)
    yield "thumbnail", "image/png", thumbnail_png(analysis), None
    for name, data in result_objects(analysis):
        yield name, "application/dicom", data, read_attributes(data)


def _report(phantom: Phantom) -> Report:
    volume = phantom.volume
    slices = tuple(
        SliceBurden(index, uid, float((lungs > 0).sum()), float((lesions > 0).sum()))
        for index, (uid, lungs, lesions) in enumerate(
            zip(volume.instance_uids, phantom.lungs, phantom.lesions, strict=True)
        )
    )
    return replace(make_report(0.1), slices=slices, spacing_mm=volume.spacing_mm)
