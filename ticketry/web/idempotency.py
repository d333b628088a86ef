"""Idempotency-Key: the same request sent again gets the answer of the first, and the work is done once.

The answer is stored in the transaction that does the work: a crash leaves both or neither, and a retry finds out which.
A request that is done in parts, each in a transaction of its own, has an answer stored for each (`in_parts`).
"""

import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from fastapi import Request
from fastapi.responses import Response
from psycopg.types.json import Jsonb

from ticketry.core.actor import Actor
from ticketry.core.errors import Busy, Conflict, NotFound, PreconditionFailed, ValidationFailed, field_error
from ticketry.db.pool import Pool, Tx, unit
from ticketry.web.problems import render
from ticketry.web.resources import Resources, resources

IDEMPOTENCY_HEADER = "idempotency-key"
KEPT = timedelta(hours=24)
PURGED_AT_ONCE = 1_000
_FORM = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)
_KEPT_HEADERS = ("etag", "location", "content-type")
REPLAYED = {"Idempotent-Replayed": "true"}
_FINAL = (Conflict, NotFound, PreconditionFailed)
"""Refusals that are answers: they are kept. A request that was never understood (422) may be mended and sent again."""

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Claim:
    """One caller's use of one key, with what tells another request from the same one."""

    workspace_id: str
    key_id: str
    key: str
    fingerprint: bytes

    @classmethod
    def of(cls, request: Request, actor: Actor, raw_body: bytes) -> Self:
        """The claim that a request makes. Raises `ValidationFailed` for a key of the wrong form."""
        key = request.headers[IDEMPOTENCY_HEADER]
        if not _FORM.fullmatch(key):
            message = "must be 1 to 255 printable ASCII characters"
            raise ValidationFailed(field_error("Idempotency-Key", "invalid_idempotency_key", message))
        scope = request.scope
        told = (scope["method"].encode(), scope["raw_path"], scope["query_string"])
        seen = b"\n".join((*told, request.headers.get("if-match", "").encode(), raw_body))
        return cls(actor.workspace_id, actor.key_id or "", key, hashlib.sha256(seen).digest())

    @property
    def forms(self) -> list[str]:
        """The key, and what stands for it once it was made unreadable."""
        return [self.key, _hidden(self.key)]

    @property
    def lock(self) -> str:
        """What is locked while the first request runs."""
        return f"{self.workspace_id}/{self.key_id}/{self.key}"


async def once(request: Request, claim: Claim, handler: Handler) -> Response:
    """The stored answer of this claim, or the handler's, stored together with what it did."""
    house = resources(request)
    now = house.clock()
    try:
        async with unit(house.pool, now) as tx:
            await _take(tx, claim)
            if (stored := await _stored(tx, claim)) is not None:
                return stored
            request.state.tx = tx
            answer = await handler(request)
            await _keep(tx, claim, answer)
            return answer
    except _FINAL as refusal:
        if isinstance(refusal, Busy):
            raise
        return await _keep_refusal(house.pool, now, claim, render(refusal))


async def _take(tx: Tx, claim: Claim) -> None:
    row = await tx.one("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", (claim.lock,))
    if row is None or not row[0]:
        raise _in_use()


def _in_use() -> Busy:
    return Busy("idempotency_key_in_use", "The first request with this Idempotency-Key is still running")


async def _stored(tx: Tx, claim: Claim) -> Response | None:
    row = await _row(tx, claim)
    if row is None:
        return None
    _, status, headers, content = row
    return Response(bytes(content), status, {**headers, **REPLAYED})


async def _row(tx: Tx, claim: Claim) -> tuple[Any, ...] | None:
    """What is stored for the claim. Raises if it was another request."""
    row = await tx.one(
        """SELECT fingerprint, status, headers, body FROM idempotent_answers
           WHERE workspace_id = %s AND key_id = %s AND idempotency_key = ANY(%s) AND created_at > %s""",
        (claim.workspace_id, claim.key_id, claim.forms, tx.now - KEPT),
    )
    if row is not None and bytes(row[0]) != claim.fingerprint:
        message = "This Idempotency-Key was used for another request"
        entry = field_error("Idempotency-Key", "idempotency_key_reused", message)
        raise ValidationFailed(entry, code="idempotency_key_reused", message=message)
    return row


