import os
import time
from pathlib import Path

import pytest
from apiflask import APIFlask

from api import create_app, shelf
from api.parts import EXTENSION
from api.shelf import Shelf
from db.tables import TenantRow
from hilum.errors import StorageFull
from hilum.settings import Settings
from tests.api.caller import Caller
from tests.api.pieces import Pieces, folders

DAY_S = 24 * 3600


def age(folder: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(folder / "data", (then, then))


def test_upload_outlives_the_process_that_began_it(
    app: APIFlask, pieces: Pieces, settings: Settings, archive: bytes
) -> None:
    path = pieces.begin(len(archive))
    pieces.patch(path, 0, archive[:1000])
    app.extensions[EXTENSION].close()

    later = create_app(settings)
    client = Pieces(Caller(later.test_client(), pieces.caller.key))
    offset = client.offset(path)
    job = client.patch(path, 1000, archive[1000:]).headers["Hilum-Job"]

    assert offset == 1000
    assert client.caller.get(job).status == 200
    later.extensions[EXTENSION].close()


def test_upload_is_forgotten_a_day_after_its_last_byte(pieces: Pieces, settings: Settings) -> None:
    path = pieces.begin(10)
    [folder] = folders(settings)

    age(folder, DAY_S - 60)
    assert pieces.offset(path) == 0
    age(folder, DAY_S + 60)

    assert pieces.call("HEAD", path).status == 404
    assert pieces.patch(path, 0, b"1").refusal == (404, "unknown_upload")


def test_expired_uploads_make_room_for_the_next(pieces: Pieces, settings: Settings) -> None:
    pieces.begin(10)
    [old] = folders(settings)
    age(old, DAY_S + 60)
    half_made = settings.spool_dir / shelf.FOLDER / f"{shelf.NEW}x"
    half_made.mkdir()

    pieces.begin(10)

    assert len(folders(settings)) == 1
    assert not old.exists()
    assert not half_made.exists()


def test_announced_bytes_of_all_uploads_must_fit_the_disk(
    pieces: Pieces, stranger: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(shelf, "check_free", lambda *_args, needed, **_more: asked.append(needed))

    pieces.patch(pieces.begin(1000), 0, b"1234")
    Pieces(stranger).begin(100)

    assert asked == [1000, 1096]


def test_a_tenant_begins_only_so_many_uploads(
    pieces: Pieces, stranger: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "MAX_OPEN", 2)
    paths = [pieces.begin(10), pieces.begin(10)]

    answer = pieces.announce(10)

    assert answer.refusal == (429, "too_many_uploads")
    assert Pieces(stranger).announce(10).status == 201
    pieces.call("DELETE", paths[0])
    assert pieces.announce(10).status == 201


def test_announcement_that_the_disk_cannot_hold_is_refused(
    settings: Settings, tenant: TenantRow
) -> None:
    full = Shelf.of(settings.model_copy(update={"min_free_mb": 10**9}))

    with pytest.raises(StorageFull):
        full.add(tenant.id, length=10, metadata="")

    assert not folders(settings)
