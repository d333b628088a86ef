"""Facts: making them and reading them back."""

from datetime import datetime
from typing import Any

from pydantic_core import to_json

from ticketry.core.actor import Actor
from ticketry.core.ids import mint
from ticketry.db.paging import Page, PageIn, page_of
from ticketry.db.pool import Tx
from ticketry.events import store
from ticketry.events.models import Event, EventType, NewEvent


def fact(kind: EventType, actor: Actor, ticket_id: str, at: datetime, ticket_json: str, **details: Any) -> NewEvent:
    """A fact about a ticket. `ticket_json` is the ticket object as it stands after the change."""
    rest = to_json(details).decode()
    data = f'{{"ticket":{ticket_json},{rest[1:]}' if details else f'{{"ticket":{ticket_json}}}'
    return NewEvent(mint("evt"), kind, ticket_id, actor, at, data)


async def history(tx: Tx, actor: Actor, ticket_id: str, asked: PageIn) -> Page[Event]:
    """What happened to a ticket, oldest first."""
    events = await store.history(tx, actor.workspace_id, ticket_id, asked)
    return page_of(events, await store.count(tx, actor.workspace_id, ticket_id), asked)


async def tell(tx: Tx, kind: EventType, actor: Actor, **details: Any) -> None:
    """Records a fact about the workspace that concerns no ticket."""
    await store.insert(tx, NewEvent(mint("evt"), kind, None, actor, tx.now, to_json(details).decode()))
