"""Business time: how long a calendar was open between two instants, and when a number of seconds is up.

Opening hours, zones, nights, clock changes and public holidays are the library's; only whole closed days are
taken out here. Hours are asked for a UTC year at a time and kept as sorted spans with running sums, so
both questions are a binary search.
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from holidays import country_holidays
from opening_hours import (  # type: ignore[attr-defined]  # the stub leaves the errors out
    OpeningHours,
    ParserError,
    State,
    UnknownCountryError,
)

from ticketry.sla.models import ALWAYS_OPEN, Calendar

# A due moment farther away than this is none: a calendar may be open never, or an hour in a leap year.
LOOK_AHEAD_YEARS = 20
LOOK_AHEAD_SECONDS = LOOK_AHEAD_YEARS * 365 * 86_400
EXPRESSION_MAX = 1000
MOST_SPANS = 3000  # eight a day: a calendar is asked for twenty years ahead, in memory, while others wait
# At the night the clocks go back the library cannot tell the two equal hours apart in the instant it is asked
# about. Asking from some days before, and cutting afterwards, never begins there.
MARGIN = 3 * 86_400
UTC_ZONE = ZoneInfo("UTC")  # the library takes no other zone class

OPEN_HOURS = "open_hours"
CLOSED_HOURS = "closed_hours"
PUBLIC_HOLIDAY = "public_holiday"
CLOSED_DAY = "closed_day"

Span = tuple[int, int]  # epoch seconds, from and to


class CalendarError(ValueError):
    """A calendar that cannot be used: the field at fault and why, with the parser's place if it has one."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class Stretch(NamedTuple):
    """A stretch of time in one state, as the expression has it, with the comment its author gave the rule."""

    start: int
    end: int
    open: bool
    comment: str


class Spans(NamedTuple):
    """The open hours of one year; `before[i]` is how long it was open before span `i`."""

    starts: "array[int]"
    ends: "array[int]"
    before: "array[int]"
    total: int

    def open_until(self, moment: int) -> int:
        """Open seconds of this year up to a moment, which may lie outside the year."""
        i = bisect_right(self.starts, moment) - 1
        return 0 if i < 0 else self.before[i] + min(moment, self.ends[i]) - self.starts[i]

    def moment_of(self, seconds: int) -> int:
        """The first moment by which this year has been open so long: more than zero, at most the total."""
        i = bisect_left(self.before, seconds) - 1
        return self.starts[i] + seconds - self.before[i]

    def touching(self, first: int, last: int) -> Iterator[Span]:
        """The spans that have a part in a time."""
        begin, end = bisect_right(self.ends, first), bisect_left(self.starts, last)
        return zip(self.starts[begin:end], self.ends[begin:end], strict=True)


class Piece(NamedTuple):
    """A stretch of the calendar, in epoch seconds."""

    start: int
    end: int
    reason: str
    detail: str | None


class Mark(NamedTuple):
    """What is to be said of a stretch of time."""

    start: int
    end: int
    label: str


def always_open(calendar: Calendar) -> bool:
    return calendar.opening_hours == ALWAYS_OPEN and not calendar.closed_days


def seconds_between(calendar: Calendar, start: datetime, end: datetime) -> int:
    """Open seconds from one UTC instant to another; none if the second is not later."""
    if end <= start:
        return 0
    if always_open(calendar):
        return int((end - start).total_seconds())
    first, last = epoch(start), epoch(end)
    years = (open_spans(calendar, year) for year in range(start.year, end.year + 1))
    return sum(spans.open_until(last) - spans.open_until(first) for spans in years)


def instant_after(calendar: Calendar, start: datetime, seconds: int) -> datetime | None:
    """The first UTC instant by which so many open seconds have passed; None if it is too far away to matter.

    No seconds at all are up at once, also outside opening hours.
    """
    if seconds <= 0:
        return start
    if always_open(calendar):
        return start + timedelta(seconds=seconds) if seconds <= LOOK_AHEAD_SECONDS else None
    moment = epoch(start)
    for year in range(start.year, start.year + LOOK_AHEAD_YEARS + 1):
        spans = open_spans(calendar, year)
        wanted = spans.open_until(moment) + seconds
        if wanted <= spans.total:
            return from_epoch(spans.moment_of(wanted))
        seconds = wanted - spans.total
    return None


def open_spans(calendar: Calendar, year: int) -> Spans:
    """The hours of a UTC year. What does not bear on them is left out of the cache's key."""
    return _spans(calendar.opening_hours, calendar.time_zone, calendar.country, calendar.closed_days, year)


