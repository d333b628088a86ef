"""Use cases of erasure: begin one, take it a step further.

A step is one unit of work and stores how far it came, so that an erasure that died goes on where it was (see `runs`).
What is looked for is stored with it until the end, because the contact's own row is emptied first.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from ticketry.attachments import service as attachments
from ticketry.attachments.files import Files, storage_not_set
from ticketry.contacts import service as contacts
from ticketry.core.actor import Actor, system
from ticketry.core.ids import mint
from ticketry.db.pool import Tx
from ticketry.erasure import store
from ticketry.erasure.beside import store as beside
from ticketry.erasure.models import Run, Stage
from ticketry.erasure.places import PLACES, Place
from ticketry.erasure.rules import ERASED, Eraser, Mode, Sought
from ticketry.erasure.store import Found
from ticketry.events import service as events
from ticketry.tickets import rules as ticket_rules
from ticketry.tickets.search.marks import store as marks
from ticketry.tickets.search.store import fold_counts
from ticketry.web import idempotency

TICKETS_AT_ONCE = 50
"""Tickets of one step: a step takes well under a second, and nobody waits longer for a ticket."""
SEARCHED_AT_ONCE = 1000
ANSWERS_AT_ONCE = 200
WORDS_AT_ONCE = 200
OUTSIDE: frozenset[Stage] = frozenset({"files", "statistics"})
"""Stages whose work is done with no transaction open, by whoever takes the steps."""
_FILE_ID = re.compile(r"att_[A-Za-z0-9_]{1,60}", re.ASCII)
_TICKET_ID = re.compile(r"ticket_[A-Za-z0-9_]{1,57}", re.ASCII)


async def begin(tx: Tx, actor: Actor, contact_id: str) -> Run:
    """Empties the contact and records that everything else of the person is to follow.

    For one that was erased before, the erasure that did it. Raises `NotFound`.
    """
    was, former = await contacts.erase(tx, actor.workspace_id, contact_id)
    run = await store.of_contact(tx, actor.workspace_id, contact_id)
    if run is None and was.erased_at is not None:  # erased in another installation, and brought along
        await store.start(tx, actor, mint("erasure"), Sought(contact_id).as_dict(), contact_id=contact_id)
    elif run is None:
        sought = Sought.of_person(contact_id, was.model_dump(), former)
        shared = await store.others_phones(tx, actor.workspace_id, contact_id, sought.phones)
        sought = replace(sought, shared_phone=sought.phone in shared, others_phones=tuple(shared))
        await store.start(tx, actor, mint("erasure"), sought.as_dict(), contact_id=contact_id)
    run = await store.of_contact(tx, actor.workspace_id, contact_id)
    assert run is not None
    return run


async def begin_retention(tx: Tx, workspace_id: str, closed_before: datetime) -> None:
    """Records that the texts of tickets closed before an instant are to go; nothing if that is being done already."""
    actor = system(workspace_id, "Retention")
    await store.start(tx, actor, mint("erasure"), Sought().as_dict(), closed_before=closed_before)


async def step(
    tx: Tx, files: Files | None, workspace_id: str, run_id: str, *, outside: Collection[Stage]
) -> Run | None:
    """Takes an erasure one step further. None if it cannot go on right now: another is at it, or it must wait.

    At a stage of `OUTSIDE` it stands still until the caller has done its work, and says so by `outside`.
    """
    run = await store.take(tx, workspace_id, run_id)
    if run is None or run.finished_at is not None or run.stage in OUTSIDE - set(outside):
        return run
    moved = await _STEPS[run.stage](tx, files, run)
    if moved is not None:
        await store.save(tx, moved)
    return moved


def _actor(run: Run) -> Actor:
    return Actor(run.workspace_id, run.actor_type, run.actor_id, run.actor_name)


def _sought(run: Run) -> Sought:
    return Sought.of(run.sought or {})


async def _eraser(run: Run) -> Eraser:
    """In a thread: the patterns of somebody with many long names take a while."""
    return await asyncio.to_thread(Eraser, _sought(run))


def _counted(run: Run, more: dict[str, int]) -> dict[str, int]:
    return {name: run.counts.get(name, 0) + more.get(name, 0) for name in run.counts.keys() | more.keys()}


async def _settle(tx: Tx, files: Files | None, run: Run) -> Run | None:
    """Waits until whatever was being written when the erasure began is there to be found."""
    if run.settled is None:
        sought = _sought(run)
        used = await store.names_used(tx, run.workspace_id, run.contact_id or "")
        emails, names = await store.addresses_used(tx, run.workspace_id, run.contact_id or "")
        known = (sought.email or "").lower()
        emails = [*sought.former, *emails]
        sought = replace(
            sought,
            names=tuple(dict.fromkeys((*sought.names, *used, *names))),
            former=tuple({email.lower(): email for email in emails if email.lower() != known}.values()),
        )
        sought = replace(sought, others_emails=tuple(await store.others_emails(tx, run.workspace_id, sought.emails)))
        return replace(run, settled=await store.own_transaction(tx), sought=sought.as_dict())
    return replace(run, stage="tickets") if await store.is_settled(tx, run.settled) else None


async def _own(tx: Tx, files: Files | None, run: Run) -> Run:
    """The next of the tickets whose texts go."""
    ids = await store.next_own(tx, run, run.stride(TICKETS_AT_ONCE))
    if not ids:
        return replace(run, stage="elsewhere" if run.contact_id else "answers", place="")
    await beside.note_words(tx, run, ids)
    eraser = await _eraser(run)
    await _note_said(tx, run, eraser, ids)
    await _note_labels(tx, run, eraser, ids)
    work = _Work(tx, files, run, eraser)
    for place in PLACES:
        await work.go_through(place, ids, dict.fromkeys(ids, "own"))
    gone = await attachments.erase(tx, run.workspace_id, ticket_ids=ids)
    await store.mark(tx, run, ids, own=True)
    await _tell(tx, run, ids)
    counts = _counted(run, {**work.counts, "tickets": len(ids), "files": gone, "file_names": 0})
    return replace(run, place=ids[-1], counts=counts)


async def _tell(tx: Tx, run: Run, ids: Sequence[str]) -> None:
    about = {"id": run.id, "cause": run.kind}
    facts = [
        events.fact(
            "ticket.erased", _actor(run), ticket.id, tx.now, ticket_rules.as_json(ticket, tx.now), changes={},
            erasure=about,
        )
        for ticket in await store.tickets(tx, run.workspace_id, ids)
    ]  # fmt: skip
    await store.tell(tx, _actor(run), [(fact.id, fact.ticket_id or "", fact.data) for fact in facts])


async def _elsewhere(tx: Tx, files: Files | None, run: Run) -> Run:
    """Mentions of the person on the next of all other tickets of the workspace, and what the person said there."""
    last = await store.last_of_next(tx, run.workspace_id, run.place, run.stride(SEARCHED_AT_ONCE))
    if last is None:
        return replace(run, stage="loose", place="")
    eraser = await _eraser(run)
    found: set[str] = set()
    for place in PLACES:
        found |= await store.mentioning(tx, run, place, eraser.sought.rough(), last)
    ids = await store.not_own(tx, run, sorted(found))
    if len(ids) > run.stride(TICKETS_AT_ONCE):
        ids = ids[: run.stride(TICKETS_AT_ONCE)]
        last = ids[-1]
    await store.hold(tx, run.workspace_id, ids)
    spoken = await store.spoken_on(tx, run, ids)
    modes: dict[str, Mode] = {ticket_id: "part" if ticket_id in spoken else "mention" for ticket_id in ids}
    created, mailed = await store.once_own(tx, run, ids, eraser.sought.public_emails)
    own = sorted(created | mailed)
    modes |= dict.fromkeys(own, "own")
    noted = await _note_said(tx, run, eraser, ids)
    await _note_labels(tx, run, eraser, own)
    await beside.note_words(tx, run, ids)
    work = _Work(tx, files, run, eraser)
    for place in PLACES:
        await work.go_through(place, ids, modes)
    gone = await attachments.erase(tx, run.workspace_id, ticket_ids=sorted(mailed), comment_ids=noted)
    await store.mark(tx, run, sorted(work.touched - {*own}), own=False)
    await store.mark(tx, run, own, own=True)
    await _tell(tx, run, own)
    counts = _counted(run, {**work.counts, "files": gone})
    return replace(run, place=last, counts=counts)


async def _note_said(tx: Tx, run: Run, eraser: Eraser, ids: Sequence[str]) -> list[str]:
    """Lets the eraser know the comments that hold the person's words; those that came by a mail that named nobody."""
    if run.contact_id is None:
        return []
    own, mailed = await store.said_on(tx, run, ids, eraser.sought.public_emails)
    eraser.said_in |= own | mailed
    return sorted(mailed)


