"""Mail out in SQL: planning, taking a mail for an attempt, and settling what became of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from ticketry.core.ids import mint
from ticketry.db.pool import Tx
from ticketry.mail.sending.models import (
    Attempt,
    Claimed,
    Envelope,
    MessageItem,
    MessageObject,
    NewMail,
    News,
)
from ticketry.mail.wording.models import Content

_CLAIMED = """workspace_id, id, kind, ticket_id, event_id, comment_id, recipient_type, recipient_id, wanted, attempts,
              attempts_before, created_at, address, message_id, headers, subject, body_text, body_html"""
_ITEM = """id, kind, status, reason, ticket_id, event_id, recipient_type, recipient_id, address, subject, attempts,
           next_attempt_at, created_at, sent_at"""


# ---- planning


async def news(tx: Tx, events: Sequence[tuple[str, str]]) -> list[News]:
    """What planning needs of these events (workspace and id), in the order given; those of no ticket are left out.

    One statement for a whole batch: it runs in the relay's transaction, where everybody waits.
    """
    return await tx.all_of(
        News,
        """SELECT e.workspace_id, e.id AS event_id, e.type, e.transaction_id::text AS change, e.created_at AS at,
               e.actor_type, e.actor_id, e.ticket_id, e.data #>> '{ticket,contact_id}' AS contact_id,
               e.data #>> '{ticket,assigned_to}' AS assigned_to, e.data #>> '{comment,id}' AS comment_id,
               e.data #>> '{comment,visibility}' AS visibility, e.data #>> '{comment,author,type}' AS author_type,
               e.data #>> '{changes,status,from}' AS from_status, e.data #>> '{ticket,resolution_note}' AS note,
               e.data ->> 'target' AS target,
               e.type IN ('ticket.created', 'ticket.commented') AND EXISTS (
                   SELECT FROM inbound_mails m
                   WHERE m.workspace_id = e.workspace_id AND m.ticket_id = e.ticket_id AND m.automatic IS NOT NULL
                       AND (m.comment_id = e.data #>> '{comment,id}'
                           OR e.type = 'ticket.created' AND m.outcome IN ('ticket', 'follow_up'))
               ) AS silent,
               c.email IS NOT NULL AS contact_reachable, coalesce(u.active, false) AS agent_reachable,
               coalesce(s.enabled, true) AS enabled, coalesce(s.kinds_off, '{}') AS kinds_off
           FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS given (workspace_id, id, place)
           JOIN events e ON e.workspace_id = given.workspace_id AND e.id = given.id
           LEFT JOIN contacts c ON c.workspace_id = e.workspace_id AND c.id = e.data #>> '{ticket,contact_id}'
           LEFT JOIN users u ON u.workspace_id = e.workspace_id AND u.id = e.data #>> '{ticket,assigned_to}'
           LEFT JOIN mail_settings s ON s.workspace_id = e.workspace_id
           WHERE e.ticket_id IS NOT NULL ORDER BY given.place""",
        ([workspace_id for workspace_id, _ in events], [event_id for _, event_id in events]),
    )


async def admins(tx: Tx, workspace_ids: Sequence[str]) -> dict[str, list[str]]:
    """The active admins of each workspace that has any."""
    rows = await tx.all(
        """SELECT workspace_id, array_agg(id::text ORDER BY id) FROM users
           WHERE workspace_id = ANY(%s) AND role = 'admin' AND active GROUP BY workspace_id""",
        (list(workspace_ids),),
    )
    return dict(rows)


async def insert(tx: Tx, mails: Sequence[NewMail], content: Content | None = None) -> int:
    """Writes mails that are due now, all at once; how many were new. An event that tells a person a second time is one.

    `content` is what they say, if that is not left to the first attempt.
    """
    columns = ("workspace_id", "kind", "recipient_type", "recipient_id", "ticket_id", "event_id", "comment_id")
    return await tx.execute(
        """INSERT INTO mail_messages (id, workspace_id, kind, recipient_type, recipient_id, ticket_id, event_id,
               comment_id, created_at, next_attempt_at, subject, body_text)
           SELECT given.*, %(now)s, %(now)s, %(said_subject)s::text, %(said_text)s::text
           FROM unnest(%(id)s::text[], %(workspace_id)s::text[], %(kind)s::text[], %(recipient_type)s::text[],
               %(recipient_id)s::text[], %(ticket_id)s::text[], %(event_id)s::text[], %(comment_id)s::text[]) AS given
           ON CONFLICT DO NOTHING""",
        {
            **{name: [getattr(mail, name) for mail in mails] for name in columns},
            "id": [mint("mail") for _ in mails],
            "now": tx.now,
            "said_subject": content and content.subject,
            "said_text": content and content.text,
        },
    )


# ---- attempts


async def claim(tx: Tx, lease: timedelta, most: int) -> list[Claimed]:
    """Takes up to `most` mails of one workspace that are due, each for one attempt. No other process gets one of them
    before `lease` has passed; `held` begins it anew.

    Leases go by the database's clock, so that machines need not agree about the time. Workspaces take turns by chance:
    one that sends very much does not hold up the others.
    """
    return await tx.all_of(
        Claimed,
        f"""WITH due AS MATERIALIZED (
                SELECT m.workspace_id, m.id FROM (
                    SELECT w.id FROM workspaces w WHERE EXISTS (
                        SELECT FROM mail_messages
                        WHERE workspace_id = w.id AND status = 'pending' AND next_attempt_at <= %(now)s
                            AND (leased_until IS NULL OR leased_until <= now()))
                    ORDER BY random()) AS w
                CROSS JOIN LATERAL (
                    SELECT workspace_id, id FROM mail_messages
                    WHERE workspace_id = w.id AND status = 'pending' AND next_attempt_at <= %(now)s
                        AND (leased_until IS NULL OR leased_until <= now())
                    ORDER BY next_attempt_at, id LIMIT %(most)s FOR UPDATE SKIP LOCKED) AS m
                LIMIT %(most)s)
            UPDATE mail_messages m SET attempts = attempts + 1, leased_until = now() + %(lease)s
            FROM due WHERE m.workspace_id = due.workspace_id AND m.id = due.id
            RETURNING {", ".join(f"m.{one.strip()}" for one in _CLAIMED.split(","))}""",
        {"now": tx.now, "lease": lease, "most": most},
    )


async def held(tx: Tx, mail: Claimed, lease: timedelta) -> Claimed | None:
    """The mail as it stands now, its lease begun anew; None if it ended meanwhile or is somebody else's.

    Until the unit ends nobody erases its ticket's words.
    """
    if mail.ticket_id is not None:
        query = "SELECT 1 FROM tickets WHERE workspace_id = %s AND id = %s FOR KEY SHARE"
        await tx.one(query, (mail.workspace_id, mail.ticket_id))
    return await tx.one_of(
        Claimed,
        f"""UPDATE mail_messages SET leased_until = now() + %s
            WHERE workspace_id = %s AND id = %s AND attempts = %s AND status = 'pending'
            RETURNING {_CLAIMED}""",
        (lease, mail.workspace_id, mail.id, mail.attempts),
    )


async def give_back(tx: Tx, mails: Sequence[Claimed]) -> None:
    """Leaves mails that were taken and not tried to others, as if they had never been taken."""
    await tx.execute(
        """UPDATE mail_messages m SET attempts = m.attempts - 1, leased_until = NULL
           FROM unnest(%s::text[], %s::text[], %s::integer[]) AS given (workspace_id, id, attempts)
           WHERE m.workspace_id = given.workspace_id AND m.id = given.id AND m.attempts = given.attempts
               AND m.status = 'pending'""",
        ([one.workspace_id for one in mails], [one.id for one in mails], [one.attempts for one in mails]),
    )


async def fill(
    tx: Tx, mail: Claimed, address: str, message_id: str, headers: list[list[str]], content: Content, kept: str | None
) -> None:
    """Keeps what the mail says, for this attempt and all others. `kept` is why it stays in the outbox, if it does."""
    await tx.execute(
        """UPDATE mail_messages SET address = %(address)s, message_id = %(message_id)s, headers = %(headers)s,
               subject = %(subject)s, body_text = %(text)s, body_html = %(html)s, reason = %(kept)s,
               status = CASE WHEN %(kept)s::text IS NULL THEN 'pending' ELSE 'outbox' END,
               next_attempt_at = CASE WHEN %(kept)s::text IS NULL THEN next_attempt_at END,
               leased_until = CASE WHEN %(kept)s::text IS NULL THEN leased_until END,
               attempts = CASE WHEN %(kept)s::text IS NULL THEN attempts ELSE attempts - 1 END
           WHERE workspace_id = %(workspace_id)s AND id = %(id)s AND attempts = %(attempt)s
               AND status = 'pending'""",
        {
            "address": address,
            "message_id": message_id,
            "headers": Jsonb(headers),
            "subject": content.subject,
            "text": content.text,
            "html": content.html,
            "kept": kept,
            "workspace_id": mail.workspace_id,
            "id": mail.id,
            "attempt": mail.attempts,
        },
    )


async def skip(tx: Tx, mail: Claimed, reason: str) -> None:
    """Ends a mail without an attempt."""
    await tx.execute(
        """UPDATE mail_messages SET status = 'skipped', reason = %s, next_attempt_at = NULL, leased_until = NULL,
               attempts = attempts - 1
           WHERE workspace_id = %s AND id = %s AND attempts = %s AND status = 'pending'""",
        (reason, mail.workspace_id, mail.id, mail.attempts),
    )


async def settle(
    tx: Tx, mail: Claimed, envelope: Envelope, began: datetime, duration_ms: int, again: datetime | None
) -> None:
    """Notes how an attempt ended, in one statement; `again` is when the next one may begin, None if there is none.

    What another process has taken over meanwhile, its lease having run out, stays as that one leaves it; but a mail
    that was sent is sent, whoever says so.
    """
    status = "sent" if envelope.outcome == "sent" else "pending" if again is not None else "failed"
    await tx.execute(
        """WITH tried AS (
               INSERT INTO mail_attempts (workspace_id, message_id, attempt, at, duration_ms, outcome, code, words)
               VALUES (%(workspace_id)s, %(id)s, %(attempt)s, %(began)s, %(duration_ms)s, %(outcome)s, %(code)s,
                   %(words)s)
               ON CONFLICT DO NOTHING)
           UPDATE mail_messages SET status = %(status)s, next_attempt_at = %(again)s, leased_until = NULL,
               reason = %(reason)s,
               sent_at = CASE WHEN %(status)s = 'sent' THEN %(now)s::instant END
           WHERE workspace_id = %(workspace_id)s AND id = %(id)s AND status = 'pending'
               AND (attempts = %(attempt)s OR %(status)s = 'sent')""",
        {
            "workspace_id": mail.workspace_id,
            "id": mail.id,
            "attempt": mail.attempts,
            "began": began,
            "duration_ms": duration_ms,
            "outcome": envelope.outcome,
            "code": envelope.code,
            "words": envelope.words,
            "status": status,
            "again": again,
            "reason": envelope.words if status == "failed" else None,
            "now": tx.now,
        },
    )


async def told_lately(
    tx: Tx, workspace_id: str, recipient_id: str, since: datetime, ticket_id: str | None = None, kind: str | None = None
) -> int:
    """How many mails a person was or is being sent since an instant: about a ticket, of a kind."""
    row = await tx.one(
        """SELECT count(*) FROM mail_messages
           WHERE workspace_id = %(workspace_id)s AND recipient_id = %(recipient_id)s AND created_at > %(since)s
               AND status <> 'skipped' AND message_id IS NOT NULL
               AND (%(ticket_id)s::text IS NULL OR ticket_id = %(ticket_id)s)
               AND (%(kind)s::text IS NULL OR kind = %(kind)s)""",
        {
            "workspace_id": workspace_id,
            "recipient_id": recipient_id,
            "since": since,
            "ticket_id": ticket_id,
            "kind": kind,
        },
    )
    return int(row[0]) if row else 0


async def thread(tx: Tx, workspace_id: str, ticket_id: str, recipient_id: str, limit: int) -> list[str]:
    """Message ids of a ticket's mails that a person has sent or got, the latest last, at most `limit`."""
    rows = await tx.all(
        """SELECT message_id FROM (
               SELECT message_id, created_at AS at, id FROM mail_messages
               WHERE workspace_id = %(workspace_id)s AND ticket_id = %(ticket_id)s AND recipient_id = %(recipient_id)s
                   AND status = 'sent'
               UNION ALL
               SELECT message_id, received_at, id FROM inbound_mails
               WHERE workspace_id = %(workspace_id)s AND ticket_id = %(ticket_id)s AND contact_id = %(recipient_id)s
           ) AS said WHERE message_id ~ '^<[^<>[:space:][:cntrl:]]{1,250}@[^<>@[:space:][:cntrl:]]{1,250}>$'
           ORDER BY at DESC, id DESC LIMIT %(limit)s""",
        {"workspace_id": workspace_id, "ticket_id": ticket_id, "recipient_id": recipient_id, "limit": limit},
    )
    return [message_id for (message_id,) in reversed(rows)]


