"""Use cases of attachments. Bytes move while no transaction is open: `receive` and `keep` open their own units."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from ticketry.attachments import rules, store
from ticketry.attachments.files import MARK, Files, storage_unavailable
from ticketry.attachments.models import Attachment, AttachmentIds, AttachmentItem, Visibility
from ticketry.attachments.store import Place
from ticketry.contacts import service as contacts
from ticketry.core.actor import Actor
from ticketry.core.clock import Clock
from ticketry.core.errors import Busy, Conflict, InvalidRequest, NotFound, TicketryError, ValidationFailed
from ticketry.core.ids import mint
from ticketry.db.paging import Page, PageIn, page_of
from ticketry.db.pool import Pool, Tx, unit

log = structlog.get_logger()

LOOSE = timedelta(days=1)
"""How long a file may lie about before it is attached."""
SWEPT_AT_ONCE = 500


def too_large(limit: int) -> InvalidRequest:
    """The file has more bytes than the server takes."""
    return InvalidRequest("body_too_large", f"The file is larger than {limit} bytes", limit=limit)


def missing() -> NotFound:
    """No such file, or another workspace's."""
    return NotFound("attachment_not_found", "Attachment not found")


def path_of(place: Place) -> str:
    """Where a file lies in the store. Nothing that a caller has written is part of it."""
    return f"{place.workspace_id}/{place.id}"


@dataclass
class Received:
    """A file whose bytes are stored and which nobody sees yet; `finish` or `discard` settles it."""

    place: Place
    name: str
    claimed_type: str | None
    size: int = 0
    _digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    _head: bytes = b""
    _foot: bytes = b""

    @property
    def sha256(self) -> str:
        """Of all bytes, in hexadecimal."""
        return self._digest.hexdigest()

    @property
    def content_type(self) -> str:
        """What the bytes look like."""
        return rules.sniff(self._head, self._foot)

    def take(self, piece: bytes) -> None:
        """Looks at the next bytes."""
        self.size += len(piece)
        self._digest.update(piece)
        if len(self._head) < rules.HEAD:
            self._head += piece[: rules.HEAD - len(self._head)]
        self._foot = (self._foot + piece[-rules.FOOT :])[-rules.FOOT :]


async def found(pool: Pool, clock: Clock, files: Files) -> None:
    """To be called before files are written: an empty folder becomes a file store, unless files should lie in it.

    Then its disk is away: raises `storage_unavailable`, rather than to write where nobody will look.
    """
    if await files.founded():
        return
    async with unit(pool, clock(), atomic=False) as tx:
        awaited = await store.some_kept(tx)
    if awaited and not await files.founded():  # unless another upload was faster
        log.error("the folder of files is empty, and should not be: is its disk away?", hint=f"{MARK} is missing in it")
        raise storage_unavailable()
    await files.found()


async def receive(
    pool: Pool,
    clock: Clock,
    actor: Actor,
    files: Files,
    name: str | None,
    claimed_type: str | None,
    chunks: AsyncIterator[bytes],
    *,
    limit: int | None = None,
    contact_id: str | None = None,
) -> Received:
    """Streams a file into the store. It is seen by nobody until `finish`; whatever goes wrong leaves nothing.

    `limit` is in bytes. Raises `InvalidRequest` (body_too_large) as soon as it is passed, and what `chunks` raises.
    """
    place = Place(actor.workspace_id, mint("att"))
    received = Received(place, rules.clean_name(name), rules.clean_type(claimed_type))
    await found(pool, clock, files)
    async with unit(pool, clock()) as tx:
        await store.insert(tx, *place, received.name, received.claimed_type, contact_id)

    async def watched() -> AsyncIterator[bytes]:
        async for piece in chunks:
            received.take(piece)
            if limit is not None and received.size > limit:
                raise too_large(limit)
            yield piece

    try:
        await files.write(path_of(place), watched())
    except BaseException:
        await discard(pool, clock, files, received)
        raise
    return received


async def finish(tx: Tx, received: Received, contact_id: str | None = None) -> Attachment:
    """Lets a file be seen and attached. `contact_id` is the customer it belongs to; must exist in the workspace."""
    if contact_id is not None:
        await contacts.check_exists(tx, received.place.workspace_id, contact_id, "contact_id")
    done = await store.complete(tx, received.place, received.content_type, received.size, received.sha256, contact_id)
    if done is None:
        raise Busy("upload_expired", "The upload took so long that it was given up; send the file again")
    return done


