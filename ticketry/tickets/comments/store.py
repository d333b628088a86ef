"""Comments in SQL. They are written by the statement that changes their ticket, see `tickets/store.py`."""

from ticketry.db.paging import PageIn
from ticketry.db.pool import Tx
from ticketry.tickets.comments.models import Author, Comment, Visibility

_WHERE = "workspace_id = %s AND ticket_id = %s AND (%s::text IS NULL OR visibility = %s)"


async def page(tx: Tx, workspace_id: str, ticket_id: str, only: Visibility | None, asked: PageIn) -> list[Comment]:
    """The comments of a ticket, oldest first."""
    rows = await tx.all(
        f"""SELECT id, ticket_id, body, visibility, author_type, author_id, author_name, created_at FROM comments
            WHERE {_WHERE} ORDER BY position LIMIT %s OFFSET %s""",
        (workspace_id, ticket_id, only, only, asked.per_page, asked.offset),
    )
    return [
        Comment(
            id=row[0],
            ticket_id=row[1],
            body=row[2],
            visibility=row[3],
            author=Author(type=row[4], id=row[5], name=row[6]),
            created_at=row[7],
        )
        for row in rows
    ]


async def count(tx: Tx, workspace_id: str, ticket_id: str, only: Visibility | None) -> int:
    """How many comments a ticket has."""
    row = await tx.one(f"SELECT count(*) FROM comments WHERE {_WHERE}", (workspace_id, ticket_id, only, only))
    return int(row[0]) if row else 0