@lru_cache(maxsize=512)
def _spans(hours: str, zone: str, country: str | None, closed: tuple[date, ...], year: int) -> Spans:
    first, last = epoch(datetime(year, 1, 1, tzinfo=UTC)), epoch(datetime(year + 1, 1, 1, tzinfo=UTC))
    stretches = library_stretches(hours, zone, country, first, last)
    spans: Iterable[Span] = ((it.start, it.end) for it in stretches if it.open)
    for day in closed:
        if abs(day.year - year) <= 1:
            spans = _without(spans, local_day(zone, day))
    return _indexed(_joined(spans))


def _without(spans: Iterable[Span], hole: Span) -> Iterator[Span]:
    for start, end in spans:
        if start < hole[0]:
            yield start, min(end, hole[0])
        if end > hole[1]:
            yield max(start, hole[1]), end


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Touching spans made one, so that every span begins later than the one before ends."""
    joined: list[Span] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            start, end = joined[-1][0], max(joined.pop()[1], end)
        joined.append((start, end))
    return joined


def _indexed(spans: list[Span]) -> Spans:
    before, total = array("q"), 0
    for start, end in spans:
        before.append(total)
        total += end - start
    return Spans(array("q", (s for s, _ in spans)), array("q", (e for _, e in spans)), before, total)


def library_stretches(hours: str, zone: str, country: str | None, first: int, last: int) -> Iterator[Stretch]:
    """The library's view of a time, gapless and in order. Only what is surely open counts as open."""
    asked = from_epoch(first - MARGIN).astimezone(UTC_ZONE), from_epoch(last + MARGIN).astimezone(UTC_ZONE)
    for start, end, state, comment in parsed(hours, zone, country).intervals(*asked):
        begin, finish = max(epoch(start), first), min(epoch(end), last)
        if begin < finish:
            yield Stretch(begin, finish, state == State.OPEN, comment)


@lru_cache(maxsize=512)
def parsed(hours: str, zone: str, country: str | None) -> OpeningHours:
    """The library's calendar, which must not guess a country or a zone of its own."""
    return OpeningHours(hours, timezone=ZoneInfo(zone), country=country, auto_country=False, auto_timezone=False)


def local_day(zone: str, day: date) -> Span:
    """A whole day in a zone: 23, 24 or 25 hours."""
    midnights = (datetime(it.year, it.month, it.day, tzinfo=ZoneInfo(zone)) for it in (day, day + timedelta(days=1)))
    start, end = map(epoch, midnights)
    return start, end


def epoch(instant: datetime) -> int:
    return int(instant.timestamp())


