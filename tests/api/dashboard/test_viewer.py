"""What the page of a case hands to its viewer."""

import json
import re
from typing import Any

import numpy as np

from api.dashboard.viewer import VIEWS, WINDOWS_HU
from tests.api.caller import Caller
from tests.api.dashboard.visitor import Visitor
from tests.phantoms import SLICES, chest


def viewer_in(page: str) -> Any:
    [found] = re.findall(r"data-viewer-case>(.*?)</script>", page, re.DOTALL)
    return json.loads(found)


def test_viewer_is_told_where_everything_is(reader: Visitor, finished: str) -> None:
    viewer = viewer_in(reader.get(f"/cases/{finished}").text)

    places = [viewer["volume"], viewer["lesions"], viewer["lungs"], viewer["script"]]
    places.append(viewer["picture"].replace("{index}", str(viewer["begin"])))
    for place in places:
        with reader.client.get(place) as answer:
            assert answer.status_code == 200


def test_viewer_begins_where_most_is_to_be_seen(reader: Visitor, finished: str) -> None:
    viewer = viewer_in(reader.get(f"/cases/{finished}").text)

    assert viewer["count"] == SLICES
    assert viewer["begin"] == np.argmax((chest().lesions > 0).sum(axis=(1, 2)))


def test_viewer_has_the_colours_of_the_pictures(reader: Visitor, finished: str) -> None:
    viewer = viewer_in(reader.get(f"/cases/{finished}").text)

    assert [label["name"] for label in viewer["labels"]] == [
        "ground-glass opacity",
        "consolidation",
    ]
    assert viewer["windows"] == {name: list(ends) for name, ends in WINDOWS_HU.items()}
    assert viewer["views"] == VIEWS


def test_case_that_waits_has_no_viewer(reader: Visitor, caller: Caller, archive: bytes) -> None:
    job_id = caller.send(archive).json["id"]

    assert "data-viewer" not in reader.get(f"/cases/{job_id}").text


def test_page_allows_no_script_but_its_own_files(reader: Visitor, finished: str) -> None:
    answer = reader.get(f"/cases/{finished}")

    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert not re.search(r"\sstyle=|\son[a-z]+=", answer.text)
