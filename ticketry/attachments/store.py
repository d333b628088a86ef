"""Attachments in SQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from ticketry.attachments.models import Attachment, Visibility
from ticketry.db.paging import PageIn
from ticketry.db.pool import Tx

_COLUMNS = """id, name, content_type, size, claimed_type, sha256, contact_id, ticket_id, comment_id, visibility,
    created_at"""
_THERE = "state IN ('kept', 'erasing', 'erased')"
ERASED_NAME = "erased"


class Place(NamedTuple):
    """Where a file lies."""

    workspace_id: str
    id: str


async def insert(
    tx: Tx, workspace_id: str, attachment_id: str, name: str, claimed_type: str | None, contact_id: str | None
) -> None:
    """The row of a file whose bytes are about to come."""
    await tx.execute(
        """INSERT INTO attachments (workspace_id, id, name, claimed_type, contact_id, created_at)
           VALUES (%s, %s, %s, %s, %s, %s)""",
        (workspace_id, attachment_id, name, claimed_type, contact_id, tx.now),
    )


async def complete(
    tx: Tx, place: Place, content_type: str, size: int, sha256: str, contact_id: str | None
) -> Attachment | None:
    """Says that all bytes have come; None if it took so long that the upload was given up."""
    return await tx.one_of(
        Attachment,
        f"""UPDATE attachments SET state = 'kept', content_type = %s, size = %s, sha256 = %s,
                contact_id = coalesce(%s, contact_id)
            WHERE workspace_id = %s AND id = %s AND state = 'uploading' RETURNING {_COLUMNS}""",
        (content_type, size, sha256, contact_id, *place),
    )


async def get(tx: Tx, workspace_id: str, attachment_id: str) -> Attachment | None:
    """A file whose bytes are there."""
    query = f"SELECT {_COLUMNS} FROM attachments WHERE workspace_id = %s AND id = %s AND state = 'kept'"
    return await tx.one_of(Attachment, query, (workspace_id, attachment_id))


async def locked(tx: Tx, workspace_id: str, attachment_ids: Sequence[str]) -> list[Attachment]:
    """Those of these files that nobody has attached yet, held until the transaction ends; in one order for all."""
    return await tx.all_of(
        Attachment,
        f"""SELECT {_COLUMNS} FROM attachments
            WHERE workspace_id = %s AND id = ANY(%s) AND state = 'kept' AND ticket_id IS NULL
            ORDER BY id FOR UPDATE""",
        (workspace_id, list(attachment_ids)),
    )


async def attach(
    tx: Tx,
    workspace_id: str,
    attachment_ids: Sequence[str],
    *,
    ticket_id: str,
    comment_id: str | None,
    visibility: Visibility,
    contact_id: str | None,
) -> list[Attachment]:
    """Puts files on a ticket or comment."""
    return await tx.all_of(
        Attachment,
        f"""UPDATE attachments SET ticket_id = %s, comment_id = %s, visibility = %s,
                contact_id = coalesce(contact_id, %s)
            WHERE workspace_id = %s AND id = ANY(%s) AND state = 'kept' AND ticket_id IS NULL
            RETURNING {_COLUMNS}""",
        (ticket_id, comment_id, visibility, contact_id, workspace_id, list(attachment_ids)),
    )


async def of_ticket(tx: Tx, workspace_id: str, ticket_id: str, asked: PageIn | None = None) -> list[Attachment]:
    """The files of a ticket and its comments, oldest first; all of them, or one page."""
    return await tx.all_of(
        Attachment,
        f"""SELECT {_COLUMNS} FROM attachments
            WHERE workspace_id = %s AND ticket_id = %s AND {_THERE} ORDER BY created_at, id LIMIT %s OFFSET %s""",
        (workspace_id, ticket_id, asked and asked.per_page, asked.offset if asked else 0),
    )


async def count_of_ticket(tx: Tx, workspace_id: str, ticket_id: str) -> int:
    """How many files a ticket and its comments have."""
    query = f"SELECT count(*) FROM attachments WHERE workspace_id = %s AND ticket_id = %s AND {_THERE}"
    row = await tx.one(query, (workspace_id, ticket_id))
    return int(row[0]) if row else 0


async def of_comments(tx: Tx, workspace_id: str, comment_ids: Sequence[str]) -> list[Attachment]:
    """The files of these comments, oldest first."""
    return await tx.all_of(
        Attachment,
        f"""SELECT {_COLUMNS} FROM attachments
            WHERE workspace_id = %s AND comment_id = ANY(%s) AND {_THERE} ORDER BY created_at, id""",
        (workspace_id, list(comment_ids)),
    )


async def drop(tx: Tx, place: Place) -> bool:
    """Marks a file that is not attached for deletion; False if it is attached, or not there."""
    return (
        await tx.execute(
            """UPDATE attachments SET state = 'dropping'
               WHERE workspace_id = %s AND id = %s AND ticket_id IS NULL AND state IN ('uploading', 'kept')""",
            place,
        )
        == 1
    )


async def give_up(tx: Tx, place: Place) -> None:
    """Marks a file that never became one for deletion. Waits for a transaction that is just completing it."""
    await tx.execute(
        """UPDATE attachments SET state = 'dropping' WHERE workspace_id = %s AND id = %s AND state = 'uploading'""",
        place,
    )


async def drop_loose(tx: Tx, before: datetime) -> int:
    """Marks for deletion what was uploaded before this instant and never attached, or never came to an end."""
    return await tx.execute(
        """UPDATE attachments a SET state = 'dropping'
           FROM (SELECT workspace_id, id FROM attachments
                 WHERE ticket_id IS NULL AND state IN ('uploading', 'kept') AND created_at < %s
                 FOR UPDATE SKIP LOCKED) AS loose
           WHERE a.workspace_id = loose.workspace_id AND a.id = loose.id""",
        (before,),
    )


async def some_erased(tx: Tx, workspace_id: str, attachment_ids: Sequence[str]) -> bool:
    """Whether one of these files is leaving or gone."""
    row = await tx.one(
        """SELECT EXISTS (SELECT FROM unnest(%s::text[]) AS named (id) WHERE NOT EXISTS (
               SELECT FROM attachments a
               WHERE a.workspace_id = %s AND a.id = named.id AND a.state IN ('uploading', 'kept')))""",
        (list(attachment_ids), workspace_id),
    )
    return row is not None and bool(row[0])


async def erase(
    tx: Tx, workspace_id: str, ticket_ids: Sequence[str], comment_ids: Sequence[str], contact_ids: Sequence[str]
) -> int:
    """Takes everything personal from the rows of these files, and marks the files."""
    return await tx.execute(
        """UPDATE attachments SET name = %s, claimed_type = NULL, sha256 = NULL,
               state = CASE WHEN ticket_id IS NULL THEN 'dropping' ELSE 'erasing' END
           WHERE workspace_id = %s AND (ticket_id = ANY(%s) OR comment_id = ANY(%s) OR contact_id = ANY(%s))
             AND state NOT IN ('erasing', 'erased')""",
        (ERASED_NAME, workspace_id, list(ticket_ids), list(comment_ids), list(contact_ids)),
    )


async def leaving(tx: Tx, after: Place, limit: int) -> list[Place]:
    """The next files that are to be deleted, of all workspaces."""
    rows = await tx.all(
        """SELECT workspace_id, id FROM attachments
           WHERE state IN ('dropping', 'erasing') AND (workspace_id, id) > (%s::text, %s::text)
           ORDER BY workspace_id, id LIMIT %s""",
        (*after, limit),
    )
    return [Place(*row) for row in rows]


async def gone(tx: Tx, place: Place) -> None:
    """Settles the row of a file that was deleted: it goes too, or tells that it was erased."""
    await tx.execute("DELETE FROM attachments WHERE workspace_id = %s AND id = %s AND state = 'dropping'", place)
    await tx.execute(
        "UPDATE attachments SET state = 'erased' WHERE workspace_id = %s AND id = %s AND state = 'erasing'", place
    )


async def some_kept(tx: Tx) -> bool:
    """Whether a file should lie in the store, of any workspace: an attachment, also one to be deleted, or a mail."""
    row = await tx.one(
        """SELECT EXISTS (SELECT workspace_id FROM attachments WHERE state IN ('kept', 'dropping', 'erasing'))
               OR EXISTS (SELECT workspace_id FROM file_announcements)
               OR EXISTS (SELECT workspace_id FROM inbound_raws)"""
    )
    return row is not None and bool(row[0])


async def announce(tx: Tx, place: Place) -> None:
    """Says that a file is about to be written whose row comes with another transaction."""
    await tx.execute("INSERT INTO file_announcements (workspace_id, id) VALUES (%s, %s) ON CONFLICT DO NOTHING", place)


async def take_back(tx: Tx, place: Place) -> bool:
    """Deletes an announcement; nobody else sees it until the transaction ends. False if there is none."""
    return await tx.execute("DELETE FROM file_announcements WHERE workspace_id = %s AND id = %s", place) == 1


async def abandoned(tx: Tx, limit: int) -> list[Place]:
    """Announced files whose transaction failed, of all workspaces, held until this one ends."""
    rows = await tx.all("SELECT workspace_id, id FROM file_announcements LIMIT %s FOR UPDATE SKIP LOCKED", (limit,))
    return [Place(*row) for row in rows]
