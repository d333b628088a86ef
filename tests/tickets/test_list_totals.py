"""Totals are exact: after every kind of change, before and after folding, and while others write."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from conftest import House
from kit import close, reopen

from ticketry.db.pool import Tx
from ticketry.tickets.search import store
from ticketry.tickets.search.marks import store as marks
from ticketry.tickets.search.store import fold_counts

FACETS: dict[str, list[str | None]] = {
    "status": [None, "new", "open", "closed", "reopened", "new,closed", "resolved"],
    "priority": [None, "1", "3", "1,2,3,4"],
    "category": [None, "billing", "billing,access"],
    "assigned_to": [None, "none", "user_jane_smith", "none,user_bob_jones"],
}


def total(house: House, key: str | None = None, **query: Any) -> int:
    answer = house.client(key or house.cast.reader).get("/v1/tickets", params={"per_page": 1, **query})
    assert answer.status_code == 200, answer.text
    found: int = answer.json()["meta"]["total"]
    return found


def everything(house: House) -> list[dict[str, Any]]:
    found = house.client(house.cast.reader).get("/v1/tickets", params={"per_page": 100}).json()
    items: list[dict[str, Any]] = found["data"]
    return items


def counted(items: list[dict[str, Any]], facets: dict[str, str]) -> int:
    """How many of the items meet the facets, by looking at each."""

    def meets(item: dict[str, Any], name: str, wanted: str) -> bool:
        return str(item[name] or "none") in wanted.split(",")

    return sum(all(meets(item, *facet) for facet in facets.items()) for item in items)


def check_all(house: House, every: int = 1) -> None:
    """Every combination of facets has the total that counting gives; with `every`, only each so many-th."""
    items = everything(house)
    for values in itertools.islice(itertools.product(*FACETS.values()), 0, None, every):
        asked = {name: value for name, value in zip(FACETS, values, strict=True) if value is not None}
        assert total(house, **asked) == counted(items, asked), asked


def fold(house: House) -> int:
    return house.run(fold_counts)


def test_totals_follow_every_change_folded_or_not(house: House) -> None:
    client = house.client(house.cast.admin)
    check_all(house, every=40)
    tickets = [
        house.ticket(priority=n % 4 + 1, category=(None, "billing", "access")[n % 3], assigned_to=who)
        for n, who in enumerate([None, "user_jane_smith", "user_bob_jones", None] * 3)
    ]
    check_all(house, every=11)
    assert fold(house) > 0
    assert fold(house) == 0
    check_all(house, every=13)
    changes: list[dict[str, Any]] = [
        {"status": "in_progress"},
        {"priority": 1, "category": "billing"},
        {"assigned_to": "user_jane_smith"},
        {"assigned_to": None, "category": None},
        {"status": "resolved"},
        {"subject": "Nothing that is counted"},
    ]
    for n, change in enumerate(changes):
        assert client.patch(f"/v1/tickets/{tickets[n]['id']}", json=change).status_code == 200
    close(house, tickets[6])
    reopen(house, close(house, tickets[7]))
    check_all(house, every=7)
    fold(house)
    check_all(house)


def test_what_was_folded_and_taken_back_leaves_nothing(house: House) -> None:
    ticket = house.ticket(category="once")
    fold(house)
    house.client(house.cast.admin).patch(f"/v1/tickets/{ticket['id']}", json={"category": None})
    assert total(house, category="once") == 0
    fold(house)
    assert total(house, category="once") == 0


@pytest.mark.parametrize(
    "narrowing",
    [
        {"search": "needle"},
        {"tags": "hay"},
        {"search": "needle", "tags": "hay"},
        {"contact_id": "contact_sam_taylor"},
        {"created_after": "2025-01-15T09:30:00Z"},
        {"due_before": "2025-03-01T00:00:00Z"},
        {"sla_breach": "false", "tags": "hay"},
        {"search": "needle", "status": "new"},
    ],
    ids=str,
)
def test_other_filters_have_exact_totals_too(house: House, narrowing: dict[str, str]) -> None:
    before = total(house, **narrowing)
    house.clock.advance(hours=1)
    fields = {"subject": "A needle", "tags": ["hay"], "contact_id": house.cast.customer_id}
    for n in range(3):
        house.ticket(**fields, due_date=f"2025-02-0{n + 1}T00:00:00Z")
    assert total(house, **narrowing) == before + 3
    assert total(house, **narrowing, page=50) == before + 3
    assert len(house.client(house.cast.reader).get("/v1/tickets", params={**narrowing, "per_page": 100}).json()["data"]) == before + 3  # fmt: skip  # noqa: E501


def test_a_refused_or_repeated_call_is_not_counted(house: House) -> None:
    client = house.client(house.cast.admin)
    before = total(house)
    assert client.post("/v1/tickets", json={"subject": "Lacks a description"}).status_code == 422
    body = {"subject": "Once", "description": "Sent twice."}
    for _ in range(3):
        answer = client.post("/v1/tickets", json=body, headers={"Idempotency-Key": "counted-once"})
        assert answer.status_code == 201
    assert total(house) == before + 1


def test_totals_are_of_ones_own_workspace(house: House) -> None:
    house.ticket()
    assert total(house, house.cast.stranger) == 0
    assert total(house, house.cast.stranger, search="refund") == 0
    assert total(house, house.cast.test_key) == 0


def test_the_total_is_exact_at_every_moment_while_others_change_and_fold(house: House) -> None:
    tickets = [house.ticket(tags=["busy"]) for _ in range(8)]
    expected = total(house)
    done = Event()
    client = house.client(house.cast.admin)

    def change(n: int) -> None:
        for step in range(12):
            body = {"priority": step % 4 + 1, "category": f"c{step % 3}", "assigned_to": ("user_jane_smith", None)[step % 2]}  # fmt: skip  # noqa: E501
            assert client.patch(f"/v1/tickets/{tickets[n]['id']}", json=body).status_code == 200

    def read() -> list[int]:
        seen = []
        while not done.is_set():
            seen.append(total(house))
        return seen

    def folding() -> None:
        while not done.is_set():
            fold(house)

    with ThreadPoolExecutor(6) as threads:
        reading, others = threads.submit(read), threads.submit(folding)
        for writing in [threads.submit(change, n) for n in range(8)]:
            writing.result()
        done.set()
        others.result()
        assert set(reading.result()) == {expected}
    check_all(house, every=5)


def test_two_who_fold_at_once_count_nothing_twice(house: House) -> None:
    for n in range(5):
        house.ticket(category=f"folded-{n % 2}")
    expected = total(house)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: fold(house), range(8)))
    assert total(house) == expected
    assert house.sql("SELECT count(*) FROM ticket_count_changes") == [(0,)]
    assert house.sql("SELECT count(*) FROM ticket_counts WHERE tickets < 0") == [(0,)]


def test_a_long_backlog_is_folded_in_pieces(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much has gathered, no piece of it is so long that a time limit could cut it off for ever."""
    monkeypatch.setattr(store, "FOLDED_AT_ONCE", 3)
    for _ in range(8):
        house.ticket()
    before = house.client(house.cast.admin).get("/v1/tickets").json()["meta"]["total"]
    folded = []
    while not folded or folded[-1]:
        folded.append(house.run(store.fold_counts))
    assert max(folded) == 3
    assert house.client(house.cast.admin).get("/v1/tickets").json()["meta"]["total"] == before


