"""Idempotency-Key: sent again, a request is answered again and its work is done once."""

import asyncio
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest
from conftest import House
from kit import JSON, close, forbidden, get, listed, mint, problem, raw, reopen, stored, wrong_fields

from ticketry.tickets import service
from ticketry.web import idempotency

TICKET = {"subject": "Once", "description": "and only once"}
_numbers = itertools.count()


@pytest.fixture
def key() -> str:
    """An Idempotency-Key that no other test uses."""
    return f"key {next(_numbers)}"


def send(
    house: House, method: str, path: str, key: str | bytes, body: Any = None, by: str | None = None
) -> httpx.Response:
    headers: dict[str, str | bytes] = {"Idempotency-Key": key, **JSON}
    content = None if body is None else raw(body)
    return house.client(by or house.cast.admin).request(method, path, content=content, headers=headers)  # type: ignore[arg-type]


def post(house: House, key: str, body: Any = TICKET, by: str | None = None) -> httpx.Response:
    return send(house, "POST", "/v1/tickets", key, body, by)


def is_replay(answer: httpx.Response) -> bool:
    return answer.headers.get("idempotent-replayed") == "true"


def same(first: httpx.Response, again: httpx.Response) -> None:
    """`again` is the stored answer of `first`, under a request id of its own."""
    assert not is_replay(first)
    assert is_replay(again), again.text
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for name in ("content-type", "etag", "location"):
        assert again.headers.get(name) == first.headers.get(name)
    assert again.headers["x-request-id"] != first.headers["x-request-id"]


def reused(answer: httpx.Response) -> None:
    error = problem(answer, 422, "validation_error", "idempotency_key_reused")
    assert not is_replay(answer)
    assert error["message"]


def test_a_creation_sent_again_makes_one_ticket(house: House, key: str) -> None:
    first = post(house, key)
    assert first.status_code == 201
    before = stored(house)
    for _ in range(3):
        same(first, post(house, key))
    assert stored(house) == before


@pytest.mark.parametrize("call", ["close", "reopen"])
def test_a_change_sent_again_is_answered_again(house: House, key: str, call: str) -> None:
    ticket = house.ticket()
    if call == "reopen":
        close(house, ticket)
    path = f"/v1/tickets/{ticket['id']}/{call}"
    first = send(house, "PUT", path, key)
    assert first.status_code == 200
    house.clock.advance(minutes=5)
    before = stored(house)
    same(first, send(house, "PUT", path, key))
    assert stored(house) == before


def test_the_answer_is_the_first_one_whatever_happened_since(house: House, key: str) -> None:
    ticket = house.ticket()
    path = f"/v1/tickets/{ticket['id']}/close"
    first = send(house, "PUT", path, key, {"root_cause": "x"})
    reopen(house, ticket)
    same(first, send(house, "PUT", path, key, {"root_cause": "x"}))
    assert get(house, ticket)["status"] == "reopened"


def test_without_the_header_every_request_counts(house: House) -> None:
    assert house.ticket()["id"] != house.ticket()["id"]


def test_another_body_or_path_is_refused(house: House, key: str) -> None:
    ticket, other = house.ticket(), house.ticket()
    first = send(house, "PUT", f"/v1/tickets/{ticket['id']}/close", key, {"root_cause": "a"})
    before = stored(house)
    reused(send(house, "PUT", f"/v1/tickets/{ticket['id']}/close", key, {"root_cause": "b"}))
    reused(send(house, "PUT", f"/v1/tickets/{ticket['id']}/close", key))
    reused(send(house, "PUT", f"/v1/tickets/{other['id']}/close", key, {"root_cause": "a"}))
    reused(send(house, "PUT", f"/v1/tickets/{ticket['id']}/reopen", key))
    reused(post(house, key))
    assert stored(house) == before
    same(first, send(house, "PUT", f"/v1/tickets/{ticket['id']}/close", key, {"root_cause": "a"}))


def test_while_the_first_runs_a_second_is_409(house: House, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    create = service.create

    async def slow(*args: Any, **more: Any) -> Any:
        begun.set()
        while not go_on.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.01)
        return await create(*args, **more)

    monkeypatch.setattr(service, "create", slow)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(post, house, key)
        try:
            assert begun.wait(10)
            problem(post(house, key), 409, "conflict", "idempotency_key_in_use")
            problem(post(house, key, {**TICKET, "subject": "Other"}), 409, "conflict", "idempotency_key_in_use")
        finally:
            go_on.set()
        assert first.result(10).status_code == 201
    same(first.result(), post(house, key))


