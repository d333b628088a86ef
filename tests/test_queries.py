"""A list costs the same number of statements whatever it shows: ten more rows, not one statement more."""

import inspect
from collections.abc import Callable
from typing import Any, get_args

import pytest
import routes
from conftest import House
from routes import Call

from ticketry.db.paging import PageIn
from ticketry.db.pool import Tx

MOST = 4
"""The object that the list belongs to, the search, the page and the total."""
_COUNT = [0]


def post(house: House, path: str, **body: Any) -> dict[str, Any]:
    answer = house.client(house.cast.admin).post(path, json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def number() -> int:
    _COUNT[0] += 1
    return _COUNT[0]


def close_and_reopen(house: House, ticket: str) -> None:
    client = house.client(house.cast.admin)
    assert client.put(f"/v1/tickets/{ticket}/close").status_code == 200
    assert client.put(f"/v1/tickets/{ticket}/reopen").status_code == 200


def add_ticket(house: House, ids: dict[str, str]) -> None:
    n = number()
    house.ticket(
        subject=f"Ticket {n}", tags=["a", f"t{n}"], category=f"c{n}", contact_id=house.cast.customer_id,
        assigned_to=house.cast.agent_id, custom_fields={"n": n}, due_date="2025-02-01T00:00:00Z",
    )  # fmt: skip


def add_file(house: House, ticket: str) -> None:
    answer = house.client(house.cast.admin).post("/v1/attachments", files={"file": ("a.txt", b"words")})
    post(house, f"/v1/tickets/{ticket}/comments", body="Said", attachment_ids=[answer.json()["data"]["id"]])


def add_mail(house: House) -> None:
    raw = f"From: Sam <sam@example.com>\nSubject: Mail\nMessage-ID: <{number()}@x.example>\n\nHello\n"
    headers = {"Content-Type": "message/rfc822"}
    answer = house.client(house.cast.admin).post("/v1/inbound/email", content=raw, headers=headers)
    assert answer.status_code == 201, answer.text


def add_delivery(house: House, ids: dict[str, str]) -> None:
    answer = house.client(house.cast.admin).post(f"/v1/webhooks/{ids['webhook_id']}/test")
    assert answer.status_code == 202, answer.text


ADD: dict[str, Callable[[House, dict[str, str]], object]] = {
    "/v1/tickets": add_ticket,
    "/v1/tickets/{ticket_id}/events": lambda house, ids: close_and_reopen(house, ids["ticket_id"]),
    "/v1/tickets/{ticket_id}/resolutions": lambda house, ids: close_and_reopen(house, ids["ticket_id"]),
    "/v1/tickets/{ticket_id}/comments": lambda house, ids: add_file(house, ids["ticket_id"]),
    "/v1/tickets/{ticket_id}/attachments": lambda house, ids: add_file(house, ids["ticket_id"]),
    "/v1/tickets/{ticket_id}/links": lambda house, ids: post(
        house, f"/v1/tickets/{ids['ticket_id']}/links", type="related_to", ticket_id=house.ticket()["id"]
    ),
    "/v1/contacts": lambda house, ids: post(house, "/v1/contacts", name=f"C{number()}"),
    "/v1/users": lambda house, ids: post(house, "/v1/users", name="U", email=f"u{number()}@example.com"),
    "/v1/keys": lambda house, ids: post(
        house, "/v1/keys", name="K", scopes=["tickets:read"], user_id=house.cast.agent_id
    ),
    "/v1/workspaces": lambda house, ids: post(house, "/v1/workspaces", name="W"),
    "/v1/workspaces/{workspace_id}/keys": lambda house, ids: post(
        house, f"/v1/workspaces/{ids['workspace_id']}/keys", name="K", scopes=["tickets:read"]
    ),
    "/v1/webhooks": lambda house, ids: post(house, "/v1/webhooks", url="https://webhook.invalid/"),
    "/v1/webhooks/deliveries": add_delivery,
    "/v1/webhooks/{webhook_id}/deliveries": add_delivery,
    "/v1/sla/calendars": lambda house, ids: post(house, "/v1/sla/calendars", name="H", opening_hours="24/7"),
    "/v1/inbound/emails": lambda house, ids: add_mail(house),
    "/v1/sla/policies": lambda house, ids: post(house, "/v1/sla/policies", name="P", targets={"1": {"response": 60}}),
    "/v1/mail/messages": lambda house, ids: house.sql(
        """INSERT INTO mail_messages (workspace_id, id, kind, recipient_type, recipient_id, status, created_at)
           VALUES (%s, %s, 'replied', 'contact', %s, 'outbox', now())""",
        (house.cast.workspace_id, f"mail_{number()}", house.cast.customer_id),
    ),
}
"""How each list gets one more row."""


def is_list(call: Call) -> bool:
    """Whether the endpoint asks for a page."""
    parameters = inspect.signature(call.route.endpoint, eval_str=True).parameters.values()
    kinds = [get_args(parameter.annotation)[0] for parameter in parameters if get_args(parameter.annotation)]
    return any(isinstance(kind, type) and issubclass(kind, PageIn) for kind in kinds)


LISTS = [call for call in routes.calls() if call.method == "GET" and is_list(call)]
QUERIES = {
    "/v1/tickets": ["", "search=ticket", "search=icke", "tags=a", "status=open,new", "assigned_to=none,user_jane_smith",
                    "sla_breach=false", "sort_by=due_date", "search=ticket&status=open&tags=a&sort_by=priority"],
    "/v1/contacts": ["", "search=c"],
    "/v1/users": ["", "search=u"],
}  # fmt: skip
CASES = [
    pytest.param(call, query, id=f"{call.path}?{query}") for call in LISTS for query in QUERIES.get(call.path, [""])
]


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that units of work run while this test runs."""
    seen: list[str] = []
    run = Tx._run

    async def noted(self: Tx, query: str, *rest: Any) -> Any:
        seen.append(query)
        return await run(self, query, *rest)

    monkeypatch.setattr(Tx, "_run", noted)
    return seen


def cost(house: House, path: str, statements: list[str]) -> tuple[int, int]:
    """Statements and rows of a list. The least of several: now and then a request also looks its key up anew."""
    client = house.client(house.cast.admin)
    least = 1000
    for _ in range(4):
        statements.clear()
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        least = min(least, len(statements))
    return least, len(answer.json()["data"])


def test_every_list_is_counted() -> None:
    assert len(LISTS) >= 11


@pytest.mark.parametrize(("call", "query"), CASES)
def test_ten_more_rows_cost_no_statement_more(house: House, statements: list[str], call: Call, query: str) -> None:
    if call.path not in ADD:
        pytest.fail(f"test_queries.py does not know how to add a row to {call.path}: add it to ADD")
    ids = {"ticket_id": house.ticket()["id"], "workspace_id": house.cast.stranger_workspace_id}
    ids["webhook_id"] = post(house, "/v1/webhooks", url="https://webhook.invalid/")["id"]
    path = f"{call.path.format(**ids)}?per_page=100&{query}"
    ADD[call.path](house, ids)
    before, few = cost(house, path, statements)
    for _ in range(10):
        ADD[call.path](house, ids)
    after, many = cost(house, path, statements)
    assert many >= min(few + 10, 100)
    assert after == before, statements
    assert 1 <= after <= MOST, statements
