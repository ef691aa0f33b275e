import pytest

from db.destinations import (
    add_destination,
    find_destination,
    list_destinations,
    remove_destination,
)
from db.session import Sessions
from db.tables import TenantRow
from db.tenants import add_tenant, set_policy
from hilum.catalogue import RESULTS
from hilum.destinations import ADDRESS, Dimse, Stow
from hilum.dicom.deidentify import Policy
from hilum.errors import InvalidRequest, UnknownDestination

PACS = Dimse("PACS", "pacs.example", 104)


def test_destination_is_found_under_its_name(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        add_destination(session, tenant.name, "pacs", PACS)

    with sessions.begin() as session:
        row = find_destination(session, tenant.name, "pacs")
        assert ADDRESS.validate_python(row.address) == PACS
        assert tuple(row.contents) == RESULTS


def test_two_hospitals_may_use_one_name(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        add_tenant(session, "charite")
        add_destination(session, tenant.name, "pacs", PACS)
        add_destination(session, "charite", "pacs", Stow("https://pacs.example"))

        listed = [(row.tenant.name, row.name) for row in list_destinations(session)]
    assert listed == [("charite", "pacs"), ("st-vincent", "pacs")]


@pytest.mark.parametrize(
    ("name", "contents", "reason"),
    [
        ("pacs", RESULTS, "already"),
        (" ", RESULTS, "expected 1 to 64 letters"),
        ("a/b", RESULTS, "expected 1 to 64 letters"),
        ("other", ("segmentation", "diagnosis"), "found diagnosis"),
        ("other", (), "found none"),
    ],
)
def test_what_makes_no_destination_is_refused(
    name: str, contents: tuple[str, ...], reason: str, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        add_destination(session, tenant.name, "pacs", PACS)

    with pytest.raises(InvalidRequest, match=reason), sessions.begin() as session:
        add_destination(session, tenant.name, name, PACS, contents=contents)


def test_destination_that_could_get_nothing_without_the_patient_is_refused(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        set_policy(session, tenant.name, Policy("k" * 64))

    with (
        pytest.raises(InvalidRequest, match="segmentation or originals"),
        sessions.begin() as session,
    ):
        add_destination(
            session, tenant.name, "research", PACS, contents=["measurements"], deidentify=True
        )


def test_destination_of_nobody_is_refused(sessions: Sessions) -> None:
    with pytest.raises(InvalidRequest, match="no tenant"), sessions.begin() as session:
        add_destination(session, "nobody", "pacs", PACS)


def test_removed_destination_is_unknown(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        add_destination(session, tenant.name, "pacs", PACS)
        remove_destination(session, tenant.name, "pacs")

    with pytest.raises(UnknownDestination, match="'pacs'"), sessions.begin() as session:
        remove_destination(session, tenant.name, "pacs")
