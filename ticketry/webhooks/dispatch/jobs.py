"""The dispatcher of one process: claims endpoints, fetches what is due, sends it, settles. Several processes may run
one; an endpoint belongs to one of them at a time, by a lease that ends by itself when the process dies.

Nothing is sent while a unit of work is open, and whatever is interrupted between call and settlement is sent again.
"""

import asyncio
import time
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import structlog
from aiohttp.abc import AbstractResolver
from prometheus_client import Counter
from psycopg_pool import PoolTimeout

from ticketry.db.pool import Tx, unit
from ticketry.feed.models import Settled
from ticketry.web.resources import Resources
from ticketry.webhooks.deliveries import rules
from ticketry.webhooks.deliveries import service as deliveries
from ticketry.webhooks.dispatch import service, store
from ticketry.webhooks.dispatch.budget import Budget
from ticketry.webhooks.dispatch.lanes import Target
from ticketry.webhooks.dispatch.models import Config, Due, Health, Key, Settlement
from ticketry.webhooks.endpoints.rules import url_problem
from ticketry.webhooks.sending.models import Line, Outcome
from ticketry.webhooks.sending.sender import Sender
from ticketry.webhooks.sending.signing import body_of, headers_of

log = structlog.get_logger()

ATTEMPTS = Counter("ticketry_webhook_attempts_total", "Calls of webhook endpoints.", ["result"])
DELIVERIES = Counter("ticketry_webhook_deliveries_total", "Webhook deliveries that ended.", ["status"])

CLAIMED_AT_ONCE = 500
DISCOVER = 1.0
"""Seconds between two looks for endpoints with something due, and for changes of those in hand."""
RENEW = 4.0
SAFE = store.LEASE - 3
"""Seconds after a renewal in which calls may begin: less than the lease, so that nobody else can have the endpoint."""
LOOK, LOOK_SOON, LOOK_IDLE = 0.05, 0.02, 0.5
"""Seconds between two looks at what is due: at work, right after news, and otherwise."""
STAYS_HOT = 2.0
KEPT_IDLE = 5.0
GATHER = 0.02
"""Seconds in which results are gathered, so that one transaction settles many."""
PAUSE = 1.0
GRACE = 4.0
"""Seconds that calls under way get when the process ends. What is not settled by then is sent again by the next."""


