"""Lists by marks: tags, words and states found in bits agree with a plain reading, folded or not."""

import itertools
import json
import random
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import psycopg
import pytest
from conftest import House
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import close

from ticketry.core.actor import system
from ticketry.db.pool import Tx
from ticketry.tickets.search import service
from ticketry.tickets.search.marks import store as marks
from ticketry.tickets.search.models import TicketsAsked

COUNT = 180
WORDS = ("alpha", "alphabet", "beta", "gamma", "delta", "tick", "ticket", "tic", "77alpha", "ÜBER", "x")
TAGS = ("eu", "us", "vip", "w:alpha", "s:open")
STATES = ("new", "open", "in_progress", "closed")
AGENTS = (None, "user_jane_smith", "user_bob_jones")

STOCK = """
INSERT INTO tickets (workspace_id, id, number, subject, description, priority, status, category, assigned_to, tags,
    due_date, created_at, updated_at, sla_since, response_due_at, resolution_due_at, response_met, resolution_met,
    resolved_at, closed_at)
SELECT %(ws)s, %(id)s, %(number)s, %(subject)s, %(description)s, %(priority)s, %(status)s, %(category)s,
    %(assigned_to)s, %(tags)s, at + %(due)s, at, at, at, at + interval '1 hour', at + interval '8 hours',
    %(response)s, %(resolution)s, %(closed)s, %(closed)s
FROM (SELECT %(created)s::timestamptz AS at) g"""
"""As an import may bring them: numbers of several stretches, in another order than created, many in a second."""


def made(rng: random.Random, n: int) -> dict[str, Any]:
    status = rng.choice(STATES)
    ended = status == "closed"
    return {
        "id": f"ticket_{rng.randrange(10**9)}_{n}",
        "number": 1 + n if n % 3 else 1023 * n + rng.randrange(1023),
        "subject": " ".join(rng.choices(WORDS, k=2)),
        "description": " ".join(rng.choices(WORDS, k=3)),
        "priority": rng.randint(1, 4),
        "status": status,
        "category": rng.choice((None, "billing", "access")),
        "assigned_to": rng.choice(AGENTS),
        "tags": rng.sample(TAGS, rng.randint(0, 3)),
        "due": rng.choice((None, "1 day", "2 days")),
        "created": f"2025-01-{rng.randint(1, 14):02}T{rng.choice((8, 9)):02}:00:00Z",
        "response": rng.choice((True, False)) if ended else rng.choice((None, True)),
        "resolution": rng.choice((True, False)) if ended else None,
        "closed": "2025-01-15T08:30:00Z" if ended else None,
    }


@pytest.fixture(scope="module")
def stock(house: House) -> House:
    rng = random.Random(5)
    text = STOCK.replace("at + %(due)s", "at + %(due)s::interval")
    with psycopg.connect(house.database_url) as conn:
        for n in range(COUNT):
            conn.execute(text, {"ws": house.cast.workspace_id, **made(rng, n)})  # type: ignore[call-overload]
    house.sql("SELECT setval(format('numbers.%%I', %s::text)::regclass, 400000)", (house.cast.workspace_id,))
    return house


def items(house: House) -> list[dict[str, Any]]:
    """All tickets by numbered pages, which look at no mark, each with its words."""
    client, found = house.client(house.cast.reader), []
    for page in itertools.count(1):
        body = client.get("/v1/tickets", params={"per_page": 100, "page": page}).json()["data"]
        if not body:
            break
        found += body
    texts = dict(house.sql("SELECT id, lower(subject || ' ' || description) FROM tickets"))
    return [{**item, "words": texts[item["id"]].split()} for item in found]


def meets(item: dict[str, Any], name: str, wanted: Any) -> bool:
    """Whether a ticket meets one condition."""
    if name == "tags":
        return set(wanted) <= set(item["tags"])
    if name == "search":
        own = (item["number"].lower(), item["number"][5:])
        return all(
            any(number.startswith(term) for number in own) or any(has(word, term.lower()) for word in item["words"])
            for term in wanted
        )
    if name == "sla_breach":
        breached: bool = item["sla"]["breached"]
        return breached is (wanted == "true")
    return (item[name] or "none") in wanted


def has(word: str, term: str) -> bool:
    return word.startswith(term) or (len(term) >= 3 and term in word)


def some(*values: Any, most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True)


FILTERS: dict[str, st.SearchStrategy[Any]] = {
    "status": some(*STATES, "resolved"),
    "priority": some(1, 2, 3, 4),
    "category": some("billing", "access", "other"),
    "assigned_to": some("none", "user_jane_smith", "user_bob_jones"),
    "tags": some(*TAGS, "none", most=2),
    "search": some(
        "alpha", "alph", "lpha", "beta", "ga", "ABET", "über", "ber", "tick", "tic", "77", "x", "nowhere", most=2
    ),
    "sla_breach": st.sampled_from(["true", "false"]),
}
ORDERS: dict[str, st.SearchStrategy[Any]] = {
    "sort_by": st.sampled_from(["created_at", "updated_at", "due_date", "priority"]),
    "sort_order": st.sampled_from(["asc", "desc"]),
    "per_page": st.sampled_from([1, 7, 30, 100]),
}
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "subject": st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join),
    "tags": st.lists(st.sampled_from(TAGS), max_size=3, unique=True),
    "priority": st.integers(1, 4),
    "category": st.sampled_from([None, "billing", "access"]),
    "assigned_to": st.sampled_from(AGENTS),
}


