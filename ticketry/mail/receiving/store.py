"""Mail in, in SQL."""

from datetime import datetime, timedelta

from psycopg.types.json import Jsonb

from ticketry.db.pool import Tx
from ticketry.mail.receiving.models import Arrival, Inbound, InboundAsked, Kept, MatchedBy, Outcome
from ticketry.tickets.rules import label

_COLUMNS = """
    m.id, m.source, m.outcome, m.matched_by, m.automatic, m.problem, m.ticket_id, t.number AS ticket_number,
    m.comment_id, m.contact_id, m.message_id, m.from_name, m.from_address, m.subject, m.size, m.received_at"""
_SOURCE = "inbound_mails m LEFT JOIN tickets t ON t.workspace_id = m.workspace_id AND t.id = m.ticket_id"
_WHERE = """m.workspace_id = %(workspace_id)s AND (%(outcome)s::text IS NULL OR m.outcome = %(outcome)s)
            AND (%(ticket_id)s::text IS NULL OR m.ticket_id = %(ticket_id)s)"""


async def lock(tx: Tx, workspace_id: str, fingerprint: str) -> None:
    """Keeps the same mail from being taken in twice at once, until the transaction ends."""
    await tx.one("SELECT pg_advisory_xact_lock(hashtextextended(%s, 13))", (f"{workspace_id}/{fingerprint}",))


async def by_fingerprint(tx: Tx, workspace_id: str, fingerprint: str) -> Kept | None:
    """The mail that came before with the same content."""
    query = f"SELECT {_COLUMNS} FROM {_SOURCE} WHERE m.workspace_id = %s AND m.fingerprint = %s"
    return await tx.one_of(Kept, query, (workspace_id, bytes.fromhex(fingerprint)))


async def get(tx: Tx, workspace_id: str, mail_id: str) -> Kept | None:
    """One mail."""
    query = f"SELECT {_COLUMNS} FROM {_SOURCE} WHERE m.workspace_id = %s AND m.id = %s"
    return await tx.one_of(Kept, query, (workspace_id, mail_id))


async def content(tx: Tx, workspace_id: str, mail_id: str) -> tuple[list[tuple[str, str]], str | None, datetime | None]:
    """A mail's headers, its whole text, and until when it is kept as it came."""
    row = await tx.one(
        """SELECT m.headers, m.full_text, r.delete_after FROM inbound_mails m
           LEFT JOIN inbound_raws r ON r.workspace_id = m.workspace_id AND r.mail_id = m.id
           WHERE m.workspace_id = %s AND m.id = %s""",
        (workspace_id, mail_id),
    )
    assert row is not None
    return [(name, value) for name, value in row[0]], row[1], row[2]


async def page(tx: Tx, workspace_id: str, ticket_id: str | None, asked: InboundAsked) -> tuple[list[Inbound], int]:
    """Mails, the newest first, and how many there are."""
    params = {"workspace_id": workspace_id, "outcome": asked.outcome, "ticket_id": ticket_id}
    found = await tx.all_of(
        Kept,
        f"SELECT {_COLUMNS} FROM {_SOURCE} WHERE {_WHERE} ORDER BY m.id DESC LIMIT %(limit)s OFFSET %(offset)s",
        {**params, "limit": asked.per_page, "offset": asked.offset},
    )
    row = await tx.one(f"SELECT count(*) FROM inbound_mails m WHERE {_WHERE}", params)
    return [as_inbound(one) for one in found], int(row[0]) if row else 0


def as_inbound(kept: Kept) -> Inbound:
    """A stored mail as it is told."""
    fields = {name: getattr(kept, name) for name in Inbound.model_fields if name != "number"}
    return Inbound(number=None if kept.ticket_number is None else label(kept.ticket_number), **fields)


