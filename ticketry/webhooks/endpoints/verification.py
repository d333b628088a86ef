"""Calling an endpoint while somebody waits for the verdict; no unit of work is open meanwhile."""

from ticketry.core.ids import mint
from ticketry.db.pool import unit
from ticketry.web.resources import Resources
from ticketry.webhooks.deliveries.rules import test_body
from ticketry.webhooks.endpoints import rules, service
from ticketry.webhooks.endpoints.models import Verdict
from ticketry.webhooks.sending.models import Outcome
from ticketry.webhooks.sending.sender import Sender
from ticketry.webhooks.sending.signing import headers_of
from ticketry.webhooks.sending.words import kind_of


async def verify(house: Resources, workspace_id: str, endpoint_id: str) -> Verdict:
    """Sends a signed test message and says what came of it; nothing is stored."""
    now = house.clock()
    async with unit(house.pool, now, atomic=False) as tx:
        endpoint = await service.secrets(tx, workspace_id, endpoint_id)
    if problem := rules.url_problem(endpoint.url, house.settings):
        return Verdict(ok=False, problem=f"The URL {problem[1]}.", kind="url", status_code=None, answer=None, duration_ms=0)
    event_id = mint("evt")
    body = test_body(event_id, endpoint_id, now)
    headers = headers_of(event_id, now, body, endpoint.living(now))
    async with Sender(house.settings, house.clock) as sender:
        outcome = await sender.post("new", endpoint.url, headers, body)
    return _verdict(outcome)


def _verdict(outcome: Outcome) -> Verdict:
    return Verdict(
        ok=outcome.error is None,
        problem=outcome.error,
        kind=kind_of(outcome.error),
        status_code=outcome.status_code,
        answer=outcome.answer,
        duration_ms=outcome.duration_ms,
    )
