"""What `/metrics` says of deliveries."""

from ticketry.db.pool import Tx
from ticketry.webhooks.deliveries import store


async def backlog(tx: Tx) -> dict[str, tuple[str, float]]:
    """How much waits for endpoints that are on, and for how long."""
    found = await store.backlog(tx)
    age = max(0.0, (tx.now - found.oldest).total_seconds()) if found.oldest else 0.0
    return {
        "ticketry_webhook_pending": ("Deliveries that wait for an endpoint that is on.", found.pending),
        "ticketry_webhook_oldest_seconds": ("Age of the oldest event among them.", age),
    }
