"""The conformance statement of DICOMweb says what the code does, row by row."""

from typing import Final

import pytest
from apiflask import APIFlask
from pydicom.datadict import dictionary_VR

from api.dicomweb import dicomweb
from api.dicomweb.frames import FRAME_TYPES
from api.dicomweb.objects import EXPLICIT
from api.dicomweb.rendered import PICTURES
from api.dicomweb.results import USUAL
from api.dicomweb.search import LARGEST_PAGE, Level
from db.matching import INSTANCE_KEYS, SERIES_KEYS, STUDY_KEYS
from hilum.dicom import attributes
from hilum.dicom.matching import READERS
from hilum.dicom.metadata import LONGEST_INLINE
from hilum.dicom.picture import FUNCTIONS
from hilum.volume import LESION_WINDOW_HU
from tests.docs.places import read
from tests.docs.test_conformance import decodable, table
from tests.docs.test_routes import as_written

MATCHING: Final = {
    "CS": "list or wildcards",
    "DA": "range",
    "IS": "number",
    "LO": "wildcards",
    "PN": "name",
    "SH": "wildcards",
    "TM": "range",
    "UI": "list of UIDs",
}
"""How the statement names the way in which values of a representation are matched."""


@pytest.fixture(scope="module")
def addresses() -> set[str]:
    """Every address that is fetched from, below the root."""
    app = APIFlask(__name__)
    app.register_blueprint(dicomweb)
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("dicomweb.")]
    return {
        as_written(rule.rule).removeprefix("/dicom-web")
        for rule in rules
        if "GET" in (rule.methods or ())
    }


def test_every_address_is_named_and_no_other(addresses: set[str]) -> None:
    searched = {address for address, _, _ in table("search")}
    fetched = {address for address, _ in table("address")}

    assert searched | fetched == addresses
    assert not searched & fetched


def test_every_page_is_as_long_as_it_says() -> None:
    said = {(level, int(most)) for _, level, most in table("search")}

    assert said == {(level.value, most) for level, most in LARGEST_PAGE.items()}


def test_every_key_is_named_with_its_level_and_its_matching() -> None:
    said = {key: (level, matching) for key, level, matching in table("key")}

    levels = {Level.STUDY: STUDY_KEYS, Level.SERIES: SERIES_KEYS, Level.INSTANCE: INSTANCE_KEYS}
    assert said == {
        key: (level.value, MATCHING[dictionary_VR(key)])
        for level, keys in levels.items()
        for key in keys
    }
    assert set(MATCHING) == set(READERS)


def test_results_have_the_attributes_that_it_says() -> None:
    said = {level: tuple(names.split(", ")) for level, names in table("result of a search for")}

    assert said == {level.value: names for level, names in USUAL.items()}


def test_kept_attributes_are_those_that_it_says() -> None:
    said = {level: tuple(names.split(", ")) for level, names in table("kept of a")}

    assert said == {
        "study": attributes.STUDY,
        "series": attributes.SERIES,
        "instance": attributes.INSTANCE,
    }


def test_compressed_frames_have_the_media_types_that_it_says() -> None:
    said = dict(table("transfer syntax of frames"))

    assert said == FRAME_TYPES
    assert all(decodable(syntax) for syntax in FRAME_TYPES)


def test_numbers_and_names_in_its_sentences_are_those_of_the_code() -> None:
    said = read("conformance.md").partition("## DICOMweb")[2]

    low, high = LESION_WINDOW_HU
    assert f"through {low:.0f} to {high:.0f} HU" in said
    assert f"more than {LONGEST_INLINE} bytes" in said
    assert ", ".join(f"`{name}`" for name in FUNCTIONS) in said
    assert all(f"`{media_type}`" in said for media_type in PICTURES)
    assert EXPLICIT == "1.2.840.10008.1.2.1"