class Dispatcher:
    """Sends what is due for as long as `run` runs. `hear` is to be told what happened, in the relay's transaction."""

    def __init__(self, house: Resources, resolvers: Mapping[Line, AbstractResolver] | None = None) -> None:
        self._house = house
        self._resolvers = resolvers
        self._me = uuid.uuid4().hex
        self._woken = asyncio.Event()
        self._news_at = 0.0
        self._begin()

    def _begin(self) -> None:
        self._targets: dict[Key, Target] = {}
        self._hinted: set[Key] = set()
        self._budget = Budget()
        self._calls: set[asyncio.Task[None]] = set()
        self._under_way: set[str] = set()
        self._ended: list[tuple[Target, Due, Outcome]] = []
        self._some_ended = asyncio.Event()
        self._discovered = self._renewed = 0.0

    async def hear(self, tx: Tx, events: Sequence[Settled]) -> None:
        """Queues deliveries of what happened. A subscriber of the relay."""
        queued = await deliveries.queue(tx, events)
        if queued:
            self._hinted |= {Key(*key) for key in queued}
            self._news_at = time.monotonic()
            self._woken.set()

    async def run(self) -> None:
        """Works until cancelled; then calls under way get a few seconds to end well."""
        self._begin()
        async with Sender(self._house.settings, self._house.clock, self._resolvers) as self._sender:
            settler = asyncio.create_task(self._settle_all())
            try:
                while not settler.done():
                    await self._round()
                settler.result()
            finally:
                await self._end(settler)

    async def _end(self, settler: asyncio.Task[None]) -> None:
        deadline = time.monotonic() + GRACE
        while self._under_way and not settler.done() and time.monotonic() < deadline:
            await asyncio.wait({settler}, timeout=GATHER)
        for task in (*self._calls, settler):
            task.cancel()
        await asyncio.gather(*self._calls, settler, return_exceptions=True)
        try:
            async with unit(self._house.pool, self._house.clock()) as tx:
                await store.release_all(tx, self._me)
        except (psycopg.OperationalError, PoolTimeout):
            log.debug("left webhook endpoints to the end of their lease")

    async def _round(self) -> None:
        self._woken.clear()
        if time.monotonic() - self._discovered >= DISCOVER:
            await self._discover()
        elif missing := [key for key in self._hinted if key not in self._targets]:
            await self._claim(missing)
        await self._fetch()
        await self._start()
        await self._pause()

    async def _pause(self) -> None:
        now = time.monotonic()
        active = any(now - target.active_at < STAYS_HOT for target in self._targets.values())
        look = LOOK if active else LOOK_IDLE
        if now - self._news_at < STAYS_HOT:
            look = LOOK_SOON if now - self._news_at < 5 * LOOK else LOOK
        try:
            await asyncio.wait_for(self._woken.wait(), look)
            await asyncio.sleep(GATHER)
        except TimeoutError:
            pass

    # ---- which endpoints are ours

    async def _discover(self) -> None:
        now = self._discovered = time.monotonic()
        keys = list(self._targets)
        async with unit(self._house.pool, self._house.clock(), atomic=False) as tx:
            if keys and now - self._renewed >= RENEW:
                self._renewed = now
                lost = self._keep(await store.renew(tx, self._me, keys), now + SAFE)
            else:
                lost = self._keep(await store.look_at(tx, self._me, keys) if keys else [], None)
            if lost:
                await store.release(tx, self._me, lost)
        await self._claim(None)
        await self._let_go(now)
        if now - self._news_at > STAYS_HOT:
            self._hinted.clear()

    async def _claim(self, among: list[Key] | None) -> None:
        now = time.monotonic()
        async with unit(self._house.pool, self._house.clock(), atomic=False) as tx:
            configs = await store.claim(tx, self._me, CLAIMED_AT_ONCE, among)
        for config in configs:
            self._take(config, now)

    def _keep(self, configs: list[Config], safe_until: float | None) -> list[Key]:
        """Notes which endpoints are still ours and on; those that are not any more."""
        ours = {config.key: config for config in configs}
        lost = [key for key in self._targets if key not in ours]
        for key in lost:
            del self._targets[key]
        for key, config in ours.items():
            target = self._targets[key]
            target.config = config
            target.safe_until = safe_until or target.safe_until
        return lost

    def _take(self, config: Config, now: float) -> None:
        target = self._targets.setdefault(config.key, Target(config, 0.0))
        target.config, target.safe_until, target.active_at = config, now + SAFE, now

    async def _let_go(self, now: float) -> None:
        idle = [
            key
            for key, target in self._targets.items()
            if not target.busy and not len(target.lanes) and now - target.active_at > KEPT_IDLE
            and not target.resting(self._house.clock())
        ]  # fmt: skip
        if idle:
            async with unit(self._house.pool, self._house.clock()) as tx:
                await store.release(tx, self._me, idle)
            for key in idle:
                del self._targets[key]

    # ---- what is due

    async def _fetch(self) -> None:
        now = self._house.clock()
        wanted = [
            (key, len(target.lanes) + room)
            for key, target in self._targets.items()
            if not target.resting(now) and (room := target.room())
        ]
        if not wanted:
            return
        waiting: list[Due] = []
        async with unit(self._house.pool, now, atomic=False) as tx:
            for due in await store.due(tx, wanted):
                target = self._targets[due.key]
                if due.id in target.lanes or due.id in self._under_way or target.lanes.offer(due):
                    target.active_at = time.monotonic()
                elif due.waits_until is not None and due.waits_until > due.next_attempt_at:
                    waiting.append(due)
            if waiting:
                await store.park(tx, waiting)

    # ---- sending

    async def _start(self) -> None:
        chosen = self._choose()
        if not chosen:
            return
        async with unit(self._house.pool, self._house.clock(), atomic=False) as tx:
            contents = await store.contents(tx, [due for _, due in chosen])
        for target, due in chosen:
            if due.id not in contents:  # given up, or somebody else's by now
                target.busy -= 1
                self._under_way.discard(due.id)
                target.lanes.finish(due, goes_on=False)
                continue
            own, data = contents[due.id]
            body = own or body_of(due.event_id, due.event_type, due.event_at, data or "null")
            self._spawn(self._send(target, due, body))

    def _choose(self) -> list[tuple[Target, Due]]:
        """What begins now: one after the other of each endpoint in turn, as far as budgets reach."""
        chosen: list[tuple[Target, Due]] = []
        taken: dict[Line, int] = {"good": 0, "new": 0, "bad": 0}
        now, clock = time.monotonic(), self._house.clock()
        most = self._house.settings.webhook_concurrency
        turn = [target for target in self._targets.values() if target.safe_until > now and not target.resting(clock)]
        while turn:
            again = []
            for target in turn:
                line = target.line
                if target.lanes.ready and target.busy < target.at_once(most) and self._budget.allows(line, taken):
                    taken[line] += 1
                    target.busy += 1
                    due = target.lanes.ready.popleft()
                    self._under_way.add(due.id)
                    chosen.append((target, due))
                    again.append(target)
            turn = again
        return chosen

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _send(self, target: Target, due: Due, body: str) -> None:
        secrets, line = target.config.secrets, target.line
        with self._budget.call(target, line):
            outcome = self._refused(secrets.url)
            if outcome is None:
                now = self._house.clock()
                headers = headers_of(due.event_id, now, body, secrets.living(now))
                outcome = await self._sender.post(line, secrets.url, headers, body)
        self._ended.append((target, due, outcome))
        self._some_ended.set()

    def _refused(self, url: str) -> Outcome | None:
        """The outcome for a URL that the operator does not allow any more."""
        problem = url_problem(url, self._house.settings)
        return Outcome(self._house.clock(), 0, None, None, f"Not allowed: the URL {problem[1]}.") if problem else None

    # ---- what came of it

    async def _settle_all(self) -> None:
        while True:
            await self._some_ended.wait()
            await asyncio.sleep(GATHER)
            self._some_ended.clear()
            ended, self._ended = self._ended, []
            try:
                await self._settle(ended)
            except (psycopg.OperationalError, PoolTimeout) as error:
                log.warning("webhook results wait for the database", reason=" ".join(str(error).split()))
                self._ended = ended + self._ended
                self._some_ended.set()
                await asyncio.sleep(PAUSE)

    async def _settle(self, ended: list[tuple[Target, Due, Outcome]]) -> None:
        now = self._house.clock()
        settled = [service.settlement(due, outcome) for _, due, outcome in ended]
        health = self._health(ended)
        hopeless = self._hopeless(ended)
        async with unit(self._house.pool, now) as tx:
            if not hopeless:
                await store.need_not_last(tx)
            await service.settle(tx, settled, [noted for _, noted in health])
            for target, outcome in hopeless:
                noted = Health(target.config.key, target.config.failing_since, target.config.last_success_at)
                if await service.switch_off(tx, noted, outcome.error or ""):
                    log.warning("switched off a webhook", endpoint=noted.key.endpoint_id)
        for (target, due, outcome), what in zip(ended, settled, strict=True):
            self._finish(target, due, outcome, what)
        for target, noted in health:
            target.config = replace(
                target.config, failing_since=noted.failing_since, last_success_at=noted.last_success_at
            )
        self._woken.set()

    def _health(self, ended: list[tuple[Target, Due, Outcome]]) -> list[tuple[Target, Health]]:
        went: dict[Key, tuple[Target, list[bool]]] = {}
        for target, _, outcome in ended:
            went.setdefault(target.config.key, (target, []))[1].append(outcome.error is None)
        now = self._house.clock()
        return [(target, noted) for target, oks in went.values() if (noted := target.health(oks, now))]

    def _hopeless(self, ended: list[tuple[Target, Due, Outcome]]) -> list[tuple[Target, Outcome]]:
        """Endpoints that have failed for too long, with what they said last."""
        last = {target.config.key: (target, outcome) for target, _, outcome in ended}
        well = {target.config.key for target, _, outcome in ended if outcome.error is None}
        now = self._house.clock()
        return [
            found for key, found in last.items()
            if key not in well and rules.hopeless(found[0].config.failing_since, now)
        ]  # fmt: skip

    def _finish(self, target: Target, due: Due, outcome: Outcome, what: Settlement) -> None:
        ok = outcome.error is None
        ATTEMPTS.labels("success" if ok else "failure").inc()
        if what.status != "pending":
            DELIVERIES.labels(what.status).inc()
        target.busy -= 1
        target.active_at = time.monotonic()
        target.learn(ok, outcome.ended_at)
        target.lanes.finish(due, goes_on=what.status != "pending")
        self._under_way.discard(due.id)
