"""What people and hospitals call things may be long; what matters stays on the screen."""

import pytest
from playwright.sync_api import Page

from db.claims import fail_job
from db.session import Sessions
from db.tables import TenantRow
from db.tenants import add_tenant
from hilum.people import Role
from tests.browser.conftest import SignIn
from tests.db.factories import claim, finished_job, queue_job, study_of

DESK, TELEPHONE = 1440, 390
UID = "1.2.826.0.1.3680043.8.498." + "1234567890" * 3
NAMES = ["Wolfeschlegelsteinhausenbergerdorff" + "e" * 25, "4" * 60]


@pytest.fixture
def wide(sessions: Sessions, tenant: TenantRow) -> str:
    """Cases whose patients have long names, one of them failed, which is returned."""
    with sessions.begin() as session:
        for name in NAMES:
            study = study_of(session, tenant.id, name=name, number="9" * 40)
            finished_job(session, tenant.id, 0.3, study_id=study.id)
        job = queue_job(session, tenant.id)
        words = f"Series {UID} of study {UID} has slices 5.0 mm apart."
        fail_job(session, claim(session, job), "missing_slices", words)
        add_tenant(session, "Universitätsklinikum und Medizinische Fakultät " + "X" * 17)
        return str(job.id)


@pytest.mark.parametrize("width", [DESK, TELEPHONE])
def test_long_names_leave_verdict_and_share_on_the_screen(
    reader: Page, wide: str, width: int
) -> None:
    reader.set_viewport_size({"width": width, "height": 900})
    reader.goto("/cases")

    for what in (".who", ".verdict", "td.n"):
        for one in reader.locator(f".cases {what}").all():
            box = one.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= width, what
    failed = reader.locator(f"#case-{wide}")
    assert failed.get_by_text("failed", exact=True).locator("visible=true").count() == 1
    assert reader.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("path", ["/queue", "/cases/{job}"])
def test_long_sentences_and_names_fit_a_telephone(sign_in: SignIn, wide: str, path: str) -> None:
    page = sign_in(Role.ADMIN, everywhere=True)
    page.set_viewport_size({"width": TELEPHONE, "height": 900})

    page.goto(path.format(job=wide))

    assert page.evaluate("document.documentElement.scrollWidth") == TELEPHONE


def test_audit_log_fits_a_desk(sign_in: SignIn, wide: str) -> None:
    page = sign_in(Role.ADMIN, everywhere=True)
    page.goto(f"/cases/{wide}")
    page.set_viewport_size({"width": DESK, "height": 900})

    page.goto("/admin/audit")

    box = page.get_by_role("region", name="Entries")
    assert box.evaluate("(one) => one.scrollWidth - one.clientWidth") == 0