async def _note_labels(tx: Tx, run: Run, eraser: Eraser, ids: Sequence[str]) -> None:
    """Lets the eraser know the categories and root causes of these tickets that tell who the person is."""
    if run.contact_id is not None:
        telling = [label for label in await beside.labels(tx, run, ids) if eraser.mentioned(label, "own")]
        eraser.labels |= set(telling) - await beside.others_labels(tx, run, ids, telling)


async def _loose(tx: Tx, files: Files | None, run: Run) -> Run:
    """What belongs to no ticket: mails that led to none, files not attached, queued jobs."""
    eraser = await _eraser(run)
    work = _Work(tx, files, run, eraser)
    for place in PLACES:
        if place.loose:
            await work.go_through_loose(place)
    await beside.drop_mails(tx, run)
    await beside.forget_former(tx, run, [*eraser.sought.names, *eraser.sought.emails, *eraser.sought.phones])
    await beside.note_person(tx, run, [*eraser.sought.names, *eraser.sought.emails])
    gone = await attachments.erase(tx, run.workspace_id, contact_ids=[run.contact_id or ""])
    for job_id, args in await beside.jobs(tx, eraser.sought.rough()):
        left = eraser.anything(args, "mention")
        if left != args:
            await beside.write_job(tx, job_id, left)
    counts = _counted(run, {**work.counts, "files": gone})
    return replace(run, stage="answers", place="", counts=counts)


