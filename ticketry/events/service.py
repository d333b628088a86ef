"""Facts: making them and reading them back."""

import json
from datetime import datetime
from typing import Any

from ticketry.core.actor import Actor
from ticketry.core.ids import mint
from ticketry.db.paging import Page, PageIn, page_of
from ticketry.db.pool import Tx
from ticketry.events import store
from ticketry.events.models import Event, EventType, NewEvent


def fact(kind: EventType, actor: Actor, ticket_id: str, at: datetime, ticket_json: str, **details: Any) -> NewEvent:
    """A fact about a ticket. `ticket_json` is the ticket object as it stands after the change."""
    rest = json.dumps(details, ensure_ascii=False, separators=(",", ":"), default=_plain)
    data = f'{{"ticket":{ticket_json},{rest[1:]}' if details else f'{{"ticket":{ticket_json}}}'
    return NewEvent(mint("evt"), kind, ticket_id, actor, at, data)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat() + "Z"
    raise TypeError(f"no JSON form for {type(value).__name__}")


async def history(tx: Tx, actor: Actor, ticket_id: str, asked: PageIn) -> Page[Event]:
    """What happened to a ticket, oldest first."""
    events = await store.history(tx, actor.workspace_id, ticket_id, asked)
    return page_of(events, await store.count(tx, actor.workspace_id, ticket_id), asked)