async def _keep(tx: Tx, claim: Claim, answer: Response) -> None:
    """Stores an answer; one that shows a secret has a `kept_body` without it."""
    headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
    await tx.execute(
        """INSERT INTO idempotent_answers
               (workspace_id, key_id, idempotency_key, fingerprint, status, headers, body, created_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (workspace_id, key_id, idempotency_key) DO UPDATE SET fingerprint = excluded.fingerprint,
               status = excluded.status, headers = excluded.headers, body = excluded.body,
               created_at = excluded.created_at""",
        (
            claim.workspace_id, claim.key_id, claim.key, claim.fingerprint, answer.status_code, Jsonb(headers),
            bytes(getattr(answer, "kept_body", answer.body)), tx.now,
        ),
    )  # fmt: skip


async def _keep_refusal(pool: Pool, now: datetime, claim: Claim, answer: Response) -> Response:
    """Stores a refusal after its transaction was rolled back, unless somebody else was quicker."""
    async with unit(pool, now) as tx:
        await _take(tx, claim)
        if (stored := await _stored(tx, claim)) is not None:
            return stored
        await _keep(tx, claim, answer)
    return answer


class Parts:
    """The answers of a request that is done in parts. `known` are those of an earlier attempt, None at the first."""

    def __init__(self, claim: Claim, known: dict[int, bytes] | None) -> None:
        self.claim = claim
        self.known = known

    async def keep(self, tx: Tx, part: int, content: bytes) -> None:
        """Stores the answer of a part in the transaction that does it, once: who comes second undoes its work."""
        claim = self.claim
        kept = await tx.execute(
            """INSERT INTO idempotent_parts (workspace_id, key_id, idempotency_key, part, body)
               SELECT workspace_id, key_id, idempotency_key, %s, %s FROM idempotent_answers
               WHERE workspace_id = %s AND key_id = %s AND idempotency_key = ANY(%s) ON CONFLICT DO NOTHING""",
            (part, content, claim.workspace_id, claim.key_id, claim.forms),
        )
        if not kept:
            raise _in_use()


@asynccontextmanager
async def in_parts(house: Resources, claim: Claim) -> AsyncIterator[Parts]:
    """Holds the claim while its parts are done. Raises `idempotency_key_in_use` and `idempotency_key_reused`.

    The claim is stored before the first part, so that it is known for which request the key is used, however it ends.
    """
    now = house.clock()
    async with house.claims.of(claim.workspace_id), unit(house.pool, now) as tx:
        await _take(tx, claim)
        known = None
        if await _row(tx, claim) is None:
            async with unit(house.pool, now) as first:
                await _begin(first, claim)
        else:
            known = await _parts(tx, claim)
        yield Parts(claim, known)


async def _begin(tx: Tx, claim: Claim) -> None:
    own = (claim.workspace_id, claim.key_id, claim.key)
    await tx.execute(
        """DELETE FROM idempotent_answers
           WHERE workspace_id = %s AND key_id = %s AND idempotency_key = ANY(%s) AND created_at <= %s""",
        (claim.workspace_id, claim.key_id, claim.forms, tx.now - KEPT),
    )
    await tx.execute(
        """INSERT INTO idempotent_answers
               (workspace_id, key_id, idempotency_key, fingerprint, status, headers, body, created_at)
           VALUES (%s, %s, %s, %s, 200, '{}', '', %s)""",
        (*own, claim.fingerprint, tx.now),
    )


async def _parts(tx: Tx, claim: Claim) -> dict[int, bytes]:
    rows = await tx.all(
        """SELECT part, body FROM idempotent_parts
           WHERE workspace_id = %s AND key_id = %s AND idempotency_key = ANY(%s)""",
        (claim.workspace_id, claim.key_id, claim.forms),
    )
    return {part: bytes(content) for part, content in rows}