def wanted(all_items: list[dict[str, Any]], filters: dict[str, Any], order: dict[str, Any]) -> list[str]:
    """The ids that a list must hold, in its order."""
    kept = [item for item in all_items if all(meets(item, *condition) for condition in filters.items())]
    by, down = order.get("sort_by", "created_at"), order.get("sort_order", "desc") == "desc"
    full = sorted((i for i in kept if i[by] is not None), key=lambda i: (i[by], i["id"]), reverse=down)
    empty = sorted((i for i in kept if i[by] is None), key=lambda i: i["id"], reverse=down)
    return [item["id"] for item in full + empty]


def asked(filters: dict[str, Any]) -> dict[str, str]:
    joined = {"search": " "}
    return {
        name: joined.get(name, ",").join(map(str, value)) if isinstance(value, list) else value
        for name, value in filters.items()
    }


def walked(house: House, query: dict[str, Any], expected: list[str]) -> list[str]:
    """The first pages by cursor, and whether each tells the total."""
    client, seen, cursor = house.client(house.cast.reader), list[str](), {}
    for _ in range(4):
        answer = client.get("/v1/tickets", params={**query, **cursor})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["meta"]["total"] == len(expected), query
        seen += [item["id"] for item in body["data"]]
        if body["meta"]["next_cursor"] is None:
            assert seen == expected
            break
        cursor = {"cursor": body["meta"]["next_cursor"]}
    return seen


@settings(max_examples=70, deadline=None, derandomize=True)
@given(
    filters=st.fixed_dictionaries({}, optional=FILTERS), order=st.fixed_dictionaries({}, optional=ORDERS),
    change=st.fixed_dictionaries({}, optional=CHANGES), chosen=st.integers(0, COUNT - 1), ends=st.booleans(),
    folded=st.sampled_from([0, 1, 3, 10_000]), page=st.integers(1, 6), hours=st.sampled_from([0, 0, 1]),
)  # fmt: skip
def test_any_question_is_answered_as_by_looking(
    stock: House, filters: dict[str, Any], order: dict[str, Any], change: dict[str, Any], chosen: int, ends: bool,
    folded: int, page: int, hours: int,
) -> None:  # fmt: skip
    """Changed, folded by pieces in any order, or not: page by page, and any page by its number."""
    client = stock.client(stock.cast.admin)
    stock.clock.advance(hours=hours)
    ticket = stock.sql("SELECT id, status FROM tickets ORDER BY id OFFSET %s LIMIT 1", (chosen,))[0]
    if ticket[1] == "closed":
        assert client.put(f"/v1/tickets/{ticket[0]}/reopen").status_code == 200
    assert client.patch(f"/v1/tickets/{ticket[0]}", json=change).status_code == 200
    if ends:
        assert client.put(f"/v1/tickets/{ticket[0]}/close").status_code == 200
    if folded:
        stock.sql("SELECT fold_ticket_marks(%s)", (folded,))
    expected = wanted(items(stock), filters, order)
    query = {**asked(filters), **order}
    seen = walked(stock, query, expected)
    assert seen == expected[: len(seen)]
    size = order.get("per_page", 25)
    found = stock.client(stock.cast.reader).get("/v1/tickets", params={**query, "page": page}).json()
    assert [item["id"] for item in found["data"]] == expected[(page - 1) * size : page * size]


@pytest.mark.parametrize(
    ("query", "served"),
    [
        ("tags=eu", True), ("tags=eu,us&status=open", True), ("search=alpha", True), ("search=alpha beta", True),
        ("search=lph&assigned_to=none", True), ("sla_breach=true", True), ("sla_breach=false&priority=1", True),
        ("", False), ("status=open", False), ('search="alpha beta"', False), ("search=77", False),
        ("search=TICK-1", False), ("search=tick", False), ("search=a-b", False), ("search=alpha 77", False),
        ("tags=eu&contact_id=contact_sam_taylor", False), ("tags=eu&created_after=2025-01-01T00:00:00Z", False),
    ],
)  # fmt: skip
def test_what_marks_can_tell_they_are_asked(
    stock: House, monkeypatch: pytest.MonkeyPatch, query: str, served: bool
) -> None:
    seen: list[str] = []
    run = Tx._run

    async def noted(self: Tx, text: str, *rest: Any) -> Any:
        seen.append(text)
        return await run(self, text, *rest)

    monkeypatch.setattr(Tx, "_run", noted)
    assert stock.client(stock.cast.reader).get(f"/v1/tickets?{query}").status_code == 200
    assert any("ticket_marks" in text for text in seen) is served


