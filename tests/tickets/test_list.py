"""Listing: every filter alone and with others gives what a plain reading of the tickets gives."""

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import House
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import complete_ticket, forbidden, mint

Query = dict[str, Any]


def ask(house: House, **query: Any) -> dict[str, Any]:
    """The answer of the list."""
    answer = house.client(house.cast.reader).get("/v1/tickets", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture(scope="module")
def stock(house: House) -> dict[str, dict]:
    """A few tickets that differ in what can be asked for."""
    c = house.cast
    tickets = {}
    tickets["refund"] = house.ticket(
        subject="Refund missing",
        description="Charged twice, credit card",
        category="billing",
        priority=1,
        tags=["vip", "eu"],
        contact_id=c.customer_id,
    )
    house.clock.advance(hours=1)
    tickets["login"] = house.ticket(
        subject="Cannot log in",
        description="Password прив возврат 退款申请",
        category="access",
        assigned_to=c.agent_id,
        tags=["eu"],
        due_date="2025-02-01T00:00:00Z",
    )
    house.clock.advance(hours=1)
    tickets["print"] = house.ticket(
        subject="Printer refunds", description="ink_50% off", priority=4, due_date="2025-01-20T00:00:00Z"
    )
    house.clock.advance(hours=1)
    tickets["closed"] = house.ticket(subject="Old", description="Nothing", assigned_to=c.other_agent_id)
    house.client(c.admin).put(f"/v1/tickets/{tickets['closed']['id']}/close")
    house.clock.advance(hours=1)
    return tickets


CASES = {
    "": {"refund", "login", "print", "closed"},
    "status=new": {"refund", "print"},
    "status=new,open": {"refund", "print", "login"},
    "status=new&status=open": {"refund", "print", "login"},
    "status=new, open,new": {"refund", "print", "login"},
    "priority=1,4": {"refund", "print"},
    "priority=3": {"login", "closed"},
    "category=billing": {"refund"},
    "category=billing,access": {"refund", "login"},
    "category=Billing": set(),
    "assigned_to=none": {"refund", "print"},
    "assigned_to=user_jane_smith": {"login"},
    "assigned_to=none,user_jane_smith": {"login", "refund", "print"},
    "assigned_to=user_nobody": set(),
    "contact_id=contact_sam_taylor": {"refund"},
    "contact_id=contact_nobody": set(),
    "created_after=2025-01-15T11:00:00Z": {"print", "closed"},
    "created_after=2025-01-15T12:00:00%2B01:00": {"print", "closed"},
    "created_before=2025-01-15T10:00:00Z": {"refund", "login"},
    "created_after=2025-01-15T10:00:00Z&created_before=2025-01-15T10:00:00Z": {"login"},
    "created_after=2025-01-15T10:00:01Z&created_before=2025-01-15T10:00:00Z": set(),
    "due_after=2025-01-20T00:00:00Z&due_before=2025-01-31T00:00:00Z": {"print"},
    "due_before=2025-02-01T00:00:00Z": {"print", "login"},
    "due_after=2025-01-20T00:00:01Z": {"login"},
    "tags=eu": {"refund", "login"},
    "tags=eu,vip": {"refund"},
    "tags=eu&tags=vip": {"refund"},
    "tags=e": set(),
    "tags=EU": set(),
    "sla_breach=true": {"refund"},
    "sla_breach=false": {"login", "print", "closed"},
    "search=refund": {"refund", "print"},
    "search=fund": {"refund", "print"},
    "search=re": {"refund", "print"},
    'search="credit card"': {"refund"},
    'search="card credit"': set(),
    "search=возв": {"login"},
    "search=款申": {"login"},
    "search=TICK-2": {"login"},
    "search=2": {"login"},
    "search=refund billing": set(),
    "search=refund&status=new&priority=4": {"print"},
    "search=refund&sla_breach=true": {"refund"},
    "search=refund&tags=eu": {"refund"},
    "search=refund&due_after=2025-01-01T00:00:00Z": {"print"},
    "search=!!!": set(),
    "search=50%25": {"print"},
    "search='%5C'": set(),
    "status=closed&tags=eu": set(),
    "status=closed&assigned_to=user_bob_jones": {"closed"},
    "status=new&category=billing&priority=1&assigned_to=none&contact_id=contact_sam_taylor&tags=vip&sla_breach=true"
    "&created_before=2025-01-15T09:00:00Z&search=credit": {"refund"},
}


@pytest.mark.parametrize("query", CASES)
def test_filters(house: House, stock: dict[str, dict], query: str) -> None:
    answer = house.client(house.cast.admin).get(f"/v1/tickets?{query}")
    assert answer.status_code == 200, answer.text
    names = {ticket["id"]: name for name, ticket in stock.items()}
    found = answer.json()
    assert {names[item["id"]] for item in found["data"]} == CASES[query]
    assert found["meta"]["total"] == len(CASES[query])


def test_an_item_is_the_ticket_without_its_description(house: House, stock: dict[str, dict]) -> None:
    client = house.client(house.cast.admin)
    for item in ask(house)["data"]:
        ticket = client.get(f"/v1/tickets/{item['id']}").json()["data"]
        complete_ticket(ticket)
        assert "description" in ticket
        assert "description" not in item
        assert item == {name: value for name, value in ticket.items() if name != "description"}


def test_listing_needs_the_read_scope(house: House, stock: dict[str, dict]) -> None:
    forbidden(house.client(mint(house, "tickets:write")).get("/v1/tickets"), "tickets:read")


def test_breach_is_what_the_items_say_at_every_moment(house: House, stock: dict[str, dict]) -> None:
    before = house.clock.now
    try:
        for hours in (0, 3, 24, 72, 24 * 15):
            house.clock.now = before
            house.clock.advance(hours=hours)
            for asked in (True, False):
                found = ask(house, sla_breach=str(asked).lower())["data"]
                assert all(item["sla"]["breached"] is asked for item in found)
            assert ask(house, sla_breach="true")["meta"]["total"] == sum(
                item["sla"]["breached"] for item in ask(house)["data"]
            )
    finally:
        house.clock.now = before


# Any combination of filters, order and page, against a plain reading of all tickets.

DUE = ["2025-01-20T00:00:00Z", "2025-02-01T00:00:00Z", "2025-02-01T00:00:00Z", None]


@pytest.fixture(scope="module")
def crowd(house: House, stock: dict[str, dict]) -> list[dict[str, Any]]:
    """Thirty tickets, several in each second; how the list shows all of them."""
    c = house.cast
    for n in range(30):
        house.clock.advance(minutes=7 * (n % 3))
        ticket = house.ticket(
            subject=f"Case {n}",
            priority=n % 4 + 1,
            category=(None, "billing", "access")[n % 3],
            contact_id=(None, c.customer_id)[n % 2],
            assigned_to=(None, c.agent_id, c.other_agent_id, None, None)[n % 5],
            due_date=DUE[n % 4],
            tags=[("eu", "us")[n % 2], *(["vip"] if n % 7 == 0 else [])],
        )
        if n % 6 == 5:
            house.client(c.admin).put(f"/v1/tickets/{ticket['id']}/close")
    found: list[dict[str, Any]] = ask(house, per_page=100)["data"]
    assert len(found) == 34
    return found


INSTANTS = [f"2025-01-15T{hour:02}:{minute:02}:00Z" for hour in range(9, 17) for minute in (0, 21)] + DUE[:2]


def some(*values: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


FILTERS: dict[str, st.SearchStrategy[Any]] = {
    "status": some("new", "open", "in_progress", "closed", "resolved"),
    "priority": some(1, 2, 3, 4),
    "category": some("billing", "access", "other"),
    "assigned_to": some("none", "user_jane_smith", "user_bob_jones", "user_eve_stranger"),
    "tags": some("eu", "us", "vip"),
    "contact_id": st.sampled_from(["contact_sam_taylor", "contact_mallory"]),
    "sla_breach": st.sampled_from(["true", "false"]),
    **dict.fromkeys(("created_after", "created_before", "due_after", "due_before"), st.sampled_from(INSTANTS)),
}
ORDERS: dict[str, st.SearchStrategy[Any]] = {
    "sort_by": st.sampled_from(["created_at", "updated_at", "due_date", "priority"]),
    "sort_order": st.sampled_from(["asc", "desc"]),
    "page": st.integers(1, 4),
    "per_page": st.integers(1, 12),
}


def matches(item: dict[str, Any], name: str, wanted: Any) -> bool:
    """Whether a ticket meets one condition."""
    if name == "tags":
        return set(wanted) <= set(item["tags"])
    if name == "assigned_to":
        return (item["assigned_to"] or "none") in wanted
    if name == "sla_breach":
        return item["sla"]["breached"] is (wanted == "true")
    field, _, side = name.partition("_")
    if side in {"after", "before"}:
        at = item["created_at" if field == "created" else "due_date"]
        return at is not None and (at >= wanted if side == "after" else at <= wanted)
    return item[name] in wanted if isinstance(wanted, list) else item[name] == wanted


def in_order(items: list[dict[str, Any]], sort_by: str, sort_order: str) -> list[str]:
    """The ids as the list must order them: ties by id, empty due dates last either way."""
    down = sort_order == "desc"
    full = sorted(
        (item for item in items if item[sort_by] is not None), key=lambda i: (i[sort_by], i["id"]), reverse=down
    )
    empty = sorted((item for item in items if item[sort_by] is None), key=lambda i: i["id"], reverse=down)
    return [item["id"] for item in full + empty]


def as_text(query: Query) -> Iterator[tuple[str, str]]:
    for name, value in query.items():
        yield name, ",".join(map(str, value)) if isinstance(value, list) else str(value)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(filters=st.fixed_dictionaries({}, optional=FILTERS), order=st.fixed_dictionaries({}, optional=ORDERS))
def test_any_combination_is_what_a_plain_reading_gives(
    house: House, crowd: list[dict[str, Any]], filters: Query, order: Query
) -> None:
    found = ask(house, **dict(as_text({**filters, **order})))
    kept = [item for item in crowd if all(matches(item, *condition) for condition in filters.items())]
    ids = in_order(kept, order.get("sort_by", "created_at"), order.get("sort_order", "desc"))
    page, per_page = order.get("page", 1), order.get("per_page", 25)
    assert [item["id"] for item in found["data"]] == ids[(page - 1) * per_page : page * per_page]
    meta = found["meta"]
    assert (meta["total"], meta["page"], meta["per_page"]) == (len(kept), page, per_page)
    assert meta["total_pages"] == -(-len(kept) // per_page)
