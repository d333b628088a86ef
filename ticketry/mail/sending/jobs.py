"""Sending what is due: take a mail, hand it over with no transaction open, note what became of it.

A mail that is being tried is leased for longer than an attempt can take, so another process gets it only if this one
has died. A mail that the server accepted is settled at once. If the process dies
between the two, the mail is sent again, with the same Message-ID, by which mail systems recognise a double.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from ticketry.core.clock import Clock
from ticketry.db.pool import GAVE_UP, Pool, Tx, unit
from ticketry.mail.sending import rules, store
from ticketry.mail.sending.compose import Dropped, addresses, letter
from ticketry.mail.sending.figures import ATTEMPTS
from ticketry.mail.sending.messages import wire
from ticketry.mail.sending.models import Claimed, Envelope
from ticketry.mail.sending.smtp import WHOLE, Post
from ticketry.mail.wording.models import Content
from ticketry.settings import Settings
from ticketry.web.resources import Resources

log = structlog.get_logger()

LANES = 4
"""Mails that one process hands over at a time, each over a connection of its own. One where there is no server to wait
for: what is written for the outbox costs the processor and the database alone."""
GRACE = 5
"""Seconds that an attempt in progress gets when the process is asked to end."""
REST = 0.01
"""Seconds between two mails for the outbox: nobody waits for them, and requests may be served by the same process."""
TAKEN_AT_ONCE = 8
"""Mails that a lane takes together, to look for work less often."""
SETTLING = (0.5, 1, 2, 4, 8)
"""Seconds between the tries to note what became of a mail while the database is away."""
SPARE = timedelta(seconds=60)
"""What a lease is longer than an attempt can take."""


async def deliver(house: Resources) -> None:
    """Works until cancelled. Several may run."""
    pause = rules.LOOK
    most = LANES if house.settings.smtp_host else 1
    while True:
        # A server that could not be worked with is asked by one mail first.
        lanes = most if pause == rules.LOOK else 1
        tried, healthy = await send_due(house.pool, house.clock, house.settings, lanes)
        if tried:
            pause = rules.pause(pause, healthy=healthy)
        await asyncio.sleep(pause)


async def send_due(pool: Pool, clock: Clock, settings: Settings, lanes: int = LANES) -> tuple[int, bool]:
    """Tries every mail that is due once: how many were tried, and whether the server can be worked with.

    Ends early when it cannot.
    """
    sick = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_lane(pool, clock, settings, sick)) for _ in range(lanes)]
    return sum(task.result() for task in tasks), not sick.is_set()


async def purge(pool: Pool, clock: Clock, settings: Settings) -> int:
    """Deletes mails that ended as long ago as the operator wants; how many."""
    before = clock() - timedelta(days=settings.mail_sent_keep_days)
    rows, gone = store.PURGED_AT_ONCE, 0
    while rows == store.PURGED_AT_ONCE:
        async with unit(pool, clock()) as tx:
            rows = await store.purge(tx, before)
        gone += rows
    return gone


async def _lane(pool: Pool, clock: Clock, settings: Settings, sick: asyncio.Event) -> int:
    post, tried, lease = Post(settings), 0, _lease(settings)
    mails: list[Claimed] = []
    try:
        while not sick.is_set():
            async with unit(pool, clock(), atomic=False) as tx:
                mails = (await store.claim(tx, lease, TAKEN_AT_ONCE))[::-1]
            if not mails:
                break
            while mails and not sick.is_set():
                tried += 1
                if not await _to_its_end(_attempt(pool, clock, settings, post, mails.pop())):
                    sick.set()
                if settings.smtp_host is None:
                    await asyncio.sleep(REST)
    finally:
        await post.close()
        if mails:
            await _give_back(pool, clock, mails)
    return tried


async def _give_back(pool: Pool, clock: Clock, mails: list[Claimed]) -> None:
    try:
        async with unit(pool, clock(), atomic=False) as tx:
            await store.give_back(tx, mails)
    except (psycopg.OperationalError, PoolTimeout):
        log.debug("left mails to the end of their lease")


def _lease(settings: Settings) -> timedelta:
    """How long nobody else begins with a mail that an attempt has begun with."""
    return timedelta(seconds=settings.smtp_timeout * WHOLE) + SPARE


async def _to_its_end(attempt: Coroutine[Any, Any, bool]) -> bool:
    """An attempt that is not cut off when the process is asked to end: it gets a moment to hear the server's answer.

    A mail that was handed over without anybody hearing that would be sent twice.
    """
    task = asyncio.create_task(attempt)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=GRACE)
        task.cancel()
        await asyncio.wait({task})
        raise


async def _attempt(pool: Pool, clock: Clock, settings: Settings, post: Post, mail: Claimed) -> bool:
    """One attempt at one mail. False if the server cannot be worked with at the moment."""
    began, started = clock(), time.monotonic()
    try:
        if mail.attempts - mail.attempts_before > rules.MOST_ATTEMPTS:
            envelope: Envelope | None = Envelope("failed", None, "given up: no attempt came to its end")
        else:
            ready = await _ready(pool, clock, settings, mail)
            envelope = None if ready is None else await post.send(*ready)
    except (psycopg.OperationalError, PoolTimeout, *GAVE_UP):
        raise  # the lease brings the mail back
    except Exception as error:
        log.exception("a mail could not be made", mail=mail.id)
        envelope = Envelope("deferred", None, f"a fault of Ticketry: {type(error).__name__}")
    if envelope is None:
        return True
    ATTEMPTS.labels(envelope.outcome).inc()
    duration_ms = int((time.monotonic() - started) * 1000)
    again = None
    if envelope.outcome == "deferred":
        luck = random.random()  # noqa: S311 - spreads attempts, guards nothing
        again = rules.next_attempt(mail.attempts - mail.attempts_before, clock(), luck)
    await _settle(pool, clock, lambda tx: store.settle(tx, mail, envelope, began, duration_ms, again))
    if envelope.outcome != "sent":
        log.info("mail not sent", mail=mail.id, outcome=envelope.outcome, code=envelope.code, words=envelope.words)
    return envelope.healthy


async def _settle(pool: Pool, clock: Clock, note: Callable[[Tx], Awaitable[None]]) -> None:
    """Notes an outcome, as often as it takes: what is not noted is done again."""
    for pause in (*SETTLING, None):
        try:
            async with unit(pool, clock(), atomic=False) as tx:
                await note(tx)
            return
        except (psycopg.OperationalError, PoolTimeout):
            if pause is None:
                raise
            await asyncio.sleep(pause)


async def _ready(pool: Pool, clock: Clock, settings: Settings, mail: Claimed) -> tuple[str, str, bytes] | None:
    """Sender, recipient and bytes of a mail; None if it ends here, in the outbox or skipped."""
    again = mail.attempts > mail.attempts_before + 1 and settings.smtp_host is not None
    async with unit(pool, clock()) as tx:
        if settings.smtp_host is None:
            await tx.need_not_last()
        now = await store.held(tx, mail, _lease(settings))
        if now is None:
            return None
        mail = now
        try:
            if again and (known := _known(mail)) is not None:
                ready = _bytes(mail, *known)
                if await addresses(tx, settings, mail) == ready[:2]:
                    return ready
            made = await letter(tx, settings, mail)
        except Dropped as dropped:
            await store.skip(tx, mail, str(dropped))
            return None
        await store.fill(tx, mail, made.address, made.message_id, made.headers, made.content, made.why_not)
    if made.why_not is not None:
        return None
    return _bytes(mail, made.address, made.message_id, made.headers, made.content)


def _known(mail: Claimed) -> tuple[str, str, list[list[str]], Content] | None:
    """What an earlier attempt has made: all attempts send the same."""
    if None in (mail.address, mail.message_id, mail.headers, mail.subject, mail.body_text, mail.body_html):
        return None
    content = Content(str(mail.subject), str(mail.body_text), str(mail.body_html))
    return str(mail.address), str(mail.message_id), mail.headers or [], content


def _bytes(
    mail: Claimed, address: str, message_id: str, headers: list[list[str]], content: Content
) -> tuple[str, str, bytes]:
    sender = next(value for name, value in headers if name == "From").rpartition("<")[2].rstrip(">")
    told = [*headers, ["Message-ID", message_id]]
    return sender, address, wire(told, content.text, content.html, f"=_{mail.id}")
