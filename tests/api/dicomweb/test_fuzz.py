"""Whatever is asked, nothing crashes."""

from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from api.dicomweb.search import KEYS, PARAMETERS, Level
from tests.api.caller import Caller
from tests.api.dicomweb.place import ROOT, Place, get, tag
from tests.api.dicomweb.ward import Send
from tests.api.test_fuzz import bounded

many = settings(bounded, max_examples=150)

text = st.text(max_size=40) | st.text("0123456789.-,\\*?%_[] ", max_size=40)
keywords = st.sampled_from(sorted(KEYS[Level.INSTANCE] | PARAMETERS - {"accept"}))
names = keywords | text
queries = st.lists(st.tuples(names, text), max_size=4)
numbers = st.sampled_from(["-1", "0", "1", "2", "999999999", "1000000000", "1" * 30, "1e3", ""])

accepts = st.sampled_from(
    [
        "*/*",
        "application/dicom",
        "application/dicom+json",
        "image/*",
        'multipart/related; type="*/*"; transfer-syntax=*',
        'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.5',
        'multipart/related; type="',
        "multipart/related; type=; transfer-syntax",
        ";q=x",
        "/",
    ]
) | st.text("abc/*;=\",+-. '", max_size=60)


def parts(place: Place) -> st.SearchStrategy[str]:
    """Make paths of real and of made-up pieces."""
    words = ["studies", "series", "instances", "metadata", "frames", "rendered", "bulkdata"]
    real = [place.study_uid, place.series_uid, place.sop_uid, "1", "1,2", "7FE00010", "00280010"]
    piece = st.sampled_from([*words, *real]) | text.map(lambda each: quote(each, safe=""))
    known = st.sampled_from([place.study, place.series, place.instance])
    free = st.lists(piece, max_size=7).map(lambda pieces: "/".join([ROOT, *pieces]))
    below = st.tuples(known, st.lists(piece, max_size=4)).map(
        lambda both: "/".join([both[0], *both[1]])
    )
    return free | below


def test_no_query_crashes_a_search(caller: Caller, send: Send, slices: list[Dataset]) -> None:
    send(slices)
    place = Place.of(slices[0])
    paths = [f"{ROOT}/studies", f"{ROOT}/series", f"{ROOT}/instances", f"{place.series}/instances"]

    @many
    @given(st.sampled_from(paths), queries, st.none() | numbers, st.none() | numbers)
    def answers(
        path: str, query: list[tuple[str, str]], limit: str | None, offset: str | None
    ) -> None:
        page = {"limit": limit, "offset": offset}
        pairs = [*query, *((name, value) for name, value in page.items() if value is not None)]
        line = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
        answer = caller.get(f"{path}?{line}")
        assert answer.status in {200, 400}, answer.text
        assert answer.status == 200 or answer.refusal == (400, "invalid_request")

    answers()


def test_no_key_of_any_level_crashes_by_tag_or_by_name(caller: Caller) -> None:
    keys = st.sampled_from(sorted(KEYS[Level.INSTANCE]))

    @many
    @given(keys | keys.map(tag) | keys.map(tag).map(str.lower), text)
    def answers(name: str, value: str) -> None:
        answer = caller.get(f"{ROOT}/instances?{name}={quote(value)}")
        assert answer.status in {200, 400}, answer.text

    answers()


def test_no_path_crashes(caller: Caller, send: Send, slices: list[Dataset]) -> None:
    send(slices)

    @many
    @given(parts(Place.of(slices[0])), accepts)
    def answers(path: str, accept: str) -> None:
        answer = get(caller, path, accept)
        assert answer.status in {200, 308, 400, 404, 405, 406, 422}, answer.text

    answers()