async def _answers(tx: Tx, files: Files | None, run: Run) -> Run:
    """Stored answers that mention the person or a ticket that was erased."""
    after: tuple[str, str, int] = ("", "", -1) if not run.place else tuple(json.loads(run.place))
    found = await idempotency.stored_after(tx, run.workspace_id, after, run.stride(ANSWERS_AT_ONCE))
    if not found:
        return replace(run, stage="words", place="")
    eraser = await _eraser(run)
    withdrawn = 0
    for key_id, word, part, body in found:
        named = (run.contact_id is not None and run.contact_id in body) or eraser.told_in(body)
        telling = eraser.told_by(word)
        if (
            telling
            or named
            or await store.own_or_erased(tx, run, list(set(_TICKET_ID.findall(body))))
            or await attachments.some_erased(tx, run.workspace_id, list(set(_FILE_ID.findall(body))))
        ):
            await idempotency.withdraw(tx, run.workspace_id, key_id, word, part, hide_key=telling)
            withdrawn += 1
    return replace(run, place=json.dumps(found[-1][:3]), counts=_counted(run, {"answers": withdrawn}))


async def _words(tx: Tx, files: Files | None, run: Run) -> Run:
    """Words that stand nowhere else leave the vocabulary of the search."""
    last = await beside.drop_words(tx, run, run.stride(WORDS_AT_ONCE))
    if last is not None:
        return replace(run, place=last)
    return replace(run, stage="files", place="", settled=await store.own_transaction(tx))


async def _files(tx: Tx, files: Files | None, run: Run) -> Run:
    """The files are deleted: see `step`."""
    return replace(run, stage="ending")


async def _end(tx: Tx, files: Files | None, run: Run) -> Run | None:
    """Waits until nothing of it is left in what is folded by and by."""
    if run.settled is None or not await store.is_settled(tx, run.settled):
        return None
    if await beside.mend_words(tx, run, run.stride(WORDS_AT_ONCE)):
        return run
    folded = await marks.fold(tx)  # marks hold words and tags, which go when what was noted of the tickets is folded
    if folded == marks.FOLDED_AT_ONCE:
        return run
    if not folded and await beside.has_mark_changes(tx, run.workspace_id):
        return None  # another process is at it
    folded = await fold_counts(tx)
    if not await beside.drop_empty_counts(tx, run.workspace_id) and not folded:
        return None
    return replace(run, stage="statistics")