async def is_own(tx: Tx, base: str) -> bool:
    """Whether some workspace sends from this address or reads it; whatever stands after a plus."""
    row = await tx.one(
        """SELECT EXISTS (SELECT FROM workspaces w JOIN mail_settings s ON s.workspace_id = w.id
                          WHERE base_address(s.sender_address) = %(base)s)
               OR EXISTS (SELECT FROM workspaces w JOIN mail_settings s ON s.workspace_id = w.id
                          WHERE base_address(s.inbound_address) = %(base)s)""",
        {"base": base},
    )
    return row is not None and bool(row[0])


# ---- lists


async def page(
    tx: Tx, workspace_id: str, status: str | None, ticket_id: str | None, limit: int, offset: int
) -> tuple[list[MessageItem], int]:
    """The mails of a workspace, newest first, and how many there are."""
    where = "workspace_id = %(workspace_id)s"
    where += " AND status = %(status)s" if status else ""
    where += " AND ticket_id = %(ticket_id)s" if ticket_id else ""
    params = {"workspace_id": workspace_id, "status": status, "ticket_id": ticket_id, "limit": limit, "offset": offset}
    query = f"SELECT {_ITEM} FROM mail_messages WHERE {where} ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s"
    found = await tx.all_of(MessageItem, query, params)
    row = await tx.one(f"SELECT count(*) FROM mail_messages WHERE {where}", params)
    return found, int(row[0]) if row else 0


