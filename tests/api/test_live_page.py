"""Pages in a real browser: they follow what happens by their streams."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.links import Links
from db.claims import fail_job, report_progress
from db.session import Sessions
from db.tables import TenantRow
from hilum.jobs import Stage
from hilum.settings import Settings
from tests.api.browser import Tab, browser
from tests.api.server import Server, running_server
from tests.db.factories import claim, queue_job


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    with running_server(settings.model_copy(update={"log_level": "ERROR"})) as server:
        yield server


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Tab]:
    with browser(tmp_path / "browser") as tab:
        yield tab


def test_page_of_a_job_moves_with_it_and_is_another_one_when_it_has_ended(
    server: Server, tab: Tab, settings: Settings, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
    token = Links(settings.secret_key).token(tenant.id, job.id)

    tab.open(f"{server.url}/jobs/{job.id}?token={token}")
    tab.wait_for("document.body.innerText.includes('Next in the queue')")
    tab.run("window.isTheSamePage = true")
    with sessions.begin() as session:
        held = claim(session, job)
        report_progress(session, held, Stage.SLICES, 5, 10, lease_s=600)
    tab.wait_for("document.body.innerText.includes('slices 5 of 10')")

    assert tab.run("document.querySelector('h1').textContent") == "Job running"
    assert tab.run("document.querySelector('progress').value") == pytest.approx(0.56)
    assert tab.run("window.isTheSamePage")

    with sessions.begin() as session:
        fail_job(session, held, "missing_slices", "5.0 mm are missing.")
    tab.wait_for("document.body.innerText.includes('5.0 mm are missing.')")
    assert not tab.run("window.isTheSamePage")


def test_list_of_jobs_shows_one_that_is_sent_while_it_is_looked_at(
    server: Server, tab: Tab, settings: Settings, sessions: Sessions, tenant: TenantRow
) -> None:
    tab.open(f"{server.url}/?token={Links(settings.secret_key).token(tenant.id)}")
    tab.wait_for("document.body.innerText.includes('No study has been sent yet')")

    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        held = claim(session, job)
    tab.wait_for(f"document.body.innerText.includes('{job.id}')")
    with sessions.begin() as session:
        report_progress(session, held, Stage.SLICES, 5, 10, lease_s=600)

    tab.wait_for(f"document.getElementById('fraction-{job.id}').value > 0.5")