async def discard(pool: Pool, clock: Clock, files: Files, received: Received) -> None:
    """Gives up a file that was received. What cannot be deleted now is deleted by the timer.

    One that is seen already stays: a commit whose answer was lost may have succeeded, and the file may be attached.
    """
    with suppress(TicketryError, OSError):
        async with unit(pool, clock()) as tx:
            await store.give_up(tx, received.place)
            if await store.get(tx, *received.place) is not None:
                return
        await _remove(pool, clock, files, received.place)


async def _remove(pool: Pool, clock: Clock, files: Files, place: Place) -> None:
    """Deletes a file whose row says that it is to go, then settles the row: a crash in between is made good later."""
    await files.delete(path_of(place))
    async with unit(pool, clock()) as tx:
        await store.gone(tx, place)


async def keep(
    pool: Pool,
    clock: Clock,
    actor: Actor,
    files: Files,
    name: str | None,
    claimed_type: str | None,
    chunks: AsyncIterator[bytes],
    *,
    limit: int | None = None,
    contact_id: str | None = None,
) -> Attachment:
    """Streams a file into the store and lets it be attached, for programs inside the house (mail, import).

    Raises what `receive` and `finish` raise; then nothing is left of it.
    """
    received = await receive(pool, clock, actor, files, name, claimed_type, chunks, limit=limit)
    try:
        async with unit(pool, clock()) as tx:
            return await finish(tx, received, contact_id)
    except BaseException:
        await discard(pool, clock, files, received)
        raise


async def get(tx: Tx, actor: Actor, attachment_id: str) -> Attachment:
    """A file of the actor's workspace whose bytes are there; anything else is not found."""
    found = await store.get(tx, actor.workspace_id, attachment_id)
    if found is None:
        raise missing()
    return found


async def open_file(
    files: Files, workspace_id: str, attachment: Attachment, start: int = 0, end: int | None = None
) -> AsyncGenerator[bytes, None]:
    """The bytes of a file from `start` up to `end` (not included), in pieces. No transaction need be open.

    Raises `NotFound` if the file went meanwhile, `storage_unavailable` if the store does not answer.
    """
    try:
        place = Place(workspace_id, attachment.id)
        pieces = await files.read(path_of(place), start, attachment.size if end is None else end)
    except FileNotFoundError:
        raise missing() from None
    return _while_there(pieces)


