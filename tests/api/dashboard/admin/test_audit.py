"""The page of the audit log."""

import csv
import io
import re
from importlib import import_module
from uuid import uuid4

import pytest
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from db.audit import append, read_head
from db.session import Sessions
from db.tables import AuditRow, TenantRow
from hilum.audit import Action, Entry, read_lines, verify
from tests.api.dashboard.visitor import Visitor, words

AUDIT = "/admin/audit"


@pytest.fixture
def log(sessions: Sessions, tenant: TenantRow, elsewhere: TenantRow) -> None:
    """Entries of two hospitals, and one of none."""
    with sessions.begin() as session:
        append(
            session,
            Entry("user rita", Action.CASE_VIEWED, tenant.id, "case-of-ours", {"n": 1}, "10.0.0.1"),
            Entry("user olga", Action.KEY_MADE, elsewhere.id, "key-of-theirs"),
            Entry("command root", Action.AUDIT_VERIFIED, None, "of-nobody"),
            Entry("=cmd()", Action.SIGN_IN_FAILED, tenant.id, "<script>alert(1)</script>"),
        )


def shown(visitor: Visitor, **asked: str) -> set[str]:
    page = words(visitor.get(AUDIT, **asked))
    names = ("case-of-ours", "key-of-theirs", "of-nobody", "<script>alert(1)</script>")
    return {name for name in names if name in page}


OURS = {"case-of-ours", "<script>alert(1)</script>"}


@pytest.mark.usefixtures("log")
def test_everybody_sees_the_entries_of_what_they_administer(
    admin: Visitor, chief: Visitor, outsider: Visitor
) -> None:
    assert shown(admin) == {*OURS, "key-of-theirs", "of-nobody"}
    assert shown(chief) == OURS
    assert shown(outsider) == {"key-of-theirs"}


@pytest.mark.usefixtures("log")
def test_list_is_narrowed_by_every_field(admin: Visitor, tenant: TenantRow) -> None:
    assert shown(admin, by="user r") == {"case-of-ours"}
    assert shown(admin, action="key") == {"key-of-theirs"}
    assert shown(admin, action="audit.verified") == {"of-nobody"}
    assert shown(admin, subject="of-nobody") == {"of-nobody"}
    assert shown(admin, tenant=str(tenant.id)) == OURS
    assert shown(admin, since="2100-01-01") == set()
    assert shown(admin, until="2020-01-01") == set()
    assert shown(admin, since="2020-01-01", until="2100-01-01", by="user") == {
        "case-of-ours",
        "key-of-theirs",
    }


@pytest.mark.usefixtures("log")
def test_what_somebody_typed_is_text_on_the_page(chief: Visitor) -> None:
    page = chief.get(AUDIT, by='"><script>alert(2)</script>').text

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(2)" in page


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("by", "x" * 201, 422),
        ("by", "a\x00b", 422),
        ("subject", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), 422),
        ("action", "no.such", 422),
        ("tenant", "7", 422),
        ("tenant", str(uuid4()), 404),
        ("since", "yesterday", 422),
        ("until", "9999-12-31", 422),
        ("cursor", "made-up", 422),
        ("cursor", "x" * 5000, 422),
    ],
)
def test_filter_that_makes_no_sense_is_explained(
    chief: Visitor, field: str, value: str, status: int
) -> None:
    answer = chief.get(AUDIT, **{field: value})

    assert answer.status_code == status
    assert answer.mimetype == "text/html"


def test_hospital_of_others_is_unknown(chief: Visitor, elsewhere: TenantRow) -> None:
    assert chief.get(AUDIT, tenant=str(elsewhere.id)).status_code == 404
    assert chief.get(f"{AUDIT}/export", tenant=str(elsewhere.id)).status_code == 404


