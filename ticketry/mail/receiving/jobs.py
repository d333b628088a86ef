"""Looking into the mailbox, and clearing away old mails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from imaplib import IMAP4

import structlog

from ticketry.accounts.workspaces import service as workspaces
from ticketry.core.actor import Actor, system
from ticketry.core.errors import OperatorError, TicketryError
from ticketry.db.paging import PageIn
from ticketry.db.pool import Tx, unit
from ticketry.mail.receiving import intake, store
from ticketry.mail.receiving.mailbox import Address, FetchFailed, Mailbox
from ticketry.mail.receiving.rules import patience
from ticketry.mail.wording.templates import one_line
from ticketry.web.resources import Resources

log = structlog.get_logger()

MOST_FAILURES = 6
"""How often a mail may fail until it is stored as it is; one time more, and its headers are; then only its place."""
MOST_AT_ONCE = 200
"""Mails of one look; the rest comes at the next."""

purge = intake.purge


async def watch(house: Resources) -> None:
    """Looks into the mailbox that the settings name, again and again. Of several processes one does."""
    address = Address.of(house.settings)
    if address is None:
        await asyncio.Event().wait()
        return
    while True:
        try:
            taken = await poll(house, address)
            log.debug("looked into the mailbox", mails=taken)
        except Exception as error:
            log.warning("the mailbox could not be read", mailbox=address.name, reason=_words(error))
        await asyncio.sleep(house.settings.imap_interval)


def _words(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:500]


async def poll(house: Resources, address: Address) -> int:
    """Takes in what is new in the mailbox. Returns how many mails; 0 also if another process is at it."""
    async with unit(house.pool, house.clock(), atomic=False) as turn:
        if not await store.try_turn(turn):
            return 0
        try:
            return await _look(house, address, await _workspace(house))
        finally:
            await store.end_turn(turn)


async def _workspace(house: Resources) -> str:
    """The workspace that gets the mail. Raises `OperatorError` if there is none."""

    async def find(tx: Tx) -> str:
        if house.settings.imap_workspace is not None:
            return (await workspaces.get(tx, house.settings.imap_workspace)).id
        agency = await workspaces.agency(tx)
        if agency is None:
            raise OperatorError("there is no workspace yet")
        return next(one.id for one in (await workspaces.page(tx, agency, PageIn())).data if one.is_home)

    async with unit(house.pool, house.clock(), atomic=False) as tx:
        return await find(tx)


@asynccontextmanager
async def _opened(address: Address) -> AsyncIterator[Mailbox]:
    """The mailbox. Whoever is cancelled while the server is silent does not wait for it."""
    box = await asyncio.to_thread(Mailbox, address)
    try:
        yield box
    except BaseException:
        box.abandon()
        raise
    await asyncio.to_thread(box.close)


async def _look(house: Resources, address: Address, workspace_id: str) -> int:
    actor = system(workspace_id, "Mail")
    taken = 0
    async with _opened(address) as box:
        async with unit(house.pool, house.clock(), atomic=False) as tx:
            waiting = await store.waiting(tx, workspace_id, address.name, box.uid_validity)
        found = await asyncio.to_thread(box.new)
        now = house.clock()
        due = [uid for uid in found if uid not in waiting or waiting[uid][1] <= now]
        for uid in due[:MOST_AT_ONCE]:
            taken += await _take(house, actor, address, box, uid, waiting[uid][0] if uid in waiting else None)
    return taken


async def _take(house: Resources, actor: Actor, address: Address, box: Mailbox, uid: int, before: int | None) -> bool:
    """Takes one mail in, and only then marks it. One that fails is left, and does not hold up the next.

    `before` is how often it failed already, None for a mail that was never tried.
    """
    failures = before or 0
    place = (actor.workspace_id, address.name, box.uid_validity, uid)
    try:
        await _hand_in(house, actor, address, box, uid, failures)
        await asyncio.to_thread(box.settle, uid)
    except Exception as error:
        # What the database or the file store refuses now is not the mail's fault, and does not count against it. The
        # mail server's hanging up, or silence, may be: there are mails that it cannot give.
        passing = isinstance(error, (*intake.PASSING, TicketryError)) and not isinstance(error, TimeoutError)
        counted = failures + (not passing)
        log.warning("a mail was not taken in", uid=uid, failures=counted, reason=_words(error))
        async with unit(house.pool, house.clock(), atomic=False) as tx:
            await store.failed(tx, *place, counted, _words(error), patience(counted))
        if isinstance(error, (OSError, IMAP4.abort)):
            raise  # the connection, or the disk: the next mail would fare no better now
        return False
    if before is not None:
        async with unit(house.pool, house.clock(), atomic=False) as tx:
            await store.settled(tx, *place)
    return True


async def _hand_in(house: Resources, actor: Actor, address: Address, box: Mailbox, uid: int, failures: int) -> None:
    """Takes a mail in; after many failures whatever can be had of it: all, then its headers, then where it lies."""
    limit = house.settings.mail_limit
    misfit = f"it could not be taken in {failures} times" if failures >= MOST_FAILURES else None
    if failures > MOST_FAILURES + 1:
        misfit = f"the mail server did not give it in {failures} attempts; it stays in the mailbox"
        raw: bytes | None = _placeholder(address, box, uid)
    else:
        size = await asyncio.to_thread(box.size, uid)
        if size is None:
            return
        if size > limit:
            misfit = f"it has {size} bytes, more than {limit}; only its headers were fetched"
        elif failures > MOST_FAILURES:
            misfit = f"{misfit}; only its headers were fetched"
        whole = size <= limit and failures <= MOST_FAILURES
        raw = await asyncio.to_thread(box.fetch if whole else box.head, uid)
    if raw is None:
        raise FetchFailed("the server did not give the mail")
    async with intake.spooled(_pieces(raw), max(limit, len(raw))) as mail:
        await intake.take_in(house, actor, mail, "imap", misfit=misfit)


def _placeholder(address: Address, box: Mailbox, uid: int) -> bytes:
    """What stands for a mail that cannot be had. It is the same at every attempt, and another for every mail."""
    where = one_line(f"Mail {uid} of {address.name}")[:200]
    return f"Subject: {where}\nX-Mailbox-Validity: {box.uid_validity}\n\n".encode()


async def _pieces(raw: bytes) -> AsyncIterator[bytes]:
    yield raw