async def _record(tx: Tx, files: Files | None, run: Run) -> Run:
    """Forgets what was looked for, and records the erasure. The statistics are made anew: see `step`."""
    about: dict[str, Any] = {"erasure_id": run.id, "counts": run.counts}
    if run.contact_id is not None:
        await events.tell(tx, "contact.erased", _actor(run), contact_id=run.contact_id, **about)
    else:
        await events.tell(tx, "retention.erased", _actor(run), closed_before=run.closed_before, **about)
    return replace(run, stage="done", sought=None, finished_at=tx.now)


_STEPS: dict[str, Callable[[Tx, Files | None, Run], Awaitable[Run | None]]] = {
    "settling": _settle,
    "tickets": _own,
    "elsewhere": _elsewhere,
    "loose": _loose,
    "answers": _answers,
    "words": _words,
    "files": _files,
    "ending": _end,
    "statistics": _record,
}


class _Work:
    """One step's way through the places, with what it has done so far."""

    def __init__(self, tx: Tx, files: Files | None, run: Run, eraser: Eraser) -> None:
        self.tx, self.files, self.run, self.eraser = tx, files, run, eraser
        self.counts: dict[str, int] = {}
        self.touched: set[str] = set()
        self.altered: list[str] = []
        """Events that were."""

    async def go_through(self, place: Place, ids: Sequence[str], modes: dict[str, Mode]) -> None:
        """Erases in the rows of these tickets."""
        after: Found | None = None
        while ids and (found := await store.rows(self.tx, self.run.workspace_id, place, ids, after)):
            await self._erase(place, [(row, modes[row.ticket_id or ""]) for row in found])
            after = found[-1]
        await self._forget_answers(place)

    async def go_through_loose(self, place: Place) -> None:
        """Erases in the rows that belong to no ticket."""
        after: Found | None = None
        while found := await store.loose_rows(self.tx, self.run, place, self.eraser.sought.rough(), after):
            await self._erase(place, [(row, "mention") for row in found])
            after = found[-1]
        await self._forget_answers(place)

    async def _forget_answers(self, place: Place) -> None:
        """What receivers answered to altered events goes when their deliveries are held: then nobody adds another."""
        if place.table == "webhook_deliveries" and self.altered:
            told = await beside.forget_answers(self.tx, self.run, self.altered, ERASED)
            self.counts["deliveries"] = self.counts.get("deliveries", 0) + told
            self.altered = []

    async def _erase(self, place: Place, rows: Sequence[tuple[Found, Mode]]) -> None:
        changed = []
        going = []
        for row, mode in rows:
            mine = self.eraser.theirs(*row.person) or row.comment_id in self.eraser.said_in
            mine |= place.raws and self.eraser.wrote(row.texts["from_address"])
            mode = "own" if mine and place.whole else mode
            left = {
                name: self.eraser.column(rule, row.texts[name], mode, mine=mine) for name, rule in place.columns.items()
            }
            if left != row.texts:
                changed.append(row._replace(texts=left))
            if place.raws and (mode == "own" or left != row.texts):
                going.append(row.key["id"])
        await store.write(self.tx, self.run, place, changed)
        if place.table == "events":
            self.altered += [row.key["id"] for row in changed]
        await self._delete_raws(going)
        self.counts[place.counted_as] = self.counts.get(place.counted_as, 0) + len(changed)
        self.touched |= {row.ticket_id for row in changed if row.ticket_id is not None}

    async def _delete_raws(self, mail_ids: Sequence[str]) -> None:
        """Deletes mails as they came. Should this unit fail, the next attempt finds their rows and deletes nothing."""
        for mail_id in await beside.raws(self.tx, self.run.workspace_id, mail_ids) if mail_ids else []:
            if self.files is None:
                raise storage_not_set()
            await self.files.delete(f"{self.run.workspace_id}/{mail_id}")
            await beside.forget_raw(self.tx, self.run.workspace_id, mail_id)