def test_pages_lead_to_older_entries(chief: Visitor, sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        entries = [
            Entry("user rita", Action.CASE_VIEWED, tenant.id, f"case-{number:03}")
            for number in range(70)
        ]
        append(session, *entries)

    first = chief.get(AUDIT, by="user rita")
    link = first.text.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    second = chief.get(link)

    assert "case-069" in first.text
    assert "case-019" not in first.text
    assert "case-019" in second.text
    assert "case-020" not in second.text
    assert "Older entries" not in second.text


# ── Files ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("log")
def test_file_is_verified_without_the_server(admin: Visitor, sessions: Sessions) -> None:
    answer = admin.get(f"{AUDIT}/export")

    found = verify(read_lines(answer.text.splitlines()))
    with sessions.begin() as session:
        assert (found.is_whole, found.head) == (True, read_head(session))
        newest = session.get_one(AuditRow, found.head.count)
    assert (newest.action, newest.by) == (Action.AUDIT_EXPORTED, "user ada.admin")
    assert "attachment" in answer.headers["Content-Disposition"]


@pytest.mark.usefixtures("log")
def test_file_holds_what_they_administer_and_what_they_chose(chief: Visitor) -> None:
    lines = chief.get(f"{AUDIT}/export", action="case").text.splitlines()

    (record,) = read_lines(lines)
    assert record.entry.subject == "case-of-ours"
    assert verify([record], is_part=True).is_whole


@pytest.mark.usefixtures("log")
def test_table_runs_nothing_in_a_spreadsheet(chief: Visitor) -> None:
    answer = chief.get(f"{AUDIT}/export", format="csv", action="session.sign_in_failed")

    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert "'=cmd()" in {row["by"] for row in rows}
    assert answer.mimetype == "text/csv"


# ── Verifying ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("log")
def test_log_that_nobody_changed_is_said_to_be_whole_with_its_head(
    admin: Visitor, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        head = read_head(session)

    page = words(admin.post(f"{AUDIT}/verify"))

    assert f"{head.count} entries are as they were written" in page
    assert head.sha256 in page
    with sessions.begin() as session:
        newest = session.scalars(select(AuditRow).order_by(AuditRow.id.desc()).limit(1)).one()
    assert newest.detail == {"entries": head.count, "is_whole": True}


@pytest.mark.usefixtures("log")
def test_log_that_somebody_changed_is_said_to_be(admin: Visitor, sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.execute(text("ALTER TABLE audit DISABLE TRIGGER audit_is_appended_to"))
        session.execute(text("UPDATE audit SET by = 'nobody' WHERE id = 2"))
        session.execute(text("ALTER TABLE audit ENABLE TRIGGER audit_is_appended_to"))

    page = words(admin.post(f"{AUDIT}/verify"))

    assert "The log was changed Entry 2 is not what was written." in page


@pytest.mark.usefixtures("log")
def test_end_that_was_cut_off_shows_against_what_was_kept(admin: Visitor) -> None:
    kept = {"count": "9999", "sha256": "ab" * 32}

    page = words(admin.post(f"{AUDIT}/verify", kept))

    assert "expected 9999 or more" in page


@pytest.mark.parametrize(
    "form", [{"count": "3"}, {"sha256": "ab"}, {"count": "x", "sha256": "ab"}, {"count": "9" * 30}]
)
def test_half_of_a_head_is_explained(admin: Visitor, form: dict[str, str]) -> None:
    assert admin.post(f"{AUDIT}/verify", form).status_code == 422


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a look at two entries take as long as a request may."""
    monkeypatch.setattr("db.audit.AT_ONCE", 2)
    # The package calls its blueprint by the same name.
    monkeypatch.setattr(import_module("api.dashboard.admin.audit"), "LONGEST_S", 0.0)


def fields(page: TestResponse) -> dict[str, str]:
    """What the form holds that goes on with a look."""
    form = page.text.partition("Every entry is looked at")[2].partition("</form>")[0]
    return dict(re.findall(r'type="hidden" name="([a-z0-9_]+)" value="([^"]*)"', form))


def look(visitor: Visitor, **form: str) -> list[TestResponse]:
    """Look at the log as the page does, part by part."""
    answers = [visitor.post(f"{AUDIT}/verify", form)]
    while sent := fields(answers[-1]):
        assert len(answers) < 99
        answers.append(visitor.post(f"{AUDIT}/verify", sent))
    return answers


@pytest.mark.usefixtures("log", "slow")
def test_long_log_is_looked_at_part_by_part(admin: Visitor, sessions: Sessions) -> None:
    with sessions.begin() as session:
        head = read_head(session)

    *parts, last = look(admin, count=str(head.count), sha256=head.sha256)

    assert f'<progress max="{head.count}" value="2"' in parts[0].text
    assert len(parts) == head.count // 2
    assert f"{head.count} entries are as they were written" in words(last)
    with sessions.begin() as session:
        verified = select(AuditRow).where(
            AuditRow.action == Action.AUDIT_VERIFIED, AuditRow.id > head.count
        )
        entry = session.scalars(verified).one()
    assert entry.detail == {"entries": head.count, "is_whole": True}


@pytest.mark.usefixtures("log", "slow")
def test_change_and_cut_show_in_whichever_part_they_are(admin: Visitor, sessions: Sessions) -> None:
    cut = look(admin, count="9999", sha256="ab" * 32)
    other = look(admin, count="1", sha256="ab" * 32)
    with sessions.begin() as session:
        session.execute(text("ALTER TABLE audit DISABLE TRIGGER audit_is_appended_to"))
        session.execute(text("UPDATE audit SET by = 'nobody' WHERE id = 4"))
        session.execute(text("ALTER TABLE audit ENABLE TRIGGER audit_is_appended_to"))
    changed = look(admin)

    assert "expected 9999 or more" in words(cut[-1])
    assert "Entry 1 is not the one whose hash was kept elsewhere" in words(other[-1])
    assert "Entry 4 is not what was written. The 3 entries before it" in words(changed[-1])
    assert (len(cut) > 2, len(other), len(changed)) == (True, 1, 2)


@pytest.mark.usefixtures("log", "slow")
@pytest.mark.parametrize(
    "forged",
    [{"after": "4"}, {"after_sha256": "0" * 64}, {"seal": ""}, {"count": "1", "sha256": "0" * 64}],
)
def test_nobody_goes_on_from_where_no_look_has_been(admin: Visitor, forged: dict[str, str]) -> None:
    sent = fields(admin.post(f"{AUDIT}/verify"))

    assert admin.post(f"{AUDIT}/verify", sent | forged).status_code == 422


@pytest.mark.usefixtures("log", "slow")
def test_part_is_given_to_the_page_that_asks_for_it(admin: Visitor) -> None:
    sent = fields(admin.post(f"{AUDIT}/verify")) | {"form_token": admin.token()}

    part = admin.client.post(f"{AUDIT}/verify", data=sent, headers={"HX-Request": "true"})

    assert "<progress" in part.text
    assert "<main" not in part.text


def test_one_chain_of_all_hospitals_is_verified_by_who_administers_all(chief: Visitor) -> None:
    assert chief.post(f"{AUDIT}/verify").status_code == 403
    assert "Verify" not in words(chief.get(AUDIT))


@pytest.mark.parametrize("path", [AUDIT, f"{AUDIT}/export"])
def test_log_is_for_who_administers(
    reader: Visitor, operator: Visitor, nobody: Visitor, path: str
) -> None:
    assert reader.get(path).status_code == operator.get(path).status_code == 403
    assert nobody.get(path).status_code == 303


def test_form_of_another_sign_in_is_refused(admin: Visitor) -> None:
    assert admin.post(f"{AUDIT}/verify", token="0" * 64).status_code == 403