def test_totals_by_marks_are_exact_at_every_moment_while_others_change_and_fold(stock: House) -> None:
    tickets = [stock.ticket(tags=["busy", "even"], subject="Busybody even") for _ in range(6)]
    queries = (
        {"tags": "busy"},
        {"search": "busybody"},
        {"tags": "busy", "priority": "1,2,3,4"},
        {"tags": "busy,hither"},
    )
    client, reader = stock.client(stock.cast.admin), stock.client(stock.cast.reader)
    done = Event()

    def change(n: int) -> None:
        for step in range(10):
            side = ("even", "odd")[step % 2]
            body = {"priority": step % 4 + 1, "tags": ["busy", side], "subject": f"Busybody {side}"}
            assert client.patch(f"/v1/tickets/{tickets[n]['id']}", json=body).status_code == 200
        close(stock, tickets[n])

    def read() -> set[tuple[int, int]]:
        seen = set()
        while not done.is_set():
            for n, query in enumerate(queries):
                body = reader.get("/v1/tickets", params=query).json()
                assert len(body["data"]) == body["meta"]["total"]
                seen.add((n, body["meta"]["total"]))
        return seen

    def folding() -> None:
        while not done.is_set():
            stock.run(marks.fold)

    with ThreadPoolExecutor(6) as threads:
        reading, others = threads.submit(read), threads.submit(folding)
        for writing in [threads.submit(change, n) for n in range(6)]:
            writing.result()
        done.set()
        others.result()
        assert reading.result() == {(0, 6), (1, 6), (2, 6), (3, 0)}


def test_a_fold_leaves_nothing_behind_and_two_do_not_meet(stock: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "FOLDED_AT_ONCE", 50)
    with ThreadPoolExecutor(3) as threads:
        while stock.sql("SELECT count(*) FROM ticket_mark_changes") != [(0,)]:
            assert max(threads.map(lambda _: stock.run(marks.fold), range(3))) <= 50
    expected = stock.sql("SELECT count(*) FROM tickets WHERE workspace_id = %s AND 'eu' = ANY(tags)", (stock.cast.workspace_id,))  # fmt: skip  # noqa: E501
    found = stock.sql("SELECT sum(bit_count(tickets)) FROM ticket_marks WHERE workspace_id = %s AND mark = 't:eu'", (stock.cast.workspace_id,))  # fmt: skip  # noqa: E501
    assert found == expected


def test_a_word_or_tag_that_was_taken_back_leaves_no_mark(stock: House) -> None:
    ticket = stock.ticket(subject="Confidential", tags=["secret"])
    stock.run(marks.fold)
    left = "SELECT count(*) FROM ticket_marks WHERE mark IN ('w:confidential', 't:secret') OR bit_count(tickets) = 0"
    assert stock.sql(left) == [(2,)]
    body = {"subject": "Plain", "tags": []}
    assert stock.client(stock.cast.admin).patch(f"/v1/tickets/{ticket['id']}", json=body).status_code == 200
    stock.run(marks.fold)
    assert stock.sql(left) == [(0,)]


def test_new_tags_leave_the_words_alone(stock: House) -> None:
    """Words are taken apart again only when they change: a description may be long."""
    client, noted = stock.client(stock.cast.admin), "SELECT reworded, gone FROM ticket_mark_changes ORDER BY id DESC"
    ticket = stock.ticket(subject="Lastingword", tags=["first"])
    stock.run(marks.fold)
    assert client.patch(f"/v1/tickets/{ticket['id']}", json={"tags": ["second"]}).status_code == 200
    assert stock.sql(noted) == [(False, ["t:first"])]
    for _ in range(2):
        for query, count in (({"tags": "first"}, 0), ({"tags": "second"}, 1), ({"search": "lastingword"}, 1)):
            assert client.get("/v1/tickets", params=query).json()["meta"]["total"] == count
        stock.run(marks.fold)
    stock.run(marks.fold)
    close(stock, ticket)
    assert [reworded for reworded, _ in stock.sql(noted)] == [False]


@pytest.mark.parametrize("query", [{"tags": "eu"}, {"tags": "eu", "sort_by": "priority"}, {"search": "alpha"}, {}])
def test_past_the_end_no_ticket_is_looked_at(stock: House, query: dict[str, str]) -> None:
    """A client that asks for page 100,000 costs no more than one that asks for the first."""
    stock.run(marks.fold)
    actor = system(stock.cast.workspace_id, "test")
    asked = TicketsAsked.model_validate({**query, "page": 100_000, "per_page": 25})

    async def looked_at(tx: Tx) -> tuple[Any, ...] | None:
        answer = json.loads(await service.find(tx, actor, asked))
        assert answer["data"] == []
        assert answer["meta"]["total"] > 0
        return await tx.one(
            """SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables
               WHERE relname = 'tickets'"""
        )

    assert stock.run(looked_at) == (0,)


def test_marks_are_of_ones_own_workspace(stock: House) -> None:
    stock.ticket(tags=["mine"], subject="Mineword")
    stock.run(marks.fold)
    for query in ({"tags": "mine"}, {"search": "mineword"}, {"sla_breach": "false"}):
        found = stock.client(stock.cast.stranger).get("/v1/tickets", params=query).json()
        assert (found["data"], found["meta"]["total"]) == ([], 0)
