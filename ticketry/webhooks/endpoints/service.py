"""Use cases of endpoints."""

from datetime import timedelta

from ticketry.core.errors import Conflict, NotFound
from ticketry.core.ids import mint
from ticketry.db.paging import Page, PageIn, page_of
from ticketry.db.pool import Tx
from ticketry.settings import Settings
from ticketry.webhooks.deliveries import store as deliveries
from ticketry.webhooks.endpoints import rules, store
from ticketry.webhooks.endpoints.models import Endpoint, EndpointIn, EndpointPatch, NewEndpoint, Secrets

MOST_ENDPOINTS = 100
"""Endpoints of one workspace: every event may become a delivery for each."""


async def create(tx: Tx, workspace_id: str, body: EndpointIn, settings: Settings) -> NewEndpoint:
    """Adds an endpoint. It hears of what happens from now on."""
    rules.check_url(body.url, settings)
    if await store.count(tx, workspace_id) >= MOST_ENDPOINTS:
        raise Conflict("too_many_webhooks", f"A workspace has at most {MOST_ENDPOINTS} webhooks")
    endpoint = Endpoint(
        id=mint("webhook"),
        url=body.url,
        event_types=list(body.event_types or []),
        description=body.description,
        enabled=body.enabled is not False,
        disabled_reason=None,
        failing_since=None,
        last_success_at=None,
        old_secret_until=None,
        created_at=tx.now,
        updated_at=tx.now,
    )
    secret = rules.new_secret()
    await store.insert(tx, workspace_id, endpoint, secret)
    return NewEndpoint(**endpoint.model_dump(), secret=secret)


def _missing() -> NotFound:
    return NotFound("webhook_not_found", "Webhook not found")


async def get(tx: Tx, workspace_id: str, endpoint_id: str) -> Endpoint:
    """One endpoint, without its secret."""
    endpoint = await store.get(tx, workspace_id, endpoint_id)
    if endpoint is None:
        raise _missing()
    return endpoint


async def locked(tx: Tx, workspace_id: str, endpoint_id: str) -> Endpoint:
    """One endpoint, which nobody else changes until this unit ends."""
    endpoint = await store.lock(tx, workspace_id, endpoint_id)
    if endpoint is None:
        raise _missing()
    return endpoint


async def switched_on(tx: Tx, workspace_id: str, endpoint_id: str) -> Endpoint:
    """The same, if it is on: what is queued for one that is off would wait for ever."""
    endpoint = await locked(tx, workspace_id, endpoint_id)
    if not endpoint.enabled:
        raise Conflict("webhook_disabled", "The webhook is switched off; switch it on first")
    return endpoint


async def secrets(tx: Tx, workspace_id: str, endpoint_id: str) -> Secrets:
    """Where and with what an endpoint's messages are sent."""
    found = await store.secrets(tx, workspace_id, endpoint_id)
    if found is None:
        raise _missing()
    return found


async def page(tx: Tx, workspace_id: str, asked: PageIn) -> Page[Endpoint]:
    """The endpoints of a workspace, newest first."""
    found = await store.page(tx, workspace_id, asked.per_page, asked.offset)
    return page_of(found, await store.count(tx, workspace_id), asked)


async def update(tx: Tx, workspace_id: str, endpoint_id: str, body: EndpointPatch, settings: Settings) -> Endpoint:
    """Changes the fields given. Switched on, it gets what waits for it at once, with all its tries before it; if that
    is very much, the timer goes on where this call stops."""
    old = await locked(tx, workspace_id, endpoint_id)
    changes = body.model_dump(exclude_unset=True)
    if "url" in changes:
        rules.check_url(changes["url"], settings)
    if "event_types" in changes:
        changes["event_types"] = changes["event_types"] or []
    if changes.get("enabled") and not old.enabled:
        changes |= {"disabled_reason": None, "failing_since": None}
        if not await deliveries.take_up(tx, workspace_id, endpoint_id, tx.now):
            await store.update(tx, workspace_id, endpoint_id, {"taken_up_at": tx.now})
    if all(value == getattr(old, name) for name, value in changes.items()):
        return old
    changes["updated_at"] = tx.now
    await store.update(tx, workspace_id, endpoint_id, changes)
    return old.model_copy(update=changes)


async def delete(tx: Tx, workspace_id: str, endpoint_id: str) -> None:
    """Ends an endpoint for good: what was not sent never will be; what was stays listed for as long as all others."""
    await locked(tx, workspace_id, endpoint_id)
    gone = {"deleted_at": tx.now, "updated_at": tx.now, "enabled": False, "disabled_reason": None}
    await store.update(
        tx, workspace_id, endpoint_id, gone | {"secret": "", "old_secret": None, "old_secret_until": None}
    )
    await deliveries.give_up(tx, workspace_id, endpoint_id)


async def rotate_secret(tx: Tx, workspace_id: str, endpoint_id: str, overlap_hours: int) -> NewEndpoint:
    """A new secret; the old one goes on signing beside it for `overlap_hours`."""
    endpoint = await locked(tx, workspace_id, endpoint_id)
    secret = rules.new_secret()
    until = tx.now + timedelta(hours=overlap_hours) if overlap_hours else None
    await store.rotate(tx, workspace_id, endpoint_id, secret, until)
    changed = endpoint.model_dump() | {"old_secret_until": until, "updated_at": tx.now}
    return NewEndpoint(**changed, secret=secret)
