import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless

from hilum.volume import LESION_WINDOW_HU, apply_window
from tests.api.caller import Answer, Caller
from tests.api.dicomweb.kept import encoded
from tests.api.dicomweb.place import Place, get, objects_of, values
from tests.api.dicomweb.ward import Send
from tests.phantoms import chest, setting, without


def picture(answer: Answer) -> NDArray[np.uint8]:
    assert answer.status == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.data)))


def hu(dataset: Dataset) -> NDArray[np.float64]:
    return dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)


def seen(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return np.clip((values - low) / (high - low), 0, 1) * 255


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEG2000Lossless], ids=str)
def test_slice_is_seen_through_the_window_of_its_header(
    caller: Caller, send: Send, slices: list[Dataset], syntax: UID
) -> None:
    original = chest().datasets()[0]
    send(encoded(slices[:1], syntax))

    answer = get(caller, f"{Place.of(original).instance}/rendered")

    assert answer.headers["Content-Type"] == "image/png"
    found = picture(answer)
    assert (found.dtype, found.shape) == (np.uint8, (192, 192))
    # Center -600 and width 1500, by PS3.3 C.11.2.1.2.1: from -1350 to 149.
    assert np.abs(found - seen(hu(original), -1350, 149)).max() <= 1


def test_window_may_be_asked_for(caller: Caller, send: Send, slices: list[Dataset]) -> None:
    send(slices[:1])
    rendered = f"{Place.of(slices[0]).instance}/frames/1/rendered"
    found = {
        name: picture(get(caller, rendered, window=f"40,400,{name}"))
        for name in ("linear", "linear-exact", "sigmoid")
    }

    values_hu = hu(slices[0])
    assert np.abs(found["linear"] - seen(values_hu, -160, 239)).max() <= 1
    assert np.abs(found["linear-exact"] - seen(values_hu, -160, 240)).max() <= 1
    expected = 255 / (1 + np.exp(-4 * (values_hu - 40) / 400))
    assert np.abs(found["sigmoid"] - expected).max() <= 1


def test_ct_without_a_window_is_seen_through_that_of_the_lungs(
    caller: Caller, send: Send, slices: list[Dataset]
) -> None:
    send(without(slices[:1], "WindowCenter", "WindowWidth"))

    found = picture(get(caller, f"{Place.of(slices[0]).instance}/rendered"))

    expected = apply_window(hu(slices[0]).astype(np.int16), LESION_WINDOW_HU) * 255
    assert np.abs(found - expected).max() <= 1


def test_other_images_without_a_window_are_seen_whole_and_monochrome1_turned(
    caller: Caller, send: Send, slices: list[Dataset]
) -> None:
    changed = {"Modality": "CR", "PhotometricInterpretation": "MONOCHROME1"}
    send(setting(without(slices[:1], "WindowCenter", "WindowWidth"), None, **changed))

    found = picture(get(caller, f"{Place.of(slices[0]).instance}/rendered"))

    values_hu = hu(slices[0])
    expected = 255 - seen(values_hu, values_hu.min(), values_hu.max())
    assert np.abs(found - expected).max() <= 1


def test_frame_of_an_enhanced_object_has_a_rescale_of_its_own(
    caller: Caller, send: Send, slices: list[Dataset]
) -> None:
    [one] = without(slices[:1], "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept")
    one.PixelData, one.NumberOfFrames = one.PixelData * 2, 2
    groups = []
    for intercept in (-1024, -524):
        rescale, group = Dataset(), Dataset()
        rescale.RescaleSlope, rescale.RescaleIntercept = 1, intercept
        group.PixelValueTransformationSequence = [rescale]
        groups.append(group)
    one.PerFrameFunctionalGroupsSequence = groups
    send([one])
    instance, stored = Place.of(one).instance, one.pixel_array[0].astype(float)

    for number, intercept in ((1, -1024), (2, -524)):
        found = picture(get(caller, f"{instance}/frames/{number}/rendered"))
        assert np.abs(found - seen(stored + intercept, *LESION_WINDOW_HU)).max() <= 1


def test_jpeg_is_there_for_who_asks(caller: Caller, send: Send, slices: list[Dataset]) -> None:
    send(slices[:1])
    rendered = f"{Place.of(slices[0]).instance}/rendered"

    fine, coarse = (
        get(caller, rendered, "image/jpeg", quality=quality) for quality in ("95", "10")
    )

    assert fine.headers["Content-Type"] == "image/jpeg"
    assert picture(fine).shape == (192, 192)
    assert len(coarse.data) < len(fine.data)
    assert get(caller, rendered, "image/*").headers["Content-Type"] == "image/png"
    assert get(caller, rendered, "image/gif").refusal == (406, "not_acceptable")
    assert get(caller, rendered, "application/pdf").refusal == (406, "not_acceptable")


@pytest.mark.parametrize(
    "query",
    [
        "window=",
        "window=40",
        "window=40,400",
        "window=40,400,cubic",
        "window=40,0,linear",
        "window=a,b,linear",
        "window=nan,1,linear",
        "window=1e9,1,linear",
        "quality=0",
        "quality=101",
        "quality=best",
        "quality=%C2%B2",
        f"quality={'1' * 5000}",
    ],
)
def test_parameters_that_mean_nothing_are_refused(
    caller: Caller, send: Send, slices: list[Dataset], query: str
) -> None:
    send(slices[:1])

    answer = caller.get(f"{Place.of(slices[0]).instance}/rendered?{query}")

    assert answer.refusal == (400, "invalid_request")


def test_pictures_come_frame_by_frame(caller: Caller, send: Send, slices: list[Dataset]) -> None:
    send(slices[:1])
    frames = f"{Place.of(slices[0]).instance}/frames"

    assert get(caller, f"{frames}/1,1/rendered").refusal == (400, "invalid_request")
    assert get(caller, f"{frames}/2/rendered").refusal == (404, "unknown_object")


def test_results_are_shown_as_what_they_are(caller: Caller, finished: str) -> None:
    study = Place.of(chest().datasets()[0]).study
    assert finished
    made = {one.Modality: one for one in objects_of(get(caller, study)) if one.Modality != "CT"}
    shown = {name: f"{Place.of(one).instance}/rendered" for name, one in made.items()}

    colours = picture(get(caller, shown["OT"]))
    segment = picture(get(caller, shown["SEG"]))
    document = get(caller, shown["DOC"])

    assert np.array_equal(colours, made["OT"].pixel_array)
    assert np.array_equal(segment, made["SEG"].pixel_array[0] * 255)
    assert document.headers["Content-Type"] == "application/pdf"
    assert document.data.startswith(b"%PDF")
    assert document.data.rstrip().endswith(b"%%EOF")
    assert get(caller, shown["SR"]).refusal == (406, "not_acceptable")
    assert values(caller.get(f"{study}/series").json, "Modality")[0] == "CT"