async def get(tx: Tx, workspace_id: str, message_id: str) -> MessageObject | None:
    """One mail with its attempts."""
    query = f"""SELECT {_ITEM}, message_id, headers, body_text, body_html FROM mail_messages
                WHERE workspace_id = %s AND id = %s"""
    row = await tx.one(query, (workspace_id, message_id))
    if row is None:
        return None
    names = [*MessageItem.model_fields, "message_id", "headers", "text", "html"]
    given: dict[str, Any] = dict(zip(names, row, strict=True))
    given["headers"] = given["headers"] or []
    return MessageObject(**given, tries=await attempts(tx, workspace_id, message_id))


async def attempts(tx: Tx, workspace_id: str, message_id: str) -> list[Attempt]:
    """Every attempt to send a mail, the first first."""
    return await tx.all_of(
        Attempt,
        """SELECT attempt, at, duration_ms, outcome, code, words FROM mail_attempts
           WHERE workspace_id = %s AND message_id = %s ORDER BY attempt""",
        (workspace_id, message_id),
    )


async def send_again(tx: Tx, workspace_id: str, message_id: str) -> bool:
    """Makes a mail due again that is not pending. False if it is."""
    return (
        await tx.execute(
            """UPDATE mail_messages SET status = 'pending', next_attempt_at = %s, leased_until = NULL,
                   attempts_before = attempts, wanted = true, reason = NULL, sent_at = NULL
               WHERE workspace_id = %s AND id = %s AND status <> 'pending'""",
            (tx.now, workspace_id, message_id),
        )
        == 1
    )


PURGED_AT_ONCE = 1_000


async def purge(tx: Tx, before: datetime) -> int:
    """Deletes mails that ended before an instant, with their attempts, some at a time; how many. The outbox stays."""
    return await tx.execute(
        """DELETE FROM mail_messages m USING (SELECT workspace_id, id FROM mail_messages
               WHERE status IN ('sent', 'failed', 'skipped') AND coalesce(sent_at, created_at) <= %s
               ORDER BY coalesce(sent_at, created_at) LIMIT %s FOR UPDATE SKIP LOCKED) old
           WHERE m.workspace_id = old.workspace_id AND m.id = old.id""",
        (before, PURGED_AT_ONCE),
    )


# ---- figures


async def waiting(tx: Tx) -> tuple[int, datetime | None]:
    """How many mails of all workspaces wait to be sent, and since when the oldest does."""
    row = await tx.one(
        """SELECT coalesce(sum(m.count), 0), min(m.oldest) FROM workspaces w CROSS JOIN LATERAL (
               SELECT count(*), min(created_at) AS oldest FROM mail_messages
               WHERE workspace_id = w.id AND status = 'pending') AS m"""
    )
    return (int(row[0]), row[1]) if row else (0, None)