async def purge(pool: Pool, now: datetime) -> int:
    """Deletes the answers that nobody may ask for again; how many. In pieces, which no time limit cuts short."""
    gone, rows = 0, PURGED_AT_ONCE
    while rows == PURGED_AT_ONCE:
        async with unit(pool, now) as tx:
            rows = await tx.execute(
                """DELETE FROM idempotent_answers WHERE created_at <= %(old)s AND ctid = ANY(ARRAY(
                       SELECT ctid FROM idempotent_answers WHERE created_at <= %(old)s LIMIT %(most)s))""",
                {"old": now - KEPT, "most": PURGED_AT_ONCE},
            )
        gone += rows
    return gone


async def stored_after(
    tx: Tx, workspace_id: str, after: tuple[str, str, int], limit: int
) -> list[tuple[str, str, int, str]]:
    """The next stored answers of a workspace: the key that asked, its Idempotency-Key, the part and the text.

    A request that is done in parts has an answer for each; -1 stands for the whole.
    """
    rows = await tx.all(
        """SELECT key_id, idempotency_key, part, body FROM (
               SELECT key_id, idempotency_key, -1 AS part, body FROM idempotent_answers
               WHERE workspace_id = %(workspace_id)s AND (key_id, idempotency_key) >= (%(key)s::text, %(word)s::text)
               UNION ALL
               SELECT key_id, idempotency_key, part, body FROM idempotent_parts
               WHERE workspace_id = %(workspace_id)s AND (key_id, idempotency_key) >= (%(key)s::text, %(word)s::text)
           ) AS stored WHERE (key_id, idempotency_key, part) > (%(key)s::text, %(word)s::text, %(part)s::integer)
           ORDER BY key_id, idempotency_key, part LIMIT %(limit)s""",
        {"workspace_id": workspace_id, "key": after[0], "word": after[1], "part": after[2], "limit": limit},
    )
    return [(key_id, word, part, bytes(body).decode("utf-8", "replace")) for key_id, word, part, body in rows]


def _hidden(word: str) -> str:
    """What stands for an Idempotency-Key that must not be read any more, but be known again."""
    return f"sha256:{hashlib.sha256(word.encode()).hexdigest()}"


async def withdraw(tx: Tx, workspace_id: str, key_id: str, word: str, part: int, *, hide_key: bool) -> None:
    """Takes back what a stored answer says. The request stays known: a retry is told so, and not carried out again.

    `hide_key` also makes the Idempotency-Key unreadable.
    """
    answer = render(Conflict("answer_erased", "This request was carried out; its answer was erased with personal data"))
    forms = [word, _hidden(word)]
    if part >= 0:
        await tx.execute(
            """UPDATE idempotent_parts SET body = %s
               WHERE workspace_id = %s AND key_id = %s AND idempotency_key = ANY(%s) AND part = %s""",
            (b'{"status":%d,%b' % (answer.status_code, bytes(answer.body)[1:]), workspace_id, key_id, forms, part),
        )
    else:
        await tx.execute(
            """UPDATE idempotent_answers SET status = %s, body = %s, headers = %s
               WHERE workspace_id = %s AND key_id = %s AND idempotency_key = %s""",
            (
                answer.status_code, bytes(answer.body), Jsonb({"content-type": "application/json"}),
                workspace_id, key_id, word,
            ),
        )  # fmt: skip
    if hide_key:
        await _hide(tx, workspace_id, key_id, word)


async def _hide(tx: Tx, workspace_id: str, key_id: str, word: str) -> None:
    """Makes an Idempotency-Key unreadable, and with it that of its parts."""
    await tx.execute(
        """UPDATE idempotent_answers SET idempotency_key = %(hidden)s
           WHERE workspace_id = %(workspace_id)s AND key_id = %(key_id)s AND idempotency_key = %(word)s""",
        {"workspace_id": workspace_id, "key_id": key_id, "word": word, "hidden": _hidden(word)},
    )
