"""The way in, the same for HTTP, IMAP and the command line: keep the mail, have it read, keep its files, then act.

No transaction is open while a mail comes, is read, or its files move. Whatever fails before the end leaves nothing but
files that the timers clear away, so whoever sent the mail may send it again.
"""

import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from ticketry.attachments import service as attachments
from ticketry.attachments.files import Files, open_files
from ticketry.core.actor import Actor
from ticketry.core.errors import Busy, TicketryError, ValidationFailed
from ticketry.core.ids import mint
from ticketry.db.pool import unit
from ticketry.mail.receiving import service, store
from ticketry.mail.receiving.models import Arrival, Received, Source
from ticketry.mail.receiving.reading.process import Readers
from ticketry.mail.receiving.reading.read_mail import FULL_TEXT, RAW, ReadMail
from ticketry.mail.receiving.rules import is_long
from ticketry.web.body import too_large
from ticketry.web.resources import Resources

log = structlog.get_logger()

PIECE = 65_536
"""Bytes read at a time."""
PASSING = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, Busy, OSError)
"""What goes by itself: the mail is to be sent again, it is not its fault."""


@dataclass(slots=True)
class Mail:
    """A mail on the disk of this machine, in a folder of its own, while it is taken in."""

    folder: Path
    size: int = 0

    async def pieces(self, name: str = RAW) -> AsyncIterator[bytes]:
        """The bytes of one of its files."""
        with (self.folder / name).open("rb") as file:
            while piece := file.read(PIECE):
                yield piece


@asynccontextmanager
async def spooled(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[Mail]:
    """The mail that comes in `chunks`, kept until the block ends. Raises `body_too_large` beyond `limit` bytes."""
    with tempfile.TemporaryDirectory(prefix="ticketry-mail-") as folder:
        mail = Mail(Path(folder))
        with (mail.folder / RAW).open("wb") as file:
            async for chunk in chunks:
                mail.size += len(chunk)
                if mail.size > limit:
                    raise too_large(limit)
                file.write(chunk)
        yield mail


def readers_of(house: Resources) -> Readers:
    """The readers of this process."""
    found: Readers = house.caches.setdefault("mail_readers", Readers())
    return found


async def take_in(house: Resources, actor: Actor, mail: Mail, source: Source, *, misfit: str | None = None) -> Received:
    """Takes a mail in. It is safe to repeat: the same mail becomes one thing.

    `misfit` says in words why it is not to be understood but stored as it is. Raises `TicketryError`, and what the
    database raises, for what may succeed at another time; then nothing has become of it.
    """
    files = open_files(house.settings)
    read = await readers_of(house).read(mail.folder)
    if misfit is not None:
        read = _misfit(read, misfit)
    async with unit(house.pool, house.clock(), atomic=False) as tx:
        before = await service.known(tx, actor.workspace_id, read.fingerprint)
    if before is not None:
        return before
    received = await _act(house, actor, files, mail, read, source)
    house.news.written.set()
    return received


async def _act(house: Resources, actor: Actor, files: Files, mail: Mail, read: ReadMail, source: Source) -> Received:
    """Acts on a mail as it was read; if that fails by a fault of ours, on a mail that was not understood.

    First with the mail attached, and at last without: it is kept as it came in any case.
    """
    for last in (False, False, True):
        try:
            return await _attempt(house, actor, files, mail, read, source, bare=last)
        except PASSING:
            raise
        except Exception as error:
            refused = isinstance(error, TicketryError) and not isinstance(error, ValidationFailed)
            if last or refused:
                raise
            log.exception("a mail could not be acted on", message_id=read.message_id)
            read = _misfit(read, f"acting on it failed ({type(error).__name__})")
    raise AssertionError


def _misfit(read: ReadMail, why: str) -> ReadMail:
    return replace(read, problem=why, files=[], whole=False)


async def _attempt(
    house: Resources, actor: Actor, files: Files, mail: Mail, read: ReadMail, source: Source, *, bare: bool
) -> Received:
    """Keeps the mail as it came and acts on it. If nothing becomes of it, it is not kept for long either."""
    mail_id = mint("mail")
    received = None
    try:
        await _keep_raw(house, actor, files, mail, mail_id)
        arrival = await _stored(house, actor, files, mail, read, source, mail_id, bare=bare)
        async with unit(house.pool, house.clock()) as tx:
            received = await service.receive(tx, actor, arrival)
        return received
    finally:
        if received is None or received.outcome == "duplicate":
            with suppress(*PASSING):
                async with unit(house.pool, house.clock(), atomic=False) as tx:
                    await store.expire_raw(tx, actor.workspace_id, mail_id)


async def _stored(
    house: Resources,
    actor: Actor,
    files: Files,
    mail: Mail,
    read: ReadMail,
    source: Source,
    mail_id: str,
    *,
    bare: bool,
) -> Arrival:
    """Puts the mail's files into the file store; of a `bare` one none."""
    own = tuple(one for one in (house.settings.mail_sender, house.settings.imap_user) if one and "@" in one)
    if bare:
        return Arrival(mail_id, read, mail.size, source, own_addresses=own)

    async def keep(path: str, name: str, kind: str) -> str:
        kept = await attachments.keep(house.pool, house.clock, actor, files, name, kind, mail.pieces(path))
        return kept.id

    kept = [await keep(one.path, one.name, one.type) for one in read.files]
    text = raw = None
    if read.cut or is_long(read.text):
        path = FULL_TEXT
        if not read.cut:
            (mail.folder / path).write_text(read.text, encoding="utf-8")
        text = await keep(path, "message.txt", "text/plain")
    if read.whole or read.problem is not None:
        raw = await keep(RAW, "mail.eml", "message/rfc822")
    return Arrival(mail_id, read, mail.size, source, kept, text, raw, own)


def raw_path(workspace_id: str, mail_id: str) -> str:
    """Where a mail lies as it came."""
    return f"{workspace_id}/{mail_id}"


async def _keep_raw(house: Resources, actor: Actor, files: Files, mail: Mail, mail_id: str) -> None:
    now = house.clock()
    await attachments.found(house.pool, house.clock, files)
    async with unit(house.pool, now) as tx:
        until = now + timedelta(days=house.settings.mail_keep_days)
        await store.announce_raw(tx, actor.workspace_id, mail_id, until)
    await files.write(raw_path(actor.workspace_id, mail_id), mail.pieces())


async def read_raw(house: Resources, actor: Actor, mail_id: str, size: int) -> AsyncGenerator[bytes, None] | None:
    """A mail of so many bytes as it came, in pieces; None if it is no longer kept."""
    with suppress(FileNotFoundError):
        return await open_files(house.settings).read(raw_path(actor.workspace_id, mail_id), 0, size)
    return None


async def purge(house: Resources) -> int:
    """Deletes mails that were kept as they came for long enough. Returns how many."""
    if house.settings.files_dir is None and house.settings.s3_bucket is None:
        return 0
    files = open_files(house.settings)
    async with unit(house.pool, house.clock(), atomic=False) as tx:
        old = await store.old_raws(tx, 500)
    for workspace_id, mail_id in old:
        try:
            await files.delete(raw_path(workspace_id, mail_id))
        except TicketryError as error:
            log.warning("old mails wait to be deleted", reason=error.message)
            return 0
        async with unit(house.pool, house.clock(), atomic=False) as tx:
            await store.forget_raw(tx, workspace_id, mail_id)
    return len(old)