def test_another_process_sees_that_the_first_runs(house: House, key: str) -> None:
    ticket = house.ticket()
    path = f"/v1/tickets/{ticket['id']}/close"
    (key_id,) = house.sql("SELECT id FROM api_keys WHERE name = 'admin'")[0]
    with psycopg.connect(house.database_url) as conn:
        lock = f"{house.cast.workspace_id}/{key_id}/{key}"
        conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (lock,))
        problem(send(house, "PUT", path, key), 409, "conflict", "idempotency_key_in_use")
    assert get(house, ticket) == ticket
    assert send(house, "PUT", path, key).status_code == 200


def test_of_many_at_once_the_work_is_done_once(house: House, key: str) -> None:
    before = stored(house)["tickets"]
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: post(house, key), range(16)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.text for answer in answers if answer.status_code == 201}) == 1
    assert sum(answer.status_code == 201 and not is_replay(answer) for answer in answers) == 1
    assert stored(house)["tickets"] == before + 1


def test_an_answer_is_kept_24_hours(house: House, key: str) -> None:
    first = post(house, key)
    house.clock.advance(hours=23, minutes=59, seconds=59)
    same(first, post(house, key))
    house.clock.advance(seconds=2)
    second = post(house, key)
    assert second.status_code == 201
    assert second.json()["data"]["id"] != first.json()["data"]["id"]
    same(second, post(house, key))


def test_after_24_hours_the_key_is_free_for_another_request(house: House, key: str) -> None:
    post(house, key)
    house.clock.advance(hours=24, seconds=1)
    assert post(house, key, {**TICKET, "subject": "Other"}).status_code == 201


def test_the_purge_forgets_old_answers_and_no_other(house: House, key: str) -> None:
    post(house, key)
    house.clock.advance(hours=12)
    kept = post(house, key + " later")
    house.clock.advance(hours=13)

    async def purge(tx: Any) -> int:
        return await idempotency.purge(tx._pool, house.clock())

    assert house.run(purge) >= 1
    same(kept, post(house, key + " later"))
    rows = "SELECT count(*) FROM idempotent_answers WHERE idempotency_key = %s"
    assert house.sql(rows, (key,)) == [(0,)]


def test_the_purge_goes_in_pieces_and_to_the_end(house: House, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "PURGED_AT_ONCE", 2)
    for n in range(5):
        post(house, f"{key} {n}")
    house.clock.advance(hours=25)
    old = "SELECT count(*) FROM idempotent_answers WHERE created_at <= %s"
    before = house.sql(old, (house.clock() - idempotency.KEPT,))[0][0]

    async def purge(tx: Any) -> int:
        return await idempotency.purge(tx._pool, house.clock())

    assert house.run(purge) == before
    assert before >= 5
    assert house.sql(old, (house.clock() - idempotency.KEPT,)) == [(0,)]


@pytest.mark.parametrize("form", ["", "x" * 256, "a\tb", b"\xc3\xa9", b"\x80"])
def test_a_key_of_the_wrong_form_is_refused_by_name(house: House, form: str | bytes) -> None:
    before = stored(house)
    assert wrong_fields(send(house, "POST", "/v1/tickets", form, TICKET)) == {"Idempotency-Key"}
    assert stored(house) == before


@pytest.mark.parametrize("form", ["x", "x" * 255, "!~ ~!", "550e8400-e29b-41d4-a716-446655440000"])
def test_a_key_has_1_to_255_printable_characters(house: House, form: str) -> None:
    first = post(house, form)
    assert first.status_code == 201
    same(first, post(house, form))


def test_reads_take_no_notice(house: House, key: str) -> None:
    ticket = house.ticket()
    path = f"/v1/tickets/{ticket['id']}"
    assert not is_replay(send(house, "GET", path, key))
    close(house, ticket)
    answer = send(house, "GET", path, key)
    assert not is_replay(answer)
    assert answer.json()["data"]["status"] == "closed"


