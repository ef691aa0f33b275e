from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from db.session import Sessions
from db.thresholds import (
    add_thresholds,
    choose_thresholds,
    current_thresholds,
    current_use,
    list_thresholds,
    list_uses,
    thresholds_named,
)
from hilum.errors import InvalidRequest
from hilum.grading import MOSMED, Grade, Thresholds

OWN = Thresholds("ward-7.1", 0.01, (0.2, 0.5, 0.75), Grade.CT_2, 0.05, 0.003, "The ward's choice.")


def test_installation_that_chose_nothing_goes_by_those_that_ship(sessions: Sessions) -> None:
    with sessions.begin() as session:
        assert current_thresholds(session) == thresholds_named(session) == MOSMED
        assert current_use(session) is None
        assert [kept.thresholds for kept in list_thresholds(session)] == [MOSMED]


def test_own_set_comes_back_number_for_number(sessions: Sessions) -> None:
    odd = replace(OWN, finding_from=0.1 + 0.2, bins=(1 / 3, 2 / 3, 0.9999999999999999))
    with sessions.begin() as session:
        add_thresholds(session, odd, by="user ada")

    with sessions.begin() as session:
        kept = list_thresholds(session)[-1]
        assert thresholds_named(session, odd.version) == kept.thresholds == odd
    assert (kept.made_by, kept.made_at is not None) == ("user ada", True)


def test_what_is_added_twice_is_kept_once_and_never_changed(sessions: Sessions) -> None:
    with sessions.begin() as session:
        added = [add_thresholds(session, OWN, by=who) for who in ("user ada", "user bob")]
        with pytest.raises(InvalidRequest, match="other numbers are a new version"):
            add_thresholds(session, replace(OWN, finding_from=0.02), by="user bob")

    with sessions.begin() as session:
        kept = list_thresholds(session)[-1]
    assert added == [True, False]
    assert (kept.thresholds, kept.made_by) == (OWN, "user ada")


def test_two_that_add_the_same_at_once_keep_it_once(sessions: Sessions) -> None:
    def add(who: str) -> bool:
        with sessions.begin() as session:
            return add_thresholds(session, OWN, by=who)

    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(add, "abcd"))

    assert sorted(added) == [False, False, False, True]


def test_set_that_makes_no_sense_is_not_kept(sessions: Sessions) -> None:
    with sessions.begin() as session:
        with pytest.raises(InvalidRequest, match="rise"):
            add_thresholds(session, replace(OWN, bins=(0.5, 0.2, 0.75)), by="user ada")

        assert len(list_thresholds(session)) == 1


def test_chosen_set_is_used_from_then_on_until_another_is(sessions: Sessions) -> None:
    with sessions.begin() as session:
        add_thresholds(session, OWN, by="user ada")
        before = current_thresholds(session)
    for version, by in ((OWN.version, "user ada"), (OWN.version, "again"), (MOSMED.version, "bob")):
        with sessions.begin() as session:
            choose_thresholds(session, version, by=by)

    with sessions.begin() as session:
        uses = [(use.version, use.chosen_by) for use in list_uses(session, 10)]
        assert (before, current_thresholds(session)) == (MOSMED, MOSMED)
    assert uses == [(MOSMED.version, "bob"), (OWN.version, "user ada")]


def test_unknown_version_is_refused_with_those_there_are(sessions: Sessions) -> None:
    with sessions.begin() as session:
        add_thresholds(session, OWN, by="user ada")

        for ask in (thresholds_named, lambda s, v: choose_thresholds(s, v, by="user ada")):
            with pytest.raises(InvalidRequest, match=f"{MOSMED.version}, {OWN.version}"):
                ask(session, "lenient")
