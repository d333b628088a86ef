"""The dispatcher of one process: claims endpoints, fetches what is due, sends it, settles. Several processes may run
one; an endpoint belongs to one of them at a time, by a lease that ends by itself when the process dies.

Nothing is sent while a unit of work is open, and whatever is interrupted between call and settlement is sent again.
"""

import asyncio
import time
import uuid
from collections import Counter as Count
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import psycopg
import structlog
from aiohttp.abc import AbstractResolver
from prometheus_client import Counter
from psycopg_pool import PoolTimeout

from ticketry.db.pool import Tx, unit
from ticketry.feed.models import Settled
from ticketry.web.resources import Resources
from ticketry.webhooks.deliveries import service as deliveries
from ticketry.webhooks.dispatch import service, store
from ticketry.webhooks.dispatch.budget import Budget
from ticketry.webhooks.dispatch.lanes import Loaded, Target
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
LOADED_AHEAD = 512
"""Bodies of endpoints that answer, which are kept in memory so that one call follows another."""
LOADED_FOR = 2.0
"""Seconds after which a body is loaded again: its delivery may not be wanted any more."""
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
        self._ending = False
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
                    try:
                        await self._round()
                    except (psycopg.OperationalError, PoolTimeout) as error:
                        log.warning("webhooks wait for the database", reason=" ".join(str(error).split()))
                        await asyncio.sleep(PAUSE)
                settler.result()
            finally:
                await self._end(settler)

    async def _end(self, settler: asyncio.Task[None]) -> None:
        self._ending = True
        for target in self._targets.values():
            self._drop(target)
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
        await self._load()
        self._start()
        await self._pause()

    async def _pause(self) -> None:
        now = time.monotonic()
        active = any(now - target.active_at < STAYS_HOT for target in self._targets.values())
        look = LOOK if active else LOOK_IDLE
        if now - self._news_at < STAYS_HOT:
            look = LOOK_SOON if now - self._news_at < 5 * LOOK else LOOK
        try:
            async with asyncio.timeout(look):  # wait_for may swallow a cancellation
                await self._woken.wait()
            await asyncio.sleep(GATHER)
        except TimeoutError:
            pass

    # ---- which endpoints are ours

    async def _discover(self) -> None:
        now = self._discovered = time.monotonic()
        keys = list(self._targets)
        async with unit(self._house.pool, self._house.clock(), atomic=False) as tx:
            if keys and (lost := self._keep(await store.look_at(tx, self._me, keys))):
                await store.release(tx, self._me, lost)
            if self._targets and now - self._renewed >= RENEW:
                self._renewed = now
                for key in await store.renew(tx, self._me, list(self._targets)):
                    self._targets[key].safe_until = now + SAFE
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

    def _keep(self, configs: list[Config]) -> list[Key]:
        """Notes which endpoints are still ours and on; those that are not any more."""
        ours = {config.key: config for config in configs}
        lost = [key for key in self._targets if key not in ours]
        for key in lost:
            self._drop(self._targets.pop(key))
        for key, config in ours.items():
            self._targets[key].config = config
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
                if due.waits_until is not None:
                    waiting.append(due)
                elif due.id in target.lanes or due.id in self._under_way or target.lanes.offer(due):
                    target.active_at = time.monotonic()
            if waiting:
                await store.park(tx, waiting)

    # ---- sending

    def _mine(self, target: Target) -> bool:
        """Whether calls may begin: the lease holds, and the endpoint is not left alone for now."""
        return (
            target.safe_until > time.monotonic()
            and self._targets.get(target.config.key) is target
            and not target.resting(self._house.clock())
        )

    def _in_turn(self) -> list[Target]:
        """The endpoints that may be called, those first that were not for the longest time: nobody waits for ever."""
        return sorted((one for one in self._targets.values() if self._mine(one)), key=lambda one: one.called_at)

    async def _load(self) -> None:
        """Loads the bodies of what can begin now or soon."""
        chosen = self._choose()
        if not chosen:
            return
        try:
            async with unit(self._house.pool, self._house.clock(), atomic=False) as tx:
                contents = await store.contents(tx, [due for _, due in chosen])
        except BaseException:
            for target, due in reversed(chosen):
                self._put_back(target, due)
            raise
        at = time.monotonic()
        for target, due in chosen:
            if due.id not in contents:  # given up, or somebody else's by now
                self._under_way.discard(due.id)
                target.lanes.finish(due)
                continue
            own, data = contents[due.id]
            body = own or body_of(due.event_id, due.event_type, due.event_at, data or "null")
            target.loaded.append(Loaded(due, body, at))

    def _choose(self) -> list[tuple[Target, Due]]:
        """What is loaded: one after the other of each endpoint in turn, as far as budgets reach."""
        chosen: list[tuple[Target, Due]] = []
        most = self._house.settings.webhook_concurrency
        turn = self._in_turn()
        taken, loaded = Count[Line](), Count[Key]()
        for target in turn:
            loaded[target.config.key] = target.busy + len(target.loaded)
            taken[target.line] += len(target.loaded)
        while turn:
            again = []
            for target in turn:
                line, key = target.line, target.config.key
                fits = taken[line] < LOADED_AHEAD if line == "good" else self._budget.allows(line, taken[line])
                if fits and target.lanes.ready and loaded[key] < target.ahead(most):
                    taken[line] += 1
                    loaded[key] += 1
                    due = target.lanes.ready.popleft()
                    self._under_way.add(due.id)
                    chosen.append((target, due))
                    again.append(target)
            turn = again
        return chosen

    def _put_back(self, target: Target, due: Due) -> None:
        self._under_way.discard(due.id)
        target.lanes.ready.appendleft(due)

    def _drop(self, target: Target) -> None:
        """Forgets what was loaded and not sent."""
        while target.loaded:
            self._put_back(target, target.loaded.pop().due)

    def _start(self) -> None:
        """Begins calls: one of each endpoint in turn, as far as budgets reach."""
        turn = self._in_turn()
        while turn:
            turn = [target for target in turn if self._begin_one(target)]

    def _begin_one(self, target: Target) -> bool:
        """Begins the next call to an endpoint, if it may. Its lease is looked at right here."""
        line = target.line
        if not target.loaded or self._ending or not self._mine(target) or not self._budget.allows(line):
            return False
        if target.busy >= target.at_once(self._house.settings.webhook_concurrency):
            return False
        now = time.monotonic()
        if now - target.loaded[0].at > LOADED_FOR:
            self._drop(target)
            return False
        loaded = target.loaded.popleft()
        target.busy += 1
        target.called_at = now
        task = asyncio.create_task(self._send(target, line, loaded, self._budget.begin(target, line)))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return True

    async def _send(self, target: Target, line: Line, loaded: Loaded, end: Callable[[], None]) -> None:
        secrets, due = target.config.secrets, loaded.due
        try:
            outcome = self._refused(secrets.url)
            if outcome is None:
                now = self._house.clock()
                headers = headers_of(due.event_id, now, loaded.body, secrets.living(now))
                outcome = await self._sender.post(line, secrets.url, headers, loaded.body)
        finally:
            end()
            target.busy -= 1
        target.learn(outcome.error is None, outcome.ended_at, outcome.duration_ms / 1000)
        self._ended.append((target, due, outcome))
        self._some_ended.set()
        if self._budget.roomy(target.line):  # else all others have their turn first
            self._begin_one(target)

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
                await tx.need_not_last()  # what it settled is sent again
            await service.settle(tx, settled, [noted for _, noted in health])
            for target, outcome in hopeless:
                config = target.config
                if await service.switch_off(tx, config.key, config.failing_since, outcome.error or ""):
                    log.warning("switched off a webhook", endpoint=config.key.endpoint_id)
        for (target, due, outcome), what in zip(ended, settled, strict=True):
            self._finish(target, due, outcome, what)
        for target, noted in health:
            target.config = replace(
                target.config,
                failing_since=noted.failing_since,
                last_success_at=noted.last_success_at,
                last_failure_at=noted.last_failure_at,
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
        return [found for key, found in last.items() if key not in well and found[0].config.hopeless(now)]

    def _finish(self, target: Target, due: Due, outcome: Outcome, what: Settlement) -> None:
        ok = outcome.error is None
        ATTEMPTS.labels("success" if ok else "failure").inc()
        if what.status != "pending":
            DELIVERIES.labels(what.status).inc()
        target.active_at = time.monotonic()
        target.lanes.finish(due)
        self._under_way.discard(due.id)
