from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import UID, JPEG2000Lossless, RLELossless
from sqlalchemy import update

from db.session import Sessions
from db.tables import InstanceRow
from hilum.storage import StudyStore
from tests.api.caller import Answer, Caller
from tests.api.dicomweb.kept import (
    DAMAGES,
    EXPLICIT,
    SYNTAXES,
    cut_short,
    encoded,
    gone,
    kept_files,
    without_representation,
)
from tests.api.dicomweb.place import AS_STORED, Place, get, parts_of
from tests.api.dicomweb.ward import Send


def test_broken_slice_does_not_cost_the_others(
    caller: Caller, send: Send, slices: list[Dataset], sessions: Sessions, store: StudyStore
) -> None:
    send(encoded(slices, JPEG2000Lossless))
    broken = kept_files(sessions, store)[1]
    cut_short(broken)
    place = Place.of(slices[0])

    parts = parts_of(get(caller, place.series))

    kinds = [kind.partition("transfer-syntax=")[2] for kind, _ in parts]
    assert sorted(kinds) == sorted([EXPLICIT, EXPLICIT, str(JPEG2000Lossless)])
    assert broken.read_bytes() in {body for _, body in parts}


def test_broken_instance_alone_is_refused_by_name(
    caller: Caller, send: Send, slices: list[Dataset], sessions: Sessions, store: StudyStore
) -> None:
    send(encoded(slices[:1], JPEG2000Lossless))
    place, [kept] = Place.of(slices[0]), kept_files(sessions, store)

    kept.write_bytes(kept.read_bytes().replace(b"\xff\x4f\xff\x51", b"\x00\x00\x00\x00"))
    assert get(caller, place.instance).refusal == (422, "unreadable_pixels")

    gone(kept)
    assert get(caller, place.instance, AS_STORED).refusal == (422, "unreadable_object")
    assert get(caller, place.series).refusal == (422, "unreadable_object")


RESOURCES: dict[str, Callable[[Place], str]] = {
    "study": lambda place: place.study,
    "series": lambda place: place.series,
    "instance": lambda place: place.instance,
    "study metadata": lambda place: f"{place.study}/metadata",
    "series metadata": lambda place: f"{place.series}/metadata",
    "instance metadata": lambda place: f"{place.instance}/metadata",
    "frames": lambda place: f"{place.instance}/frames/1",
    "pixel data": lambda place: f"{place.instance}/bulkdata/7FE00010",
    "value": lambda place: f"{place.instance}/bulkdata/00420011",
    "picture": lambda place: f"{place.instance}/rendered",
    "picture of a frame": lambda place: f"{place.instance}/frames/1/rendered",
}
"""Every address below a study that fetches something."""


DAMAGED = [
    (damage, syntax)
    for damage in DAMAGES
    for syntax in (*SYNTAXES[:3], RLELossless)
    # Where representations are not written, or not in sight, there is none to lose.
    if damage is not without_representation or syntax in {SYNTAXES[1], RLELossless}
]


@pytest.mark.parametrize(("damage", "syntax"), DAMAGED)
def test_broken_file_is_no_crash(
    caller: Caller,
    send: Send,
    slices: list[Dataset],
    sessions: Sessions,
    store: StudyStore,
    damage: Callable[[Path], None],
    syntax: UID,
) -> None:
    send(encoded(slices[:1], syntax))
    [kept] = kept_files(sessions, store)
    damage(kept)

    for name, address in RESOURCES.items():
        path = address(Place.of(slices[0]))
        accepts: list[str | None] = [None, "*/*; transfer-syntax=*"]
        for answer in (get(caller, path, accept) for accept in accepts):
            assert answer.status < 500, (name, answer.text)
            if answer.status >= 400:
                assert answer.refusal[0] in {404, 406, 422}


@pytest.mark.parametrize("syntax", ["1.2.3", "1.2.840.10008.1.2.77", "1.2.840.10008.1.1"])
def test_syntax_that_nobody_knows_is_no_crash(
    caller: Caller,
    send: Send,
    slices: list[Dataset],
    sessions: Sessions,
    store: StudyStore,
    syntax: str,
) -> None:
    [file] = send(encoded(slices[:1], RLELossless))
    place, [kept] = Place.of(slices[0]), kept_files(sessions, store)
    old, new = (uid.ljust(20, "\0").encode() for uid in (str(RLELossless), syntax))
    kept.write_bytes(file.read_bytes().replace(old, new, 1))
    with sessions.begin() as session:
        session.execute(update(InstanceRow).values(attributes=None))

    for name, address in RESOURCES.items():
        for accept in (None, "*/*; transfer-syntax=*"):
            answer = get(caller, address(place), accept)
            assert answer.status < 500, (name, answer.text)


def test_nothing_is_there_for_another_hospital(
    stranger: Caller, anyone: Caller, send: Send, slices: list[Dataset]
) -> None:
    send(slices)
    place = Place.of(slices[0])

    for address in RESOURCES.values():
        assert stranger.get(address(place)).refusal == (404, "unknown_study")
        assert anyone.get(address(place)).refusal == (401, "missing_key")


def test_what_is_not_there_is_not_found(caller: Caller, send: Send, slices: list[Dataset]) -> None:
    send(slices)
    place = Place.of(slices[0])
    wrong: dict[str, Any] = {
        "unknown_study": Place("1.2", place.series_uid, place.sop_uid),
        "unknown_object": Place(place.study_uid, "1.2", place.sop_uid),
    }

    for code, elsewhere in wrong.items():
        assert get(caller, elsewhere.series).refusal == (404, code)
        assert get(caller, elsewhere.instance).refusal == (404, code)
    assert get(caller, f"{place.series}/instances/1.2").refusal == (404, "unknown_object")
    assert get(caller, f"{place.series}/instances/%00").refusal == (404, "unknown_object")
    assert get(caller, f"{place.series}/instances/..%5Cx").refusal == (404, "unknown_object")


def test_head_of_a_study_sends_nothing(caller: Caller, send: Send, slices: list[Dataset]) -> None:
    send(slices)

    answer = Answer.of(caller.client.head(Place.of(slices[0]).study, headers=caller.headers()))

    assert (answer.status, answer.data) == (200, b"")
