"""What an attempt changes: the delivery, the endpoint's health, and at last whether the endpoint stays on."""

import random
from collections.abc import Sequence
from datetime import datetime

from ticketry.core.actor import system
from ticketry.db.pool import Tx
from ticketry.events import service as events
from ticketry.mail.sending import service as mail
from ticketry.webhooks.deliveries import rules
from ticketry.webhooks.dispatch import store
from ticketry.webhooks.dispatch.models import Due, Health, Key, Settlement
from ticketry.webhooks.endpoints import service as endpoints
from ticketry.webhooks.sending.models import Outcome


def settlement(due: Due, outcome: Outcome) -> Settlement:
    """What an attempt makes of a delivery. The schedule counts from the end of the attempt, in whole seconds."""
    if outcome.error is None:
        return Settlement(due, outcome, "delivered", None)
    chance = random.random()  # noqa: S311 - spreads retries, guards nothing
    again = rules.next_try(due.tries + 1, due.round_at, outcome.ended_at, chance)
    return Settlement(due, outcome, "pending" if again else "dead", again)


async def settle(tx: Tx, settled: Sequence[Settlement], health: Sequence[Health]) -> None:
    """Records attempts, and what they tell of their endpoints."""
    await store.settle(tx, settled)
    await store.forget_echoes(tx, settled)
    if health:
        await store.note_health(tx, health)


async def switch_off(tx: Tx, key: Key, failing_since: datetime | None, error: str) -> bool:
    """Switches off an endpoint that has failed for too long, and says so; False if somebody was quicker."""
    reason = rules.off_reason(error)
    if failing_since is None or not await store.switch_off(tx, key, failing_since, reason):
        return False
    await _tell(tx, key, reason)
    return True


async def _tell(tx: Tx, key: Key, reason: str) -> None:
    endpoint = await endpoints.get(tx, key.workspace_id, key.endpoint_id)
    actor = system(key.workspace_id, "Webhooks")
    told = endpoint.model_dump(mode="json", include={"id", "url", "event_types", "description", "disabled_reason"})
    await events.tell(tx, "webhook.disabled", actor, webhook=told, reason=reason)
    text = (
        f"Webhooks are no longer sent to\n\n    {endpoint.url}\n\n{reason}\n\nSwitch it on again by API once it works."
    )
    await mail.to_admins(tx, key.workspace_id, "A webhook endpoint was switched off", text)