def test_a_fold_leaves_no_count_of_nothing(house: House) -> None:
    """Else every category that was ever tried would be summed up for ever."""
    ticket = house.ticket(category="passing")
    fold(house)
    rows = """SELECT count(*) FROM (SELECT category FROM ticket_counts WHERE category = 'passing' UNION ALL
              SELECT value FROM ticket_rollups WHERE facet = 'category' AND value = 'passing') AS counted"""
    assert house.sql(rows) == [(2,)]
    client = house.client(house.cast.admin)
    assert client.patch(f"/v1/tickets/{ticket['id']}", json={"category": "lasting"}).status_code == 200
    fold(house)
    assert house.sql(rows) == [(0,)]
    assert client.get("/v1/tickets", params={"category": "passing"}).json()["meta"]["total"] == 0
    assert client.get("/v1/tickets", params={"category": "lasting"}).json()["meta"]["total"] == 1
    assert client.patch(f"/v1/tickets/{ticket['id']}", json={"category": "passing"}).status_code == 200
    fold(house)
    assert client.get("/v1/tickets", params={"category": "passing"}).json()["meta"]["total"] == 1


def test_a_fold_may_take_longer_than_a_request(house: House) -> None:
    async def limits(tx: Tx) -> list[str]:
        seen = []
        for fold_one in (store.fold_counts, marks.fold):
            await tx.execute("SELECT set_config('statement_timeout', '20s', true)")
            await fold_one(tx)
            row = await tx.one("SHOW statement_timeout")
            seen += [] if row is None else [str(row[0])]
        return seen

    assert house.run(limits) == ["2min", "2min"]