def test_a_conflict_is_an_answer_and_kept(house: House, key: str) -> None:
    ticket = house.ticket()
    close(house, ticket)
    path = f"/v1/tickets/{ticket['id']}/close"
    first = send(house, "PUT", path, key)
    problem(first, 409, "conflict", "ticket_already_closed")
    reopen(house, ticket)
    same(first, send(house, "PUT", path, key))
    assert get(house, ticket)["status"] == "reopened"


def test_not_found_is_an_answer_and_kept(house: House, key: str) -> None:
    first = send(house, "PUT", "/v1/tickets/TICK-4711/close", key)
    problem(first, 404, "not_found", "ticket_not_found")
    ticket = house.ticket()
    house.sql("UPDATE tickets SET number = 4711 WHERE id = %s", (ticket["id"],))
    same(first, send(house, "PUT", "/v1/tickets/TICK-4711/close", key))


def test_a_request_that_was_not_understood_may_be_mended(house: House, key: str) -> None:
    ticket = house.ticket()
    path = f"/v1/tickets/{ticket['id']}/close"
    wrong_fields(send(house, "PUT", path, key, {"customer_satisfaction": 11}))
    answer = house.client(house.cast.admin).put(path, content=b"{", headers={**JSON, "Idempotency-Key": key})
    problem(answer, 400, "invalid_request", "malformed_json")
    first = send(house, "PUT", path, key, {"customer_satisfaction": 10})
    assert first.status_code == 200
    same(first, send(house, "PUT", path, key, {"customer_satisfaction": 10}))


def test_a_refusal_at_the_door_is_not_kept(house: House, key: str) -> None:
    forbidden(post(house, key, by=house.cast.reader), "tickets:write")
    assert house.sql("SELECT count(*) FROM idempotent_answers WHERE idempotency_key = %s", (key,)) == [(0,)]


def test_another_api_key_is_another_caller(house: House, key: str) -> None:
    mine = post(house, key)
    for other in (mint(house, "tickets:write"), house.cast.stranger, house.cast.test_key):
        theirs = post(house, key, by=other)
        assert theirs.status_code == 201
        assert not is_replay(theirs)
        assert theirs.json()["data"]["id"] != mine.json()["data"]["id"]
        same(theirs, post(house, key, by=other))
    same(mine, post(house, key))


def test_a_new_key_is_shown_once_even_when_sent_again(house: House, key: str) -> None:
    body = {"name": "shown once", "scopes": ["tickets:read"]}
    first = send(house, "POST", "/v1/keys", key, body)
    again = send(house, "POST", "/v1/keys", key, body)
    assert is_replay(again)
    secret = first.json()["data"]["key"]
    assert secret.startswith("sk_live_")
    assert again.json()["data"] == {**first.json()["data"], "key": None}
    assert secret not in again.text
    assert house.sql("SELECT count(*) FROM api_keys WHERE name = 'shown once'") == [(1,)]


def test_a_crash_leaves_neither_the_work_nor_the_answer(
    house: House, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: Any) -> None:
        raise RuntimeError("between the work and the answer")

    ticket = house.ticket()
    path = f"/v1/tickets/{ticket['id']}/close"
    before = stored(house)
    with monkeypatch.context() as patch:
        patch.setattr(idempotency, "_keep", crash)
        problem(send(house, "PUT", path, key), 500, "api_error", "internal_error")
        problem(post(house, key + "+"), 500, "api_error", "internal_error")
    assert stored(house) == before
    assert get(house, ticket) == ticket
    first = send(house, "PUT", path, key)
    assert first.status_code == 200
    same(first, send(house, "PUT", path, key))
    assert len(listed(house, ticket, "resolutions")) == 1
    assert post(house, key + "+").status_code == 201


def test_if_match_belongs_to_the_request(house: House, key: str) -> None:
    ticket = house.ticket()
    path = f"/v1/tickets/{ticket['id']}/close"
    client = house.client(house.cast.admin)
    headers = {"Idempotency-Key": key, "If-Match": '"7"'}
    first = client.put(path, headers=headers)
    problem(first, 412, "precondition_failed", "stale_ticket")
    same(first, client.put(path, headers=headers))
    reused(client.put(path, headers={**headers, "If-Match": '"1"'}))
