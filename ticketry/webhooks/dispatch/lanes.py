"""What one endpoint has in hand: deliveries of one ticket one behind the other, tickets side by side."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ticketry.webhooks.deliveries.rules import TRIPS_AT, rest
from ticketry.webhooks.dispatch.models import Config, Due, Health
from ticketry.webhooks.sending.models import Line

HELD_BY_GOOD = 64
"""Deliveries that a process holds in memory for an endpoint that answers. They are names only, no bodies."""
HELD_BY_OTHERS = 4
FEW = 2
"""Calls at a time to an endpoint that failed last time or is slow."""
NOTED_EVERY = timedelta(minutes=1)


class Lanes:
    """The deliveries in hand. The head of a lane is ready or under way; the others wait until it is settled."""

    def __init__(self) -> None:
        self.ready: deque[Due] = deque()
        self._held: dict[str, Due] = {}
        self._lanes: dict[str, deque[Due]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, delivery_id: str) -> bool:
        return delivery_id in self._held

    def offer(self, due: Due) -> bool:
        """Takes a delivery in hand; False if one that must go before it is not."""
        if due.waits_for is not None and due.waits_for not in self._held:
            return False
        if due.ticket_id is not None:
            lane = self._lanes.get(due.ticket_id) or deque()
            if (lane[-1].id if lane else None) != due.waits_for:
                return False
            lane.append(due)
            self._lanes[due.ticket_id] = lane
            if len(lane) > 1:
                self._held[due.id] = due
                return True
        self._held[due.id] = due
        self.ready.append(due)
        return True

    def finish(self, due: Due, goes_on: bool) -> None:
        """Lets a delivery go that was under way. Those behind it follow, or (not `goes_on`) wait in the database."""
        self._held.pop(due.id, None)
        lane = self._lanes.get(due.ticket_id) if due.ticket_id is not None else None
        if not lane or lane[0].id != due.id:
            return
        lane.popleft()
        if not goes_on:
            for follower in lane:
                self._held.pop(follower.id, None)
            lane.clear()
        if lane:
            self.ready.append(lane[0])
        else:
            del self._lanes[str(due.ticket_id)]


@dataclass
class Target:
    """An endpoint that this process sends to. `safe_until` (monotonic seconds) is how long nobody else does."""

    config: Config
    safe_until: float
    lanes: Lanes = field(default_factory=Lanes)
    busy: int = 0
    slow: int = 0
    failures: int = 0
    proven: bool = False
    rest_until: datetime | None = None
    active_at: float = 0.0

    def __post_init__(self) -> None:
        self.proven = self.config.last_success_at is not None and self.config.failing_since is None

    @property
    def line(self) -> Line:
        """Which budget its next call is on. One that is slow to answer now counts as one that fails."""
        if self.failures or self.slow or (self.config.failing_since is not None and not self.proven):
            return "bad"
        return "good" if self.proven else "new"

    def resting(self, now: datetime) -> bool:
        """Whether it is left alone for now."""
        return self.rest_until is not None and now < self.rest_until

    def at_once(self, most: int) -> int:
        """Calls at a time that it gets; `most` is what the operator allows."""
        if self.failures >= TRIPS_AT or self.line == "new":
            return 1
        return most if self.line == "good" else min(FEW, most)

    def room(self) -> int:
        """How many more deliveries are worth having in hand; 0 while there are plenty."""
        most = HELD_BY_GOOD if self.line == "good" else HELD_BY_OTHERS
        missing = most - len(self.lanes)
        return missing if missing * 2 >= most else 0

    def health(self, went_well: Sequence[bool], now: datetime) -> Health | None:
        """What is to be written down after these calls, if anything: successes are noted once a minute."""
        since, last = self.config.failing_since, self.config.last_success_at
        for ok in went_well:
            since, last = (None, now) if ok else (since or now, last)
        known = self.config.last_success_at
        stale = last != known and (known is None or now - known >= NOTED_EVERY)
        return Health(self.config.key, since, last) if stale or since != self.config.failing_since else None

    def learn(self, ok: bool, now: datetime) -> None:
        """Notes how a call went: who fails gets fewer calls, and after some in a row a rest."""
        self.failures, self.proven = (0, True) if ok else (self.failures + 1, False)
        pause = rest(self.failures)
        self.rest_until = now + timedelta(seconds=pause) if pause else None
