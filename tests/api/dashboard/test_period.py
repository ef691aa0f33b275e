from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from api.dashboard.period import Period
from hilum.errors import InvalidRequest

VIENNA = ZoneInfo("Europe/Vienna")


def of(first: str, last: str) -> Period:
    return Period.of({"from": first, "to": last}, VIENNA)


def test_last_days_end_with_today() -> None:
    period = Period.of({"days": "7"}, VIENNA)

    assert period.last == datetime.now(VIENNA).date()
    assert len(period.days) == 7
    assert period.choice == 7


def test_dates_stand_before_a_number_of_days() -> None:
    period = Period.of({"days": "7", "from": "2026-03-01", "to": "2026-03-31"}, VIENNA)

    assert (period.first, period.last) == (date(2026, 3, 1), date(2026, 3, 31))
    assert period.choice is None
    assert len(period.days) == 31


def test_period_begins_and_ends_at_midnight_of_its_zone() -> None:
    period = of("2026-03-01", "2026-03-01")

    assert period.since.astimezone(UTC) == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert period.until - period.since == timedelta(days=1)


def test_day_on_which_the_clock_is_put_forward_has_23_hours() -> None:
    period = of("2026-03-29", "2026-03-29")

    assert period.until.astimezone(UTC) - period.since.astimezone(UTC) == timedelta(hours=23)


def test_longest_period_is_three_years() -> None:
    assert len(of("2023-01-01", "2026-01-02").days) == 1098

    with pytest.raises(InvalidRequest, match="1 to 1098 days"):
        of("2023-01-01", "2026-01-03")
