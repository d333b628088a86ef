"""Paging: each order both ways, pages and cursors; a walk sees every ticket exactly once, whatever happens."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from conftest import House
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit import close, reopen, wrong_fields

ORDERS = [
    (sort_by, order)
    for sort_by in ("created_at", "updated_at", "due_date", "priority")
    for order in ("asc", "desc")
]  # fmt: skip


def ask(house: House, **query: Any) -> dict[str, Any]:
    answer = house.client(house.cast.reader).get("/v1/tickets", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def refused(house: House, **query: Any) -> set[str]:
    return wrong_fields(house.client(house.cast.reader).get("/v1/tickets", params=query))


@pytest.fixture(scope="module")
def crowd(house: House) -> list[dict[str, Any]]:
    """23 tickets with many ties in every order and empty due dates."""
    made = []
    for n in range(23):
        house.clock.advance(seconds=(n % 4) // 3)
        due = None if n % 3 == 0 else f"2025-02-{1 + n % 5:02}T00:00:00Z"
        made.append(house.ticket(subject=f"Case {n}", priority=n % 4 + 1, due_date=due, tags=["crowd"]))
    house.clock.advance(hours=1)
    for n in (3, 9, 4):
        made[n] = close(house, made[n])
    return made


def in_order(items: list[dict[str, Any]], sort_by: str, order: str) -> list[str]:
    down = order == "desc"
    full = sorted((i for i in items if i[sort_by] is not None), key=lambda i: (i[sort_by], i["id"]), reverse=down)
    empty = sorted((i for i in items if i[sort_by] is None), key=lambda i: i["id"], reverse=down)
    return [item["id"] for item in full + empty]


def walk(house: House, between: Callable[[int], object] = lambda n: None, **query: Any) -> list[str]:
    """The ids that a walk by cursor sees; `between` happens after each page."""
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for page in range(1000):
        found = ask(house, **query, **cursor)
        seen += [item["id"] for item in found["data"]]
        assert found["meta"]["page"] == 1
        if found["meta"]["next_cursor"] is None:
            return seen
        assert len(found["data"]) == query.get("per_page", 25)
        cursor = {"cursor": found["meta"]["next_cursor"]}
        between(page)
    raise AssertionError("the walk does not end")


@pytest.mark.parametrize(("sort_by", "order"), ORDERS)
def test_pages_come_in_order_with_ties_by_id_and_empty_due_dates_last(
    house: House, crowd: list[dict[str, Any]], sort_by: str, order: str
) -> None:
    seen = []
    for page in (1, 2, 3, 4):
        found = ask(house, sort_by=sort_by, sort_order=order, page=page, per_page=6, tags="crowd")
        assert found["meta"]["total"] == 23
        assert found["meta"]["total_pages"] == 4
        seen += [item["id"] for item in found["data"]]
    assert seen == in_order(crowd, sort_by, order)


@pytest.mark.parametrize("per_page", [1, 5, 22, 23, 100])
@pytest.mark.parametrize(("sort_by", "order"), ORDERS)
def test_a_walk_by_cursor_sees_each_ticket_once_and_in_order(
    house: House, crowd: list[dict[str, Any]], sort_by: str, order: str, per_page: int
) -> None:
    if per_page == 1 and order == "asc":
        per_page = 2
    seen = walk(house, sort_by=sort_by, sort_order=order, per_page=per_page, tags="crowd")
    assert seen == in_order(crowd, sort_by, order)


def test_a_walk_keeps_its_filters(house: House, crowd: list[dict[str, Any]]) -> None:
    wanted = [ticket for ticket in crowd if ticket["priority"] in {1, 2} and ticket["status"] == "new"]
    seen = walk(house, priority="1,2", status="new", per_page=2, search="case", tags="crowd")
    assert seen == in_order(wanted, "created_at", "desc")


def test_the_newest_come_first_unless_said_otherwise(house: House, crowd: list[dict[str, Any]]) -> None:
    found = ask(house)
    assert [item["id"] for item in found["data"]] == in_order(crowd, "created_at", "desc")[:25]
    assert (found["meta"]["page"], found["meta"]["per_page"]) == (1, 25)


def test_a_page_past_the_end_is_empty_and_tells_the_total(house: House, crowd: list[dict[str, Any]]) -> None:
    for page in (4, 5, 10**6, 10**9):
        found = ask(house, page=page, per_page=10)
        assert found["data"] == []
        assert found["meta"] == {"total": 23, "page": page, "per_page": 10, "total_pages": 3, "next_cursor": None}


def test_the_last_full_page_has_no_next(house: House, crowd: list[dict[str, Any]]) -> None:
    assert ask(house, per_page=23)["meta"]["next_cursor"] is None
    assert ask(house, per_page=22)["meta"]["next_cursor"] is not None
    assert ask(house, per_page=10, page=3)["meta"]["next_cursor"] is None


def test_an_empty_list_has_no_pages(house: House, crowd: list[dict[str, Any]]) -> None:
    found = ask(house, category="nothing")
    assert found["data"] == []
    assert found["meta"] == {"total": 0, "page": 1, "per_page": 25, "total_pages": 0, "next_cursor": None}


def test_a_numbered_page_and_a_cursor_lead_to_the_same_place(house: House, crowd: list[dict[str, Any]]) -> None:
    cursor = ask(house, per_page=5, page=2)["meta"]["next_cursor"]
    assert ask(house, per_page=5, cursor=cursor)["data"] == ask(house, per_page=5, page=3)["data"]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_walk_is_stable_while_tickets_are_created_closed_and_changed(
    house: House, crowd: list[dict[str, Any]], order: str
) -> None:
    house.clock.advance(hours=1)
    there = [house.ticket(subject=f"Walked {order} {n}", tags=[f"walk-{order}"]) for n in range(17)]
    client = house.client(house.cast.admin)
    created: list[str] = []

    def meanwhile(page: int) -> None:
        house.clock.advance(seconds=1)
        created.append(house.ticket(subject="Late", tags=[f"walk-{order}"])["id"])
        close(house, there[page])
        close(house, there[-1 - page])
        reopen(house, there[page])
        for ticket in (there[page + 1], there[-3 - page]):
            change = {"priority": 1, "subject": "Changed", "due_date": "2025-03-01T00:00:00Z"}
            assert client.patch(f"/v1/tickets/{ticket['id']}", json=change).status_code in {200, 409}

    seen = walk(house, meanwhile, tags=f"walk-{order}", sort_order=order, per_page=3)
    assert len(seen) == len(set(seen))
    assert [id_ for id_ in seen if id_ not in created] == in_order(there, "created_at", order)
    if order == "asc":
        assert seen[17:] == created[: len(seen) - 17]
    else:
        assert not set(created) & set(seen)


def test_a_cursor_goes_on_though_its_ticket_has_changed(house: House, crowd: list[dict[str, Any]]) -> None:
    tickets = [house.ticket(tags=["marked"], priority=p) for p in (1, 2, 3, 4)]
    asked = {"tags": "marked", "sort_by": "priority", "sort_order": "asc", "per_page": 2}
    first = ask(house, **asked)
    close(house, tickets[1])
    rest = ask(house, **asked, cursor=first["meta"]["next_cursor"])
    assert [item["id"] for item in rest["data"]] == [tickets[2]["id"], tickets[3]["id"]]
    assert rest["meta"]["total"] == 4


def test_a_cursor_belongs_to_its_order(house: House, crowd: list[dict[str, Any]]) -> None:
    for made_by, made_order in ORDERS:
        cursor = ask(house, sort_by=made_by, sort_order=made_order, per_page=2)["meta"]["next_cursor"]
        for sort_by, order in ORDERS:
            if (sort_by, order) != (made_by, made_order):
                assert refused(house, sort_by=sort_by, sort_order=order, cursor=cursor) == {"cursor"}


def test_a_cursor_counts_no_pages(house: House, crowd: list[dict[str, Any]]) -> None:
    cursor = ask(house, per_page=2)["meta"]["next_cursor"]
    assert refused(house, cursor=cursor, page=2) == {"cursor"}
    assert ask(house, cursor=cursor, page=1, per_page=2)["data"]


def test_a_cursor_may_change_the_size_of_the_page(house: House, crowd: list[dict[str, Any]]) -> None:
    ids = [item["id"] for item in ask(house, per_page=100)["data"]]
    cursor = ask(house, per_page=2)["meta"]["next_cursor"]
    assert [item["id"] for item in ask(house, cursor=cursor, per_page=100)["data"]] == ids[2:]


def packed(value: Any) -> str:
    """A value dressed as a cursor."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


