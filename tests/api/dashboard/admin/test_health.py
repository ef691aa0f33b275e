"""How the installation is, as who administers everything sees it."""

from pathlib import Path

import pytest

from api import create_app
from api.parts import EXTENSION
from db.session import Sessions
from db.tables import TenantRow
from db.upkeep import note_upkeep
from db.workers import Load, Work, heartbeat
from hilum import __version__
from hilum.settings import Settings
from tests.api.dashboard.conftest import PASSWORD
from tests.api.dashboard.visitor import Visitor, words
from tests.db.factories import finished_job, have_worker, queue_job
from tests.db.test_workers import make_worker
from tests.hilum.test_certificates import make_certificate

HEALTH = "/admin/health"
NETWORKS = "/admin/networks"


def test_sound_installation_is_said_to_be_sound(
    admin: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        have_worker(session)
        note_upkeep(session, "beat:1")
        finished_job(session, tenant.id)

    said = words(admin.get(HEALTH))

    for part in ("Everything is as it should be.", "1 workers live", "1 succeeded", "PostgreSQL"):
        assert part in said
    assert f"Hilum {__version__}" in said
    assert "1 workers live" in words(admin.get(f"{HEALTH}/now"))


def test_what_is_missing_is_named(admin: Visitor, tenant: TenantRow, sessions: Sessions) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        job.queued_at = job.created_at.replace(year=2020)

    said = words(admin.get(HEALTH))

    assert "Something does not work." in said
    assert "start `hilum beat`" in said
    assert "0 workers live" in said


@pytest.mark.usefixtures("admin")
def test_queue_that_is_away_is_told_without_its_password(settings: Settings) -> None:
    away = create_app(settings.model_copy(update={"redis_url": "redis://:geheim@127.0.0.1:9/0"}))
    visitor = Visitor(away.test_client())
    visitor.sign_in("ada.admin", PASSWORD)

    page = visitor.get(HEALTH)

    assert "The message broker does not answer." in words(page)
    assert "geheim" not in page.text
    away.extensions[EXTENSION].close()


@pytest.mark.usefixtures("admin")
def test_certificate_that_is_soon_over_is_told_with_its_days(
    settings: Settings, tmp_path: Path
) -> None:
    certificate, authorities = (make_certificate(tmp_path, days) for days in (20, 400))
    named = {"dimse_certificate": str(certificate), "dimse_authorities": str(authorities)}
    app = create_app(settings.model_copy(update=named))
    visitor = Visitor(app.test_client())
    visitor.sign_in("ada.admin", PASSWORD)

    said = words(visitor.get(HEALTH))

    assert f"DICOM certificate warn {certificate} is valid for 19 more days" in said
    assert "renew it" in said
    assert f"DICOM authorities ok {authorities} is valid for 399 more days" in said
    app.extensions[EXTENSION].close()


def test_networks_are_shown_with_who_has_them(
    admin: Visitor, sessions: Sessions, settings: Settings
) -> None:
    with sessions.begin() as session:
        heartbeat(session, make_worker("ward-3:17"), Work(), Load(["ward@1.0.0"]))
    broken = Path(settings.weights) / "half-1.0.0.json"
    broken.write_text("{}")

    said = words(admin.get(NETWORKS))

    assert "ward@1.0.0 runs where none is named your own" in said
    assert "Loaded by ward-3:17" in said
    assert "resnet50@" in said
    assert f"{broken.name}: lacks" in said


@pytest.mark.parametrize("who", ["reader", "operator", "chief"])
@pytest.mark.parametrize("page", [HEALTH, f"{HEALTH}/now", NETWORKS])
def test_page_is_for_those_who_administer_everything(
    who: str, page: str, request: pytest.FixtureRequest
) -> None:
    visitor: Visitor = request.getfixturevalue(who)

    assert visitor.get(page).status_code == 403
