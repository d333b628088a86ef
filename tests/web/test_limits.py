"""Rate limits: per key, by minute and day, one count for all processes, told on every answer."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from conftest import START, House, serve
from kit import problem
from psycopg_pool import PoolTimeout

from ticketry.web import limits

UNLIMITED = 2_147_483_647


@pytest.fixture(autouse=True)
def a_new_day(house: House) -> None:
    """Every test begins at 09:00 of a day that no other has counted in."""
    house.clock.now = house.clock.now.replace(hour=9, minute=0, second=0) + timedelta(days=1)


@contextmanager
def another_server(house: House, **options: Any) -> Iterator[str]:
    """A second server on the same database, with the same clock."""
    yield from serve(house.database_url, house.clock, **options)


def limited(house: House, keys: int = 1, **settings: Any) -> list[httpx.Client]:
    """Clients of new keys in a new workspace with these limits."""
    admin = house.client(house.cast.admin)
    workspace = admin.post("/v1/workspaces", json={"name": "Limited"}).json()["data"]["id"]
    assert admin.patch(f"/v1/workspaces/{workspace}", json=settings).status_code == 200
    body = {"name": "k", "scopes": ["tickets:read"]}
    made = [admin.post(f"/v1/workspaces/{workspace}/keys", json=body).json()["data"]["key"] for _ in range(keys)]
    return [house.client(key) for key in made]


def told(answer: httpx.Response) -> tuple[int, int, int]:
    names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
    limit, remaining, reset = (int(answer.headers[name]) for name in names)
    return limit, remaining, reset


def refused(answer: httpx.Response, retry_after: int) -> None:
    error = problem(answer, 429, "rate_limit_error", "rate_limit_exceeded")
    assert error["retry_after"] == retry_after
    assert answer.headers["retry-after"] == str(retry_after)
    assert answer.headers["x-ratelimit-remaining"] == "0"


def end_of_minute(house: House) -> int:
    return int(house.clock().timestamp()) // 60 * 60 + 60


def test_a_minute_is_counted_down_refused_and_begun_anew(house: House) -> None:
    (client,) = limited(house, minute_limit=3)
    house.clock.advance(seconds=20)
    for left in (2, 1, 0):
        answer = client.get("/v1/tickets/x")
        assert answer.status_code == 404
        assert told(answer) == (3, left, end_of_minute(house))
    for _ in range(2):
        answer = client.get("/v1/tickets/x")
        refused(answer, 40)
        assert told(answer) == (3, 0, end_of_minute(house))
    house.clock.advance(seconds=39)
    refused(client.get("/v1/tickets/x"), 1)
    house.clock.advance(seconds=1)
    answer = client.get("/v1/tickets/x")
    assert answer.status_code == 404
    assert told(answer) == (3, 2, end_of_minute(house))


def test_a_day_is_counted_too(house: House) -> None:
    (client,) = limited(house, day_limit=3)
    for _ in range(3):
        answer = client.get("/v1/tickets/x")
        assert answer.status_code == 404
        assert told(answer)[:2] == (UNLIMITED, UNLIMITED)
        house.clock.advance(hours=3)
    refused(client.get("/v1/tickets/x"), 6 * 3600)
    house.clock.advance(hours=6)
    assert client.get("/v1/tickets/x").status_code == 404


def test_both_hold_and_the_longer_wait_is_told(house: House) -> None:
    (client,) = limited(house, minute_limit=2, day_limit=3)
    assert [client.get("/v1/tickets/x").status_code for _ in range(3)] == [404, 404, 429]
    house.clock.advance(minutes=1)
    refused(client.get("/v1/tickets/x"), 15 * 3600 - 60)


def test_each_key_has_its_own_count(house: House) -> None:
    first, second = limited(house, keys=2, minute_limit=1)
    assert [first.get("/v1/tickets/x").status_code for _ in range(2)] == [404, 429]
    assert [second.get("/v1/tickets/x").status_code for _ in range(2)] == [404, 429]


def test_requests_that_fail_count_as_well(house: House) -> None:
    (client,) = limited(house, minute_limit=4)
    answers = [
        client.get("/v1/tickets/x"),
        client.get("/v1/tickets/x/events?page=0"),
        client.put("/v1/tickets/x/close", content=b"{"),
        client.get("/v1/contacts"),
        client.get("/v1/tickets/x"),
    ]
    assert [answer.status_code for answer in answers] == [404, 422, 403, 403, 429]
    assert [told(answer)[1] for answer in answers] == [3, 2, 1, 0, 0]


def test_two_servers_count_together(house: House) -> None:
    (client,) = limited(house, minute_limit=4)
    with another_server(house) as url, httpx.Client(base_url=url, headers=client.headers, timeout=30) as other:
        answers = [one.get("/v1/tickets/x") for one in (client, other, client, other, client, other)]
    assert [answer.status_code for answer in answers] == [404] * 4 + [429] * 2
    assert [told(answer)[1] for answer in answers] == [3, 2, 1, 0, 0, 0]


def test_no_request_too_many_slips_through_when_many_come_at_once(house: House) -> None:
    (client,) = limited(house, minute_limit=20)
    with (
        another_server(house) as url,
        httpx.Client(base_url=url, headers=client.headers, timeout=30) as other,
        ThreadPoolExecutor(16) as threads,
    ):
        answers = list(threads.map(lambda n: (client, other)[n % 2].get("/v1/tickets/x"), range(60)))
    assert sorted(answer.status_code for answer in answers) == [404] * 20 + [429] * 40
    assert sorted(told(answer)[1] for answer in answers if answer.status_code == 404) == list(range(20))


@pytest.mark.parametrize(
    ("tier", "minute", "day"), [("free", 100, 10_000), ("professional", 500, 50_000), ("business", 1_000, 100_000)]
)
def test_tiers_have_the_published_limits(house: House, tier: str, minute: int, day: int) -> None:
    (client,) = limited(house, tier=tier)
    assert told(client.get("/v1/tickets/x"))[:2] == (minute, minute - 1)
    house.sql("UPDATE rate_counters SET hits = %s WHERE window_seconds = 60", (minute - 1,))
    assert told(client.get("/v1/tickets/x"))[:2] == (minute, 0)
    refused(client.get("/v1/tickets/x"), 60)
    house.sql("UPDATE rate_counters SET hits = %s WHERE window_seconds = 86400", (day - 1,))
    house.clock.advance(minutes=1)
    assert client.get("/v1/tickets/x").status_code == 404
    refused(client.get("/v1/tickets/x"), 15 * 3600 - 60)


def test_unset_is_unlimited(house: House) -> None:
    for client in (house.client(house.cast.admin), *limited(house, tier="enterprise"), house.client(None)):
        for path in ("/v1/tickets/x", "/healthz", "/nowhere"):
            assert told(client.get(path)) == (UNLIMITED, UNLIMITED, end_of_minute(house))
    assert house.sql("SELECT count(*) FROM rate_counters WHERE window_start > %s", (house.clock().timestamp(),)) == [
        (0,)
    ]


def test_a_new_limit_holds_for_keys_in_use(house: House) -> None:
    admin = house.client(house.cast.admin)
    (client,) = limited(house, minute_limit=100)
    assert told(client.get("/v1/tickets/x"))[0] == 100
    workspace = house.sql("SELECT id FROM workspaces WHERE minute_limit = 100")[-1][0]
    admin.patch(f"/v1/workspaces/{workspace}", json={"minute_limit": None})
    for _ in range(100):
        if told(client.get("/v1/tickets/x"))[0] == UNLIMITED:
            break
        threading.Event().wait(0.05)
    else:
        pytest.fail("the new limit never held")


def test_callers_without_a_key_are_counted_by_address(house: House) -> None:
    with another_server(house, address_limit=3) as url, httpx.Client(base_url=url, timeout=30) as nobody:
        answers = [
            nobody.get("/v1/tickets/x"),
            nobody.get("/v1/tickets/x", headers={"Authorization": "Bearer sk_live_nobody"}),
            nobody.get("/nowhere"),
            nobody.get("/v1/tickets/x"),
            nobody.get("/nowhere"),
        ]
        assert [answer.status_code for answer in answers] == [401, 401, 404, 429, 429]
        assert [told(answer)[:2] for answer in answers] == [(3, 2), (3, 1), (3, 0), (3, 0), (3, 0)]
        refused(answers[3], 60)
        known = nobody.get("/v1/tickets/x", headers=house.client(house.cast.admin).headers)
        assert known.status_code == 404
        assert told(known)[:2] == (UNLIMITED, UNLIMITED)
        house.clock.advance(minutes=1)
        assert nobody.get("/v1/tickets/x").status_code == 401


def test_who_cannot_be_counted_has_an_answer_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*given: Any) -> limits.Rate:
        raise PoolTimeout("no connection")

    with another_server(house, address_limit=3) as url, httpx.Client(base_url=url, timeout=30) as nobody:
        monkeypatch.setattr(limits, "count", gone)
        for path in ("/nowhere", "/v1/tickets/x"):
            problem(nobody.get(path), 503, "api_error", "database_unavailable")


def test_the_purge_forgets_windows_that_ended_and_no_other(house: House) -> None:
    (client,) = limited(house, minute_limit=2, day_limit=5)
    client.get("/v1/tickets/x")
    house.clock.advance(minutes=2)
    client.get("/v1/tickets/x")
    house.sql("DELETE FROM rate_counters WHERE window_start < %s", (house.clock().timestamp() - 86_400,))
    count = "SELECT window_seconds, hits FROM rate_counters ORDER BY window_seconds, window_start"
    assert house.sql(count) == [(60, 1), (60, 1), (86_400, 2)]

    async def purge(tx: Any) -> int:
        return await limits.purge(tx._pool, house.clock())

    assert house.run(purge) == 1
    assert house.sql(count) == [(60, 1), (86_400, 2)]
    assert told(client.get("/v1/tickets/x"))[:2] == (2, 0)


def test_windows_end_on_whole_minutes_and_days() -> None:
    at = START.replace(hour=23, minute=59, second=59)
    assert limits.window_end(at, 60) == limits.window_end(at, 86_400) == int(at.timestamp()) + 1
    assert limits.window_end(at + timedelta(seconds=1), 60) == int(at.timestamp()) + 61