AT, ID = "2025-01-15T09:00:00Z", "ticket_x"
GARBAGE = {
    "nothing": "",
    "a word": "abc",
    "an id": "ticket_01jhq3v9m4e5x8y7z6w5v4u3t2",
    "no base64": "!!!!",
    "other letters": "пример",
    "too long": "a" * 501,
    "no list": packed({"a": 1}),
    "a number": packed(1),
    "null": packed(None),
    "too short": packed(["created_at", "desc", AT]),
    "too much": packed(["created_at", "desc", AT, ID, 1]),
    "another order": packed(["id", "desc", AT, ID]),
    "no direction": packed(["created_at", "up", AT, ID]),
    "no instant": packed(["created_at", "desc", "yesterday", ID]),
    "no offset": packed(["created_at", "desc", "2025-01-15T09:00:00", ID]),
    "an instant that is a number": packed(["created_at", "desc", 17, ID]),
    "an empty instant where there is always one": packed(["created_at", "desc", None, ID]),
    "a priority that is text": packed(["priority", "desc", "1", ID]),
    "a priority that is a truth": packed(["priority", "desc", True, ID]),
    "a fraction": packed(["priority", "desc", 1.5, ID]),
    "an id that is a number": packed(["created_at", "desc", AT, 1]),
    "an id that is a list": packed(["created_at", "desc", AT, [ID]]),
    "an order that is a list": packed([["created_at"], ["desc"], AT, ID]),
    "an id with NUL": packed(["created_at", "desc", AT, "a\x00"]),
    "an id with half a sign": packed(["created_at", "desc", AT, "\ud800"]),
}  # fmt: skip