async def insert(
    tx: Tx,
    workspace_id: str,
    arrival: Arrival,
    outcome: Outcome,
    *,
    matched_by: MatchedBy | None,
    automatic: str | None,
    ticket_id: str | None,
    comment_id: str | None,
    contact_id: str | None,
) -> None:
    """Stores a mail with what became of it."""
    mail = arrival.mail
    await tx.execute(
        """INSERT INTO inbound_mails (workspace_id, id, fingerprint, source, outcome, matched_by, automatic, problem,
               ticket_id, comment_id, contact_id, message_id, from_name, from_address, subject, headers, full_text,
               size, received_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            workspace_id, arrival.mail_id, bytes.fromhex(mail.fingerprint), arrival.source, outcome, matched_by,
            automatic, mail.problem, ticket_id, comment_id, contact_id, mail.message_id or None, mail.from_name or None,
            mail.from_address or None, mail.subject or None, Jsonb(mail.headers), mail.text or None, arrival.size,
            tx.now,
        ),
    )  # fmt: skip


async def own_addresses(tx: Tx, workspace_id: str) -> list[str]:
    """The addresses that the workspace sends from and receives at."""
    query = "SELECT sender_address, inbound_address FROM mail_settings WHERE workspace_id = %s"
    row = await tx.one(query, (workspace_id,))
    return [address for address in row or () if address is not None]


async def has_spoken(tx: Tx, workspace_id: str, ticket_id: str, contact_id: str) -> bool:
    """Whether a customer has said something on a ticket."""
    row = await tx.one(
        """SELECT EXISTS (SELECT FROM comments
                          WHERE workspace_id = %s AND ticket_id = %s AND author_type = 'contact' AND author_id = %s)""",
        (workspace_id, ticket_id, contact_id),
    )
    return bool(row and row[0])


async def announce_raw(tx: Tx, workspace_id: str, mail_id: str, until: datetime) -> None:
    """Notes a file before it is written."""
    await tx.execute(
        "INSERT INTO inbound_raws (workspace_id, mail_id, delete_after, announced_at) VALUES (%s, %s, %s, %s)",
        (workspace_id, mail_id, until, tx.now),
    )


async def old_raws(tx: Tx, limit: int) -> list[tuple[str, str]]:
    """Files that are to be deleted, of all workspaces: (workspace_id, mail_id).

    A file for an hour without a mail was left behind by a process that died.
    """
    query = """SELECT workspace_id, mail_id FROM inbound_raws r
               WHERE delete_after <= %(now)s OR (announced_at < %(lost)s AND NOT EXISTS (
                   SELECT FROM inbound_mails m WHERE m.workspace_id = r.workspace_id AND m.id = r.mail_id))
               ORDER BY delete_after LIMIT %(limit)s"""
    asked = {"now": tx.now, "lost": tx.now - timedelta(hours=1), "limit": limit}
    return [(row[0], row[1]) for row in await tx.all(query, asked)]


async def forget_raw(tx: Tx, workspace_id: str, mail_id: str) -> None:
    """A file is gone."""
    await tx.execute("DELETE FROM inbound_raws WHERE workspace_id = %s AND mail_id = %s", (workspace_id, mail_id))


async def expire_raw(tx: Tx, workspace_id: str, mail_id: str) -> None:
    """A file that belongs to no mail is deleted at the next purge."""
    query = "UPDATE inbound_raws SET delete_after = %s WHERE workspace_id = %s AND mail_id = %s"
    await tx.execute(query, (tx.now, workspace_id, mail_id))


async def waiting(tx: Tx, workspace_id: str, mailbox: str, uid_validity: int) -> dict[int, tuple[int, datetime]]:
    """The mails of a mailbox that failed: by uid how often, and when they may be tried again."""
    rows = await tx.all(
        """SELECT uid, failures, next_attempt_at FROM inbound_failures
           WHERE workspace_id = %s AND mailbox = %s AND uid_validity = %s""",
        (workspace_id, mailbox, uid_validity),
    )
    return {row[0]: (row[1], row[2]) for row in rows}


async def failed(
    tx: Tx, workspace_id: str, mailbox: str, uid_validity: int, uid: int, failures: int, words: str, wait: int
) -> None:
    """A mail of a mailbox could not be taken in; it is tried again in `wait` seconds."""
    await tx.execute(
        """INSERT INTO inbound_failures (workspace_id, mailbox, uid_validity, uid, failures, words, failed_at,
               next_attempt_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (workspace_id, mailbox, uid_validity, uid) DO UPDATE SET failures = excluded.failures,
               words = excluded.words, failed_at = excluded.failed_at, next_attempt_at = excluded.next_attempt_at""",
        (
            workspace_id, mailbox, uid_validity, uid, failures, words[:1000], tx.now,
            tx.now + timedelta(seconds=wait),
        ),
    )  # fmt: skip


async def settled(tx: Tx, workspace_id: str, mailbox: str, uid_validity: int, uid: int) -> None:
    """A mail of a mailbox is taken in: its failures are forgotten."""
    await tx.execute(
        "DELETE FROM inbound_failures WHERE workspace_id = %s AND mailbox = %s AND uid_validity = %s AND uid = %s",
        (workspace_id, mailbox, uid_validity, uid),
    )


async def try_turn(tx: Tx) -> bool:
    """Takes the turn to look into the mailbox, for this connection. False if another process has it."""
    row = await tx.one("SELECT pg_try_advisory_lock(hashtextextended('ticketry imap', 13))")
    return bool(row and row[0])


async def end_turn(tx: Tx) -> None:
    """Gives the turn back."""
    await tx.one("SELECT pg_advisory_unlock(hashtextextended('ticketry imap', 13))")