async def _while_there(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The same, with our word for a file that goes while it is read."""
    async with aclosing(pieces):
        try:
            async for piece in pieces:
                yield piece
        except FileNotFoundError:
            raise missing() from None


async def pick(tx: Tx, workspace_id: str, attachment_ids: AttachmentIds | None) -> list[Attachment]:
    """The files named, held until the transaction ends, so that nobody else attaches them.

    Raises `ValidationFailed` naming each id that is not there, another workspace's or attached already.
    """
    if not attachment_ids:
        return []
    found = await store.locked(tx, workspace_id, attachment_ids)
    if len(found) < len(attachment_ids):
        raise ValidationFailed(*rules.refusal(attachment_ids, {one.id for one in found}))
    return found


def check_fit(
    picked: Sequence[Attachment], named: Sequence[str] | None, speaker_id: str | None, ticket_contact_id: str | None
) -> None:
    """Raises `ValidationFailed` naming each file that belongs to another customer; `named` is as the caller wrote."""
    usable = {one.id for one in picked if rules.fits(one, speaker_id, ticket_contact_id)}
    if wrong := rules.refusal(named or [], usable):
        raise ValidationFailed(*wrong)


async def attach(
    tx: Tx,
    workspace_id: str,
    picked: Sequence[Attachment],
    *,
    ticket_id: str,
    comment_id: str | None = None,
    visibility: Visibility = "public",
    contact_id: str | None = None,
) -> list[Attachment]:
    """Puts files that were picked in this transaction on a ticket or one of its comments.

    `contact_id` is the customer who sent them; a file that belongs to nobody yet becomes theirs.
    """
    if not picked:
        return []
    ids = [one.id for one in picked]
    return await store.attach(
        tx,
        workspace_id,
        ids,
        ticket_id=ticket_id,
        comment_id=comment_id,
        visibility=visibility,
        contact_id=contact_id,
    )


async def of_ticket(tx: Tx, workspace_id: str, ticket_id: str) -> list[Attachment]:
    """All files of a ticket and of its comments, oldest first. Customers: see `rules.visible_to_customers`."""
    return await store.of_ticket(tx, workspace_id, ticket_id)


async def page_of_ticket(tx: Tx, workspace_id: str, ticket_id: str, asked: PageIn) -> Page[Attachment]:
    """The files of a ticket and of its comments, oldest first, a page at a time."""
    found = await store.of_ticket(tx, workspace_id, ticket_id, asked)
    return page_of(found, await store.count_of_ticket(tx, workspace_id, ticket_id), asked)


async def of_comments(tx: Tx, workspace_id: str, comment_ids: Sequence[str]) -> dict[str, list[AttachmentItem]]:
    """The files of these comments by comment, oldest first."""
    found: dict[str, list[AttachmentItem]] = {}
    for one in await store.of_comments(tx, workspace_id, comment_ids) if comment_ids else []:
        assert one.comment_id is not None
        found.setdefault(one.comment_id, []).append(one.item())
    return found


async def mark_deleted(tx: Tx, actor: Actor, attachment_id: str) -> Place:
    """Takes away a file that is not attached; its bytes go by `sweep_one` after the commit."""
    found = await get(tx, actor, attachment_id)
    place = Place(actor.workspace_id, attachment_id)
    if found.ticket_id is not None or not await store.drop(tx, place):
        raise Conflict("attachment_in_use", "The file is attached to a ticket and stays with it")
    return place


async def some_erased(tx: Tx, workspace_id: str, attachment_ids: Sequence[str]) -> bool:
    """Whether one of these files was erased, or is there no more."""
    return await store.some_erased(tx, workspace_id, attachment_ids) if attachment_ids else False


async def erase(
    tx: Tx,
    workspace_id: str,
    *,
    ticket_ids: Sequence[str] = (),
    comment_ids: Sequence[str] = (),
    contact_ids: Sequence[str] = (),
) -> int:
    """Erases the files of tickets (their comments' too), of comments and of contacts: names and hashes at once, in the
    caller's transaction; the bytes by `sweep` after its commit. Ids, sizes and types stay. Returns how many files.
    """
    return await store.erase(tx, workspace_id, ticket_ids, comment_ids, contact_ids)


async def sweep_one(pool: Pool, clock: Clock, files: Files, place: Place) -> None:
    """Deletes the bytes of one file that was marked; should that fail, the timer does it."""
    with suppress(TicketryError, OSError):
        await _remove(pool, clock, files, place)


async def sweep(pool: Pool, clock: Clock, files: Files) -> int:
    """Deletes the files that are marked for it, in all workspaces. Returns how many.

    One that cannot be deleted does not hold up the others: what the store said of the first is raised at the end.
    """
    deleted, failures = 0, list[Exception]()
    last = Place("", "")
    while True:
        async with unit(pool, clock()) as tx:
            places = await store.leaving(tx, last, SWEPT_AT_ONCE)
        for last in places:
            try:
                await _remove(pool, clock, files, last)
                deleted += 1
            except (TicketryError, OSError) as error:
                failures.append(error)
        if len(places) < SWEPT_AT_ONCE:
            break
    if failures:
        raise failures[0]
    return deleted


async def announce(pool: Pool, tx: Tx, place: Place) -> None:
    """To be called before a file is written whose row comes with `tx`: unless that commits, the file goes again."""
    while not await store.take_back(tx, place):
        async with unit(pool, tx.now) as first:
            await store.announce(first, place)


async def sweep_abandoned(pool: Pool, clock: Clock, files: Files) -> int:
    """Deletes announced files whose transaction failed or died, in all workspaces. Returns how many."""
    total, swept = 0, SWEPT_AT_ONCE
    while swept == SWEPT_AT_ONCE:
        async with unit(pool, clock()) as tx:
            places = await store.abandoned(tx, SWEPT_AT_ONCE)
            for place in places:
                await files.delete(path_of(place))
                await store.take_back(tx, place)
        swept = len(places)
        total += swept
    return total


async def purge(pool: Pool, clock: Clock, files: Files) -> int:
    """Deletes files that were uploaded more than a day ago and never attached, also those that never ended, and what
    else is marked to go. Returns how many.
    """
    async with unit(pool, clock()) as tx:
        await store.drop_loose(tx, clock() - LOOSE)
    deleted = await sweep_abandoned(pool, clock, files)
    return deleted + await sweep(pool, clock, files)