@pytest.mark.parametrize("cursor", GARBAGE.values(), ids=GARBAGE)
def test_what_no_list_gave_is_no_cursor(house: House, crowd: list[dict[str, Any]], cursor: str) -> None:
    assert refused(house, cursor=cursor) == {"cursor"}


JSON_VALUE = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just(AT) | st.lists(st.text())


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    sort_by=st.sampled_from(["created_at", "updated_at", "due_date", "priority"]),
    order=st.sampled_from(["asc", "desc"]),
    value=JSON_VALUE,
    id_=JSON_VALUE,
)
@example("priority", "asc", 10**30, "x")
@example("priority", "desc", -(2**63), "x")
@example("due_date", "desc", None, "")
@example("created_at", "asc", "9999-12-31T23:59:59-23:59", "x")
def test_a_forged_cursor_does_no_harm(
    house: House, crowd: list[dict[str, Any]], sort_by: str, order: str, value: Any, id_: Any
) -> None:
    query = {"cursor": packed([sort_by, order, value, id_]), "sort_by": sort_by, "sort_order": order}
    answer = house.client(house.cast.reader).get("/v1/tickets", params=query)
    if answer.status_code != 200:
        assert wrong_fields(answer) == {"cursor"}


@settings(max_examples=80, deadline=None, derandomize=True)
@given(cursor=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_as_cursor_is_refused(house: House, crowd: list[dict[str, Any]], cursor: str) -> None:
    assert refused(house, cursor=cursor) == {"cursor"}
