"""A slow and obvious second opinion: it walks minute by minute and shares no code with the engine.

It knows calendars only as weekdays with opening times, works out by itself what they mean in UTC, and asks of
every single minute whether it was open. Everything is in whole minutes.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
DAY_NAMES = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")


@dataclass(frozen=True)
class Week:
    """Opening times, in minutes after local midnight, of some weekdays; an end past 1440 is tomorrow's."""

    days: tuple[int, ...]
    times: tuple[tuple[int, int], ...]
    zone: str
    closed: tuple[date, ...] = ()

    def expression(self) -> str:
        names = ",".join(DAY_NAMES[day] for day in self.days)
        return f"{names} " + ",".join(f"{_hhmm(a)}-{_hhmm(b % 1440 or 1440)}" for a, b in self.times)

    def open_minutes(self, first: datetime, last: datetime) -> set[datetime]:
        """Every open minute of a time, each by the instant it begins."""
        minutes: set[datetime] = set()
        day = first.date() - timedelta(days=2)
        while day <= last.date() + timedelta(days=2):
            if day.weekday() in self.days:
                for start, end in self.times:
                    minutes |= _minutes(_instant(day, start, self.zone), _instant(day, end, self.zone))
            day += timedelta(days=1)
        zone = ZoneInfo(self.zone)
        return {at for at in minutes if at.astimezone(zone).date() not in self.closed}


def _hhmm(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _minutes(start: datetime, end: datetime) -> set[datetime]:
    found = set()
    while start < end:
        found.add(start)
        start += MINUTE
    return found


def _instant(day: date, minutes: int, zone: str) -> datetime:
    """A local time as an instant: the later one if the clock shows it twice, the next there is if never."""
    local = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)  # noqa: DTZ001
    while True:
        at = local.replace(tzinfo=ZoneInfo(zone), fold=1).astimezone(UTC)
        if at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == local:
            return at
        local += MINUTE


@dataclass
class Stopwatch:
    """One promise, in minutes."""

    target: int | None
    spent: int = 0
    due: datetime | None = None
    missed: bool = False
    done: datetime | None = None

    def tick(self, now: datetime, is_open: bool) -> None:
        """A minute that counts has passed, and it is now so late."""
        self.spent += is_open
        if self.due is not None and now > self.due:
            self.missed = True
        self.look(now)

    def look(self, now: datetime) -> None:
        if self.target is not None and self.spent >= self.target and self.due is None:
            self.due = now

    def rest(self) -> None:
        if not self.missed:
            self.due = None

    def aim(self, target: int | None, now: datetime) -> None:
        """A new target, for a stopwatch that is not done."""
        self.target = target
        over = target is not None and self.spent > target
        if not (over and self.missed):
            self.due = now if over else None
        self.missed = over

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        if self.missed:
            return False
        return True if self.done else None


@dataclass
class Walker:
    """A ticket's clock, walked through one minute after the other."""

    targets: dict[int, tuple[int | None, int | None]]
    third_party_pauses: bool
    now: datetime
    status: str
    priority: int
    open_minutes: set[datetime]
    cycle: int = 1
    response: Stopwatch = field(init=False)
    resolution: Stopwatch = field(init=False)

    def __post_init__(self) -> None:
        response, resolution = self.targets[self.priority]
        self.response, self.resolution = Stopwatch(response), Stopwatch(resolution)
        self._settle(False)

    def walk(self, until: datetime) -> None:
        while self.now < until:
            is_open = self.now in self.open_minutes
            self.now += MINUTE
            if self._response_runs():
                self.response.tick(self.now, is_open)
            if self._resolution_runs():
                self.resolution.tick(self.now, is_open)

    def happens(self, at: datetime, status: str | None, priority: int | None, responded: bool) -> None:
        self.walk(at)
        if self.status == "closed" and status != "reopened":
            return
        old = self.targets[self.priority]
        self.status, self.priority = status or self.status, priority or self.priority
        new = self.targets[self.priority]
        if self.response.done is None and old[0] != new[0]:
            self.response.aim(new[0], self.now)
        if status == "reopened" and self.resolution.done is not None:
            self.cycle += 1
            self.resolution.done = None
            self.resolution.aim(new[1], self.now)
        elif self.resolution.done is None and old[1] != new[1]:
            self.resolution.aim(new[1], self.now)
        self._settle(responded)

    def _settle(self, responded: bool) -> None:
        if self.response.done is None and (responded or self.status == "closed"):
            self.response.done = self.now
        if self.resolution.done is None and self.status in ("resolved", "closed"):
            self.resolution.done = self.now
        for watch, running in (
            (self.response, self._response_runs()),
            (self.resolution, self._resolution_runs()),
        ):
            if running:
                watch.look(self.now)
            elif watch.done is None:
                watch.rest()

    def _response_runs(self) -> bool:
        return self.response.done is None and self.status not in ("resolved", "closed")

    def _resolution_runs(self) -> bool:
        waiting = self.status == "waiting_on_customer" or (
            self.status == "waiting_on_third_party" and self.third_party_pauses
        )
        return self.resolution.done is None and self.status not in ("resolved", "closed") and not waiting
