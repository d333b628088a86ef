"""Taking tickets along."""

from collections.abc import AsyncGenerator
from typing import NamedTuple

from ticketry.core.actor import Actor
from ticketry.db.copying import CSV, LINES, copied
from ticketry.db.pool import Tx
from ticketry.tickets.search import service as search
from ticketry.tickets.search.models import TicketFilters
from ticketry.tickets.written.store import TICKET_CELLS, TICKET_JSON
from ticketry.transfer.models import Format

_WRITTEN: dict[Format, tuple[str, str]] = {"ndjson": (TICKET_JSON, LINES), "csv": (TICKET_CELLS, CSV)}


class Export(NamedTuple):
    """Tickets on their way: how many, and their text in blocks."""

    total: int
    blocks: AsyncGenerator[bytes, None]


async def tickets(tx: Tx, actor: Actor, asked: TicketFilters, format_: Format) -> Export:
    """All tickets that match, in the list's order. The unit must see one moment; it is used until the last block."""
    shown, options = _WRITTEN[format_]
    query, params, total = await search.everything(tx, actor, asked, shown)
    return Export(total, copied(tx, query, params, options))
