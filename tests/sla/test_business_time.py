"""Calendars: what is refused, and what business time means where it is not obvious."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ticketry.sla.business_time import (
    CalendarError,
    check_calendar,
    epoch,
    instant_after,
    library_stretches,
    seconds_between,
)
from ticketry.sla.models import Calendar

HOUR = 3600
OFFICE = "Mo-Fr 09:00-17:00"


def local(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(
    ("hours", "zone", "country", "field", "message"),
    [
        ("Mo-Fr 9-", "UTC", None, "opening_hours", "line 1, column 7: expected "),
        ("Mo-Fr 09:00-17:00; Frx", "UTC", None, "opening_hours", "line 1, column 22: expected "),
        ("Mo-Fr 09:00-25:99", "UTC", None, "opening_hours", "line 1, column 16: expected minute"),
        ("nine to five", "UTC", None, "opening_hours", "line 1, column 1: expected "),
        ("", "UTC", None, "opening_hours", "must be 1 to 1000 characters"),
        ("   ", "UTC", None, "opening_hours", "must be 1 to 1000 characters"),
        (";".join([OFFICE] * 100), "UTC", None, "opening_hours", "must be 1 to 1000 characters"),
        (OFFICE, "Mars/Olympus", None, "time_zone", "'Mars/Olympus' is no known IANA time zone"),
        (OFFICE, "Europe", None, "time_zone", "is no known"),
        (OFFICE, "", None, "time_zone", "is no known"),
        (OFFICE, "../../etc/passwd", None, "time_zone", "is no known"),
        (OFFICE, "a" * 500, None, "time_zone", "is no known"),
        (OFFICE, "Europe/\0", None, "time_zone", "is no known"),
        (OFFICE, "localtime", None, "time_zone", "is no known"),
        (OFFICE, "UTC", "XX", "country", "Unknown ISO code `XX`"),
        (OFFICE, "UTC", "de", "country", "Unknown ISO code `de`"),
        (f"{OFFICE}; PH off", "UTC", None, "country", "public holidays"),
    ],
)
def test_a_wrong_calendar_is_refused_by_field_and_place(
    hours: str, zone: str, country: str | None, field: str, message: str
) -> None:
    with pytest.raises(CalendarError) as caught:
        check_calendar(hours, zone, country)
    assert caught.value.field == field
    assert message in caught.value.message
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("hours", "country"),
    [
        ("24/7", None),
        (OFFICE, "DE"),
        ("Mo-Fr 09:00-12:00,13:00-18:00; PH off", "FR"),
        ("22:00-06:00", None),
        ("off", None),
        ('Mo 09:00-10:00 "PH is only a comment"', None),
    ],
)
def test_a_right_calendar_is_taken(hours: str, country: str | None) -> None:
    check_calendar(hours, "Europe/Berlin", country)


BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
SHORT_DAY, TUESDAY = (date(2025, 3, 9),), (date(2025, 6, 10),)

# what, calendar, from, to, hours open
SPANS = [
    ("office week", Calendar(OFFICE), "2025-06-09", "2025-06-16", 40),
    ("lunch break", Calendar("Mo-Fr 09:00-12:00,13:00-18:00"), "2025-06-09T11:00", "2025-06-09T14:00", 2),
    ("night shift", Calendar("Mo-Fr 22:00-06:00"), "2025-06-13T23:00", "2025-06-14T12:00", 7),
    ("a later rule cuts a night", Calendar("Mo 22:00-06:00; Tu 09:00-12:00"), "2025-06-09", "2025-06-11", 5),
    ("a rule beside it does not", Calendar("Mo 22:00-06:00, Tu 09:00-12:00"), "2025-06-09", "2025-06-11", 11),
    ("night over new year", Calendar("22:00-06:00"), "2025-12-31T12:00", "2026-01-01T12:00", 8),
    ("leap day", Calendar(OFFICE), "2024-02-29", "2024-03-01", 8),
    ("no leap day", Calendar(OFFICE), "2025-02-28", "2025-03-01", 8),
    ("spring forward", Calendar("24/7", BERLIN, None, (date(2025, 1, 1),)), "2025-03-30", "2025-03-31", 23),
    ("fall back", Calendar("24/7", BERLIN, None, (date(2025, 1, 1),)), "2025-10-26", "2025-10-27", 25),
    ("night spring forward", Calendar("22:00-06:00", BERLIN), "2025-03-29T12:00", "2025-03-30T12:00", 7),
    ("night fall back", Calendar("22:00-06:00", BERLIN), "2025-10-25T12:00", "2025-10-26T12:00", 9),
    ("begins in the lost hour", Calendar("02:30-05:00", BERLIN), "2025-03-30", "2025-03-31", 2),
    ("begins in the double hour", Calendar("02:30-05:00", BERLIN), "2025-10-26", "2025-10-27", 2.5),
    ("ends in the double hour", Calendar("01:00-02:30", BERLIN), "2025-10-26", "2025-10-27", 2.5),
    ("closed day is a whole local one", Calendar("24/7", NEW_YORK, None, SHORT_DAY), "2025-03-08", "2025-03-11", 48),
    ("closed day cuts nights", Calendar("22:00-06:00", BERLIN, None, TUESDAY), "2025-06-09T12:00", "2025-06-11T12", 8),
    ("holidays of the country", Calendar(f"{OFFICE}; PH off", BERLIN, "DE"), "2025-12-22", "2025-12-29", 24),
    ("holidays it does not mention", Calendar(OFFICE, BERLIN, "DE"), "2025-12-22", "2025-12-29", 40),
    ("Easter Monday", Calendar(f"{OFFICE}; PH off", BERLIN, "DE"), "2025-04-21", "2025-04-23", 8),
    ("a country without that holiday", Calendar(f"{OFFICE}; PH off", BERLIN, "US"), "2025-04-21", "2025-04-23", 16),
    ("unknown hours are not open", Calendar(f"{OFFICE} unknown"), "2025-06-09", "2025-06-16", 0),
    ("backwards", Calendar(OFFICE), "2025-06-16", "2025-06-09", 0),
]  # fmt: skip


@pytest.mark.parametrize(("calendar", "start", "end", "hours"), [pytest.param(*it[1:], id=it[0]) for it in SPANS])
def test_open_hours_between(calendar: Calendar, start: str, end: str, hours: float) -> None:
    zone = calendar.time_zone
    assert seconds_between(calendar, local(start, zone), local(end, zone)) == hours * HOUR


# what, calendar, from, hours, due
DUE = [
    ("same day", Calendar(OFFICE), "2025-06-09T09:00", 4, "2025-06-09T13:00"),
    ("used up at closing time", Calendar(OFFICE), "2025-06-13T09:00", 8, "2025-06-13T17:00"),
    ("a second more", Calendar(OFFICE), "2025-06-13T09:00", 8 + 1 / HOUR, "2025-06-16T09:00:01"),
    ("from outside hours", Calendar(OFFICE), "2025-06-14T12:00", 1, "2025-06-16T10:00"),
    ("over the weekend", Calendar(OFFICE), "2025-06-13T16:00", 2, "2025-06-16T10:00"),
    ("over spring forward", Calendar("Mo-Su 00:00-24:00", BERLIN), "2025-03-29T12:00", 24, "2025-03-30T13:00"),
    ("over fall back", Calendar("Mo-Su 00:00-24:00", BERLIN), "2025-10-25T12:00", 24, "2025-10-26T11:00"),
    ("one hour in a leap year", Calendar("Feb29 09:00-10:00"), "2024-03-01", 1, "2028-02-29T10:00"),
    ("over years", Calendar("Mo 09:00-10:00"), "2025-06-09", 104, "2027-05-31T10:00"),
    ("nothing to wait for", Calendar(OFFICE), "2025-06-14T12:00", 0, "2025-06-14T12:00"),
]  # fmt: skip


@pytest.mark.parametrize(("calendar", "start", "hours", "due"), [pytest.param(*it[1:], id=it[0]) for it in DUE])
def test_when_hours_are_used_up(calendar: Calendar, start: str, hours: float, due: str) -> None:
    zone = calendar.time_zone
    assert instant_after(calendar, local(start, zone), round(hours * HOUR)) == local(due, zone)


@pytest.mark.parametrize("hours", ["off", "Jan 1 off", "24/7 off", "2001 Mo 09:00-10:00", "24/7 unknown"])
def test_a_calendar_that_is_never_open_never_counts_and_never_falls_due(hours: str) -> None:
    calendar = Calendar(hours)
    start = local("2025-06-09")
    assert seconds_between(calendar, start, start + timedelta(days=3650)) == 0
    assert instant_after(calendar, start, 1) is None


def test_a_due_moment_too_far_away_is_none_on_every_calendar() -> None:
    century = 100 * 365 * 24 * HOUR
    for calendar in (Calendar(), Calendar("Mo-Su 00:00-24:00"), Calendar(OFFICE)):
        assert instant_after(calendar, local("2025-06-09"), century) is None


def test_an_instant_in_the_double_hour_is_taken_as_itself() -> None:
    calendar = Calendar("01:00-02:30", BERLIN)
    first = datetime(2025, 10, 26, 0, 15, tzinfo=UTC)  # 02:15 summer time
    second = datetime(2025, 10, 26, 1, 15, tzinfo=UTC)  # 02:15 again, winter time
    assert seconds_between(calendar, first, second) == HOUR
    assert instant_after(calendar, first, HOUR) == second


def test_the_library_is_never_asked_about_the_double_hour_itself() -> None:
    start, end = datetime(2025, 10, 26, 0, 15, tzinfo=UTC), datetime(2025, 10, 26, 12, tzinfo=UTC)
    first, *_ = library_stretches("01:00-02:30", BERLIN, None, epoch(start), epoch(end))
    assert (first.start, first.end, first.open) == (epoch(start), epoch(start) + 75 * 60, True)


def test_a_closed_new_year_begins_in_the_old_utc_year_east_of_greenwich() -> None:
    calendar = Calendar("Mo-Su 00:00-24:00", "Pacific/Auckland", None, (date(2026, 1, 1),))
    start = datetime(2025, 12, 31, 11, 0, tzinfo=UTC)
    assert seconds_between(calendar, start, start + timedelta(days=2)) == 24 * HOUR
    assert instant_after(calendar, start, 1) == start + timedelta(days=1, seconds=1)


def test_name_and_id_do_not_bear_on_time() -> None:
    plain, named = Calendar(OFFICE), Calendar(OFFICE, id="cal_1", name="Office")
    span = local("2025-06-09"), local("2025-06-16")
    assert seconds_between(plain, *span) == seconds_between(named, *span)
