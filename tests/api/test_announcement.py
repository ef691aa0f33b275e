"""What is said of a study in pieces before any byte is sent."""

from typing import Any

import pytest

from hilum.settings import Settings
from tests.api.pieces import Pieces, folders


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"pipeline": "mr-brain"}, 422, "unknown_pipeline"),
        ({"network": "nobody"}, 422, "unknown_network"),
        ({"priority": "now"}, 422, "invalid_request"),
        ({"prority": "stat"}, 422, "invalid_request"),
        ({"callback_url": "http://127.0.0.1/"}, 422, "unsafe_callback"),
        ({"idempotency_key": "ä b"}, 422, "invalid_request"),
        ({"filetype": "image/png"}, 415, "unsupported_media_type"),
    ],
)
def test_wrong_order_is_refused_at_once(
    pieces: Pieces, settings: Settings, fields: dict[str, str], status: int, code: str
) -> None:
    assert pieces.announce(10, **fields).refusal == (status, code)

    assert not folders(settings)


@pytest.mark.parametrize(
    ("length", "status", "code"),
    [
        (0, 400, "empty_upload"),
        (5 * 1024**4, 413, "upload_too_large"),
        ("x", 422, "invalid_request"),
    ],
)
def test_length_that_is_not_taken_is_refused_at_once(
    pieces: Pieces, length: Any, status: int, code: str
) -> None:
    answer = pieces.announce(length)

    assert answer.refusal == (status, code)
    assert int(answer.headers["Tus-Max-Size"]) > 0