def from_epoch(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def pieces(calendar: Calendar, start: datetime, end: datetime) -> list[Piece]:
    """A time cut wherever the calendar opens, closes or has another reason to be closed."""
    first, last = epoch(start), epoch(end)
    if always_open(calendar):
        return [Piece(first, last, OPEN_HOURS, None)]
    hours, days = _open_marks(calendar, first, last), _special_days(calendar, start, end)
    comments = _comments(calendar, first, last)
    edges = {edge for mark in (*hours, *days, *comments) for edge in (mark.start, mark.end)}
    joined: list[Piece] = []
    for a, b in pairwise(sorted({first, last} | {edge for edge in edges if first < edge < last})):
        reason, detail = _why(a, hours, days, comments)
        if reason == PUBLIC_HOLIDAY and detail is None:
            detail = holiday_name(calendar.country, from_epoch(a).astimezone(ZoneInfo(calendar.time_zone)).date())
        begun = joined.pop().start if joined and joined[-1][2:] == (reason, detail) else a
        joined.append(Piece(begun, b, reason, detail))
    return joined


def holiday_name(country: str | None, day: date) -> str | None:
    """What a public holiday is called, in English where that is known; None if the list of names lacks it.

    opening-hours-py decides which days are holidays; it has no names for them.
    """
    return _holiday_names(country, day.year).get(day) if country else None


@lru_cache(maxsize=256)
def _holiday_names(country: str, year: int) -> Mapping[date, str]:
    try:
        return dict(country_holidays(country, years=year, language="en_US"))
    except NotImplementedError:
        return {}


def _why(moment: int, hours: Sequence[Mark], days: Sequence[Mark], comments: Sequence[Mark]) -> tuple[str, str | None]:
    if _label(hours, moment):
        return OPEN_HOURS, None
    reason = _label(days, moment) or CLOSED_HOURS
    return reason, None if reason == CLOSED_DAY else _label(comments, moment)


def _label(marks: Sequence[Mark], moment: int) -> str | None:
    """What the marks, which are in order and do not overlap, say of a moment."""
    i = bisect_right(marks, moment, key=lambda mark: mark.start) - 1
    return marks[i].label if i >= 0 and moment < marks[i].end else None


def _open_marks(calendar: Calendar, first: int, last: int) -> list[Mark]:
    years = (open_spans(calendar, year) for year in range(from_epoch(first).year, from_epoch(last).year + 1))
    spans = (span for it in years for span in it.touching(first, last))
    return [Mark(*span, OPEN_HOURS) for span in spans]


def _comments(calendar: Calendar, first: int, last: int) -> list[Mark]:
    if '"' not in calendar.opening_hours:
        return []
    hours = library_stretches(calendar.opening_hours, calendar.time_zone, calendar.country, first, last)
    return [Mark(it.start, it.end, it.comment) for it in hours if it.comment]


def _special_days(calendar: Calendar, start: datetime, end: datetime) -> list[Mark]:
    zone, closed = calendar.time_zone, set(calendar.closed_days)
    days = dict.fromkeys(_holidays(calendar, start, end), PUBLIC_HOLIDAY) | dict.fromkeys(closed, CLOSED_DAY)
    return [Mark(*local_day(zone, day), label) for day, label in sorted(days.items())]


def _holidays(calendar: Calendar, start: datetime, end: datetime) -> Iterator[date]:
    """The public holidays that shorten a day: it would be open longer in a country without holidays."""
    if calendar.country is None or "PH" not in calendar.opening_hours:
        return
    mine, plain = replace(calendar, closed_days=()), replace(calendar, country=None, closed_days=())
    zone = ZoneInfo(calendar.time_zone)
    asked = epoch(start - timedelta(days=1)), epoch(end + timedelta(days=1))
    for stretch in library_stretches("PH", calendar.time_zone, calendar.country, *asked):
        day = from_epoch(stretch.start).astimezone(zone).date()
        while stretch.open and local_day(calendar.time_zone, day)[0] < stretch.end:
            whole = tuple(map(from_epoch, local_day(calendar.time_zone, day)))
            if seconds_between(mine, *whole) < seconds_between(plain, *whole):
                yield day
            day += timedelta(days=1)


def check_calendar(opening_hours: str, time_zone: str, country: str | None = None) -> None:
    """Refuse a calendar that cannot be read, naming the field and the place in it."""
    if not opening_hours.strip() or len(opening_hours) > EXPRESSION_MAX:
        raise CalendarError("opening_hours", f"must be 1 to {EXPRESSION_MAX} characters")
    zone = _checked_zone(time_zone)
    try:
        OpeningHours(opening_hours, timezone=zone, country=country, auto_country=False, auto_timezone=False)
    except ParserError as error:
        raise CalendarError("opening_hours", _with_place(str(error))) from error
    except UnknownCountryError as error:
        raise CalendarError("country", str(error)) from error
    if _is_too_fine(opening_hours, time_zone, country):
        raise CalendarError("opening_hours", f"must not open more than {MOST_SPANS} times a year")
    if country is None and re.search(r"\bPH\b", re.sub(r'"[^"]*"', "", opening_hours)):
        raise CalendarError("country", "is needed: the opening hours speak of public holidays (PH)")


def _is_too_fine(hours: str, zone: str, country: str | None) -> bool:
    """Whether a year has more hours than are worth their memory and time; the year is as good as any other."""
    first, last = epoch(datetime(2025, 1, 1, tzinfo=UTC)), epoch(datetime(2026, 1, 1, tzinfo=UTC))
    opened = (stretch for stretch in library_stretches(hours, zone, country, first, last) if stretch.open)
    return next(islice(opened, MOST_SPANS, None), None) is not None


def _checked_zone(time_zone: str) -> ZoneInfo:
    try:
        zone = ZoneInfo(time_zone)
        OpeningHours(ALWAYS_OPEN, timezone=zone, auto_country=False, auto_timezone=False)
    except (KeyError, ValueError, OSError, TypeError) as error:
        raise CalendarError("time_zone", f"{time_zone[:64]!r} is no known IANA time zone") from error
    return zone


def _with_place(text: str) -> str:
    """The parser's drawing of the fault as one line: `line 1, column 7: expected minute`."""
    place, expected = re.search(r"--> (\d+):(\d+)", text), re.search(r"= (.+)", text)
    if place is None or expected is None:
        return text
    return f"line {place[1]}, column {place[2]}: {expected[1]}"
