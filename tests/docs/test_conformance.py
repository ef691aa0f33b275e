"""The conformance statement says what the code does, row by row."""

import io
from collections.abc import Iterator

from pydicom import dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.sr.coding import Code
from pydicom.uid import UID, AllTransferSyntaxes

from api.dicomweb.stow import Reason
from api.dimse import Status
from hilum.dicom import codes
from tests.analyses import analysis_of
from tests.docs.places import read
from tests.phantoms import chest
from worker.artifacts import make_files


def table(head: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the table whose first column has this title."""
    lines = iter(read("conformance.md").splitlines())
    for line in lines:
        if line.startswith(f"| {head} |"):
            next(lines)
            break
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip().strip("`") for cell in line.strip("|").split("|")]


def decodable(uid: UID) -> bool:
    try:
        return bool(get_decoder(uid).is_available)
    except NotImplementedError:
        return False


def test_every_transfer_syntax_that_can_be_decoded_is_named_and_no_other() -> None:
    said = dict(table("UID"))

    assert said == {str(uid): uid.name for uid in AllTransferSyntaxes if decodable(uid)}


def test_objects_are_written_as_it_says() -> None:
    said = {kind: (sop_class, syntax) for kind, sop_class, syntax, _ in table("kind")}

    made = {
        kind.kind: dcmread(io.BytesIO(data))
        for kind, data in make_files(analysis_of(chest()))
        if kind.media_type == "application/dicom"
    }
    assert said == {
        kind: (one.SOPClassUID, one.file_meta.TransferSyntaxUID) for kind, one in made.items()
    }
    assert {one.ContentQualification for one in made.values()} == {"RESEARCH"}
    assert {one.SpecificCharacterSet for one in made.values()} == {"ISO_IR 192"}
    series = {str(one.SeriesInstanceUID) for one in made.values()}
    assert len(series) == len(made)
    assert all(uid.startswith("2.25.") for uid in series)


def test_every_concept_of_ours_is_listed_with_its_meaning() -> None:
    said = dict(table("code"))

    ours = [one for one in vars(codes).values() if isinstance(one, Code)]
    assert said == {one.value: one.meaning for one in ours if one.scheme_designator == codes.OWN}


def test_every_status_of_c_store_is_named_and_no_other() -> None:
    said = {int(status, 16) for status, _ in table("status")}

    assert said == {status.value for status in Status}


def test_every_failure_reason_of_stow_is_named_and_no_other() -> None:
    said = {int(reason, 16) for reason, _ in table("FailureReason")}

    assert said == {reason.value for reason in Reason}
