"""What can be asked of an export."""

from typing import Literal

from pydantic import Field

from ticketry.tickets.search.models import TicketFilters

Format = Literal["ndjson", "csv"]


class ExportAsked(TicketFilters):
    """Which tickets are exported, and how they are written."""

    format: Format | None = Field(
        None, description="`ndjson`: a ticket object a line; `csv`: a ticket a row. Left out, `Accept` decides."
    )
