"""Reading the feed, and handing its events on."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ticketry.core.actor import Actor
from ticketry.core.errors import ValidationFailed, field_error
from ticketry.db.pool import Tx
from ticketry.feed import store
from ticketry.feed.models import BEGINNING, FeedAsked, FeedMeta, FeedPage, Place, Settled
from ticketry.tickets import service as tickets
from ticketry.web.news import CHANNEL

Subscriber = Callable[[Tx, Sequence[Settled]], Awaitable[None]]
"""Called in the relay's transaction with each event once. It writes down what is to be done and does nothing else."""


async def page(tx: Tx, actor: Actor, asked: FeedAsked) -> FeedPage:
    """The events after the last one seen. Raises `ValidationFailed` if that one is not of this workspace."""
    ticket_id = None if asked.ticket_id is None else (await tickets.get(tx, actor, asked.ticket_id)).id
    after = BEGINNING if asked.after is None else await _place(tx, actor, asked.after)
    found = await store.stretch(tx, actor.workspace_id, after, ticket_id, asked.types, asked.limit)
    if len(found.events) > asked.limit:
        shown = found.events[: asked.limit]
        return FeedPage(data=shown, meta=FeedMeta(next_after=shown[-1].event_id, has_more=True))
    return FeedPage(data=found.events, meta=FeedMeta(next_after=found.last or asked.after, has_more=not found.ended))


async def _place(tx: Tx, actor: Actor, event_id: str) -> Place:
    place = await store.place_of(tx, actor.workspace_id, event_id)
    if place is None:
        raise ValidationFailed(field_error("after", "unknown_event", "names no event of this workspace"))
    return place


@dataclass(slots=True)
class Pace:
    """How much a round takes, and after which workspace it begins: each has its turn, however busy others are."""

    most: int = store.MOST
    after: str = ""

    def slower(self) -> None:
        """A round was too long to end in time."""
        self.most = max(1, self.most // 2)

    def went(self, found: Sequence[tuple[Settled, Place]]) -> None:
        """A round ended well."""
        self.after = found[-1][0].workspace_id if len(found) >= self.most else ""
        self.most = min(store.MOST, self.most * 2)


async def hand_on(tx: Tx, subscribers: Sequence[Subscriber], pace: Pace | None = None) -> int | None:
    """One round of the relay: gives new events to all subscribers, each once; how many.

    None if another relay is at work: what it does not get, the next round will.
    """
    if not await store.take_relay(tx):
        return None
    pace = pace or Pace()
    found = await store.settled(tx, pace.most, pace.after)
    if found:
        reached = {event.workspace_id: place for event, place in found}
        await store.advance(tx, reached.items())
        events = [event for event, _ in found]
        for subscriber in subscribers:
            await subscriber(tx, events)
        await store.announce(tx, CHANNEL, list(reached))
    pace.went(found)
    return len(found)


async def waiting(tx: Tx) -> dict[str, tuple[str, float]]:
    """What `/metrics` says of the feed."""
    oldest = await store.oldest(tx)
    age = max(0.0, (tx.now - oldest).total_seconds()) if oldest else 0.0
    return {"ticketry_feed_oldest_seconds": ("Age of the oldest event that was not handed on yet.", age)}
