"""What one endpoint has in hand: of each ticket the delivery that comes next, tickets side by side."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from ticketry.webhooks.deliveries.rules import SILENCE, TRIPS_AT, rest
from ticketry.webhooks.dispatch.models import Config, Due, Health
from ticketry.webhooks.sending.models import Line

HELD_BY_GOOD = 128
"""Deliveries that a process holds in memory for an endpoint that answers. They are names only, but for a few."""
HELD_BY_OTHERS = 4
AHEAD = 4
"""Bodies loaded for each call that an endpoint which answers may get at a time, so that one call follows another."""
FEW = 2
"""Calls at a time to an endpoint that failed last time or is slow."""
SLOW = 2.0
"""Seconds after which a call gives its place on its line to somebody else, and marks its endpoint."""
SUSPECT = 2
"""Failures in a row after which an endpoint that used to answer is put on the line of those that fail."""
NOTED_EVERY = timedelta(minutes=1)


class Lanes:
    """The deliveries in hand: of one ticket one at a time, the rest of them wait in the database."""

    def __init__(self) -> None:
        self.ready: deque[Due] = deque()
        self._held: set[str] = set()
        self._tickets: set[str] = set()

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, delivery_id: str) -> bool:
        return delivery_id in self._held

    def offer(self, due: Due) -> bool:
        """Takes a delivery in hand; False if another one of its ticket is."""
        if due.ticket_id in self._tickets:
            return False
        self._held.add(due.id)
        if due.ticket_id is not None:
            self._tickets.add(due.ticket_id)
        self.ready.append(due)
        return True

    def finish(self, due: Due) -> None:
        """Lets a delivery go that is not ready any more."""
        self._held.discard(due.id)
        if due.ticket_id is not None:
            self._tickets.discard(due.ticket_id)


class Loaded(NamedTuple):
    """A delivery with its body, and when (monotonic seconds) it was found to be still wanted."""

    due: Due
    body: str
    at: float


@dataclass
class Target:
    """An endpoint that this process sends to. `safe_until` (monotonic seconds) is how long nobody else does."""

    config: Config
    safe_until: float
    lanes: Lanes = field(default_factory=Lanes)
    loaded: deque[Loaded] = field(default_factory=deque)
    busy: int = 0
    slow: int = 0
    was_slow: bool = False
    failures: int = 0
    proven: bool = False
    rest_until: datetime | None = None
    active_at: float = 0.0
    called_at: float = 0.0

    def __post_init__(self) -> None:
        self.proven = self.config.last_success_at is not None and self.config.failing_since is None

    @property
    def line(self) -> Line:
        """Which budget its next call is on. One that is slow to answer, now or last time, counts as one that fails,
        also if it answers well in the end. One failure after successes is forgiven."""
        if self.slow or self.was_slow:
            return "bad"
        if self.proven:
            return "good"
        return "bad" if self.failures or self.config.failing_since is not None else "new"

    def resting(self, now: datetime) -> bool:
        """Whether it is left alone for now."""
        return self.rest_until is not None and now < self.rest_until

    def at_once(self, most: int) -> int:
        """Calls at a time that it gets; `most` is what the operator allows."""
        if self.failures >= TRIPS_AT or self.line == "new":
            return 1
        return most if self.line == "good" and not self.failures else min(FEW, most)

    def ahead(self, most: int) -> int:
        """Deliveries whose bodies are worth having: for one that answers, what it gets until the next look."""
        at_once = self.at_once(most)
        return at_once * AHEAD if self.line == "good" and not self.failures else at_once

    def room(self) -> int:
        """How many more deliveries are worth having in hand; 0 while there are plenty."""
        most = HELD_BY_GOOD if self.line == "good" else HELD_BY_OTHERS
        missing = most - len(self.lanes)
        return missing if missing * 2 >= most else 0

    def health(self, went_well: Sequence[bool], now: datetime) -> Health | None:
        """What is to be written down after these calls, if anything: successes are noted once a minute."""
        known = self.config
        since, success, failure = known.failing_since, known.last_success_at, known.last_failure_at
        for ok in went_well:
            if ok:
                since, success = None, now
            else:
                silent = since is not None and failure is not None and now - failure > SILENCE
                since, failure = now if silent or since is None else since, now
        noted = Health(known.key, since, success, failure)
        stale = any(_stale(*pair) for pair in ((known.last_success_at, success), (known.last_failure_at, failure)))
        return noted if stale or since != known.failing_since else None

    def learn(self, ok: bool, now: datetime, seconds: float) -> None:
        """Notes how a call went: who fails or is slow gets fewer calls, and after some failures in a row a rest."""
        self.was_slow = seconds >= SLOW
        self.failures = 0 if ok else self.failures + 1
        self.proven = ok or (self.proven and self.failures < SUSPECT)
        pause = rest(self.failures)
        self.rest_until = now + timedelta(seconds=pause) if pause else None


def _stale(known: datetime | None, now: datetime | None) -> bool:
    return now is not None and (known is None or now - known >= NOTED_EVERY)
