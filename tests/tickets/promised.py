"""What the tests of promises say: policies of their own, calls on a ticket, the timers run by hand, the replay."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from conftest import House

from ticketry.core.clock import Clock
from ticketry.db.pool import Pool, Tx, make_pool
from ticketry.tickets.promises import jobs, service, store

DAY = 86_400
_numbers = itertools.count(1)


def iso(at: datetime) -> str:
    """An instant as the API writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def call(house: House, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
    """The `data` of an answer that must be a success."""
    answer = house.client(key or house.cast.admin).request(method, path, json=body)
    assert answer.status_code in {200, 201}, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json()["data"]


def promise(house: House, response: int | None, resolution: int | None, **fields: Any) -> dict[str, Any]:
    """A policy with these targets, in minutes, for all priorities, and a category of its own."""
    target = {"response": response, "resolution": resolution}
    category = f"promise {next(_numbers)}"
    body = {"name": category, "conditions": {"category": [category]}, **fields}
    body.setdefault("targets", {str(priority): target for priority in (1, 2, 3, 4)})
    made: dict[str, Any] = call(house, "POST", "/v1/sla/policies", body)
    return made


def promised(house: House, policy: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A new ticket under a policy."""
    return house.ticket(category=policy["conditions"]["category"][0], **fields)


def edit(house: House, ticket: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The ticket changed."""
    changed: dict[str, Any] = call(house, "PATCH", f"/v1/tickets/{ticket['id']}", fields)
    return changed


def answer(house: House, ticket: dict[str, Any], body: str = "Hello", **fields: Any) -> None:
    """A public comment of an agent."""
    fields = {"user_id": house.cast.agent_id, **fields}
    call(house, "POST", f"/v1/tickets/{ticket['id']}/comments", {"body": body, **fields})


def explained(house: House, ticket: dict[str, Any], at: datetime | None = None) -> dict[str, Any]:
    """The explanation of a ticket's clock."""
    query = f"?at={iso(at)}" if at else ""
    found: dict[str, Any] = call(house, "GET", f"/v1/tickets/{ticket['id']}/sla{query}")
    return found


def apply(house: House, policy: dict[str, Any], dry_run: bool = False) -> dict[str, Any]:
    """The policy applied to open tickets."""
    applied: dict[str, Any] = call(house, "POST", f"/v1/sla/policies/{policy['id']}/apply", {"dry_run": dry_run})
    return applied


def told(house: House, ticket: dict[str, Any]) -> list[tuple[str, str, int]]:
    """The alarms told of a ticket: kind, target and cycle."""
    path = f"/v1/tickets/{ticket['id']}/events?per_page=100"
    return [
        (event["event_type"].removeprefix("ticket.sla_"), event["data"]["target"], event["data"]["cycle"])
        for event in call(house, "GET", path)
        if event["event_type"].startswith("ticket.sla_")
    ]


def on_pool(house: House, work: Callable[[Pool, Clock], Awaitable[int]]) -> int:
    """A timer of the worker, run to its end."""

    async def inside() -> int:
        async with make_pool(house.database_url, 4) as pool:
            return await work(pool, house.clock)

    return asyncio.run(inside())


def ring(house: House) -> int:
    """Of how many tickets something was told."""
    return on_pool(house, jobs.ring_alarms)


def auto_close(house: House) -> int:
    """How many tickets were closed by themselves."""
    return on_pool(house, jobs.close_resolved)


def replayed(house: House) -> list[str]:
    """Where what is stored differs from what the events of all tickets give."""

    async def work(tx: Tx) -> list[str]:
        found = await store.batch(tx, house.cast.workspace_id, "", 10_000, only_open=False)
        return await service.replay(tx, house.cast.workspace_id, found)

    return house.run(work)
