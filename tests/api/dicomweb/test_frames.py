import numpy as np
import pytest
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import UID, JPEG2000Lossless, RLELossless, SegmentationStorage

from api.dicomweb.frames import FRAME_TYPES
from tests.api.caller import Caller
from tests.api.dicomweb.kept import EXPLICIT, SYNTAXES, encoded
from tests.api.dicomweb.place import Place, get, objects_of, parts_of, values
from tests.api.dicomweb.ward import Send
from tests.phantoms import chest, setting

BYTES = 'multipart/related; type="application/octet-stream"'
DECODED = f"application/octet-stream; transfer-syntax={EXPLICIT}"


def stack(count: int = 3) -> Dataset:
    """Return an object of several frames that differ."""
    slices = chest().datasets()[:count]
    [one] = setting(slices[:1], None, NumberOfFrames=count)
    one.PixelData = b"".join(each.PixelData for each in chest().datasets()[:count])
    return one


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("accept", [None, BYTES, 'multipart/related; type="*/*"'])
def test_frames_come_decoded_where_nothing_else_is_asked(
    caller: Caller, send: Send, syntax: UID, accept: str | None
) -> None:
    original = stack()
    send(encoded([original], syntax))

    answer = get(caller, f"{Place.of(original).instance}/frames/3,1", accept)

    assert answer.headers["Content-Type"].startswith(f"{BYTES}; boundary=")
    third, first = parts_of(answer)
    for (kind, body), index in ((third, 2), (first, 0)):
        assert kind == DECODED
        assert body == original.pixel_array[index].tobytes()


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless], ids=str)
def test_frames_come_as_stored_when_that_is_asked(caller: Caller, send: Send, syntax: UID) -> None:
    [stored] = encoded([stack()], syntax)
    send([stored])
    path = f"{Place.of(stored).instance}/frames/2"
    expected = get_frame(stored.PixelData, 1, number_of_frames=3)
    kind = FRAME_TYPES[syntax]

    for accept in (
        f"{BYTES}; transfer-syntax=*",
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
        f"{BYTES}; transfer-syntax={syntax}",
        f'multipart/related; type="{kind}"',
        f'multipart/related; type="{kind}"; transfer-syntax={syntax}',
        f'multipart/related; type="{kind.replace("/", "/x-")}"',
        'multipart/related; type="image/*"',
        f'multipart/related; type="image/jls", multipart/related; type="{kind}"',
    ):
        answer = get(caller, path, accept)
        assert parts_of(answer) == [(f"{kind}; transfer-syntax={syntax}", expected)], accept
    single = get(caller, path, kind)
    assert (single.headers["Content-Type"], single.data) == (
        f"{kind}; transfer-syntax={syntax}",
        expected,
    )


def test_frames_that_are_not_compressed_come_as_bytes_in_any_case(
    caller: Caller, send: Send
) -> None:
    original = stack()
    send([original])

    answer = get(caller, f"{Place.of(original).instance}/frames/2", f"{BYTES}; transfer-syntax=*")

    assert parts_of(answer) == [(DECODED, original.pixel_array[1].tobytes())]


@pytest.mark.parametrize(
    "accept",
    [
        'multipart/related; type="image/jls"',
        'multipart/related; type="image/jp2"; transfer-syntax=1.2.3',
        f"{BYTES}; transfer-syntax=1.2.840.10008.1.2",
        f"{BYTES}; transfer-syntax={RLELossless}",
        "image/png",
        "application/octet-stream",
    ],
)
def test_form_that_frames_do_not_have_is_not_acceptable(
    caller: Caller, send: Send, accept: str
) -> None:
    [stored] = encoded([stack()], JPEG2000Lossless)
    send([stored])

    answer = get(caller, f"{Place.of(stored).instance}/frames/1,2", accept)

    assert answer.refusal == (406, "not_acceptable")


def test_single_frame_may_come_without_parts(caller: Caller, send: Send) -> None:
    original = stack()
    send([original])

    answer = get(caller, f"{Place.of(original).instance}/frames/2", "application/octet-stream")

    assert (answer.headers["Content-Type"], answer.data) == (
        DECODED,
        original.pixel_array[1].tobytes(),
    )


def test_frames_that_are_not_there_are_refused(caller: Caller, send: Send) -> None:
    original = stack()
    send([original])
    frames = f"{Place.of(original).instance}/frames"

    for numbers in ("0", "4", "1,4", "999999"):
        assert get(caller, f"{frames}/{numbers}").refusal == (404, "unknown_object")
    for nonsense in ("x", "1,", "-1", "1-2", "1.0", "9" * 40, "%D9%A1", "1 2"):
        assert get(caller, f"{frames}/{nonsense}").refusal == (400, "invalid_request")


def test_frame_that_claims_another_size_is_not_decoded(caller: Caller, send: Send) -> None:
    [stored] = encoded([stack()], JPEG2000Lossless)
    stored.Rows = 60_000
    send([stored])
    path = f"{Place.of(stored).instance}/frames/1"

    assert get(caller, path).refusal == (422, "unreadable_pixels")
    assert get(caller, path, f"{BYTES}; transfer-syntax=*").status == 200


def test_single_bits_of_a_segment_come_packed_frame_by_frame(caller: Caller, finished: str) -> None:
    study = Place.of(chest().datasets()[0]).study
    [found] = caller.get(f"{study}/instances", SOPClassUID=SegmentationStorage).json
    assert finished
    instance = (
        f"{study}/series/{found['0020000E']['Value'][0]}/instances/{found['00080018']['Value'][0]}"
    )
    [whole] = objects_of(get(caller, instance))
    count = values([found], "NumberOfFrames")[0]

    parts = parts_of(get(caller, f"{instance}/frames/1,{count}"))

    for (_, body), index in zip(parts, (0, count - 1), strict=True):
        bits = np.unpackbits(np.frombuffer(body, np.uint8), bitorder="little")
        assert np.array_equal(bits.reshape(192, 192), whole.pixel_array[index])


def test_pixel_data_is_all_frames(caller: Caller, send: Send) -> None:
    original = stack()
    send([original])

    answer = get(caller, f"{Place.of(original).instance}/bulkdata/7FE00010")

    assert parts_of(answer) == [
        (DECODED, original.pixel_array[index].tobytes()) for index in range(3)
    ]
