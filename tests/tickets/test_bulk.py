"""Bulk: each operation as by its single call and by itself, a result for each in order."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest
from conftest import House
from kit import BODY_LIMIT, JSON, close, complete_ticket, forbidden, get, listed, problem, raw, stored, wrong_fields

from ticketry.db.pool import Tx, make_pool
from ticketry.tickets import service, store
from ticketry.tickets.bulk import lanes
from ticketry.web import idempotency

PATH = "/v1/tickets/bulk"
SAM = "contact_sam_taylor"


def op(action: str, ticket: dict[str, Any] | str, params: Any = None, **more: Any) -> dict[str, Any]:
    name = ticket if isinstance(ticket, str) else ticket["id"]
    return {"action": action, "ticket_id": name, **({} if params is None else {"params": params}), **more}


def send(house: House, *operations: Any, by: str | None = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = raw({"operations": list(operations)})
    return house.client(by or house.cast.admin).post(PATH, content=content, headers={**JSON, **named})


def results(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == ["data"]
    found: list[dict[str, Any]] = body["data"]
    for result in found:
        assert set(result) in ({"status", "data"}, {"status", "data", "etag"}, {"status", "error"}), result
    return found


def statuses(answer: httpx.Response) -> list[int]:
    return [result["status"] for result in results(answer)]


def error(result: dict[str, Any], status: int, kind: str, code: str) -> dict[str, Any]:
    assert result["status"] == status, result
    found: dict[str, Any] = result["error"]
    assert (found["type"], found["code"]) == (kind, code), found
    return found


def test_each_action_does_what_its_single_call_does(house: House) -> None:
    one, two, three, four = house.ticket(), house.ticket(), close(house, house.ticket()), house.ticket()
    answer = send(
        house,
        op("close", one, {"resolution_note": "Done.", "customer_satisfaction": 9}),
        op("update", two["number"], {"priority": 1, "internal_note": "Hurry"}),
        op("reopen", three, {"reason": "Again"}),
        op("comment", four["number"].lower(), {"body": "Hello", "user_id": "user_jane_smith"}),
    )
    closed, updated, reopened, said = results(answer)
    assert [closed["status"], updated["status"], reopened["status"], said["status"]] == [200, 200, 200, 201]
    for result, ticket in ((closed, one), (updated, two), (reopened, three)):
        complete_ticket(result["data"])
        assert result["data"] == get(house, ticket)
        single = house.client(house.cast.admin).get(f"/v1/tickets/{ticket['id']}")
        assert result["etag"] == single.headers["etag"]
    assert (closed["data"]["customer_satisfaction"], closed["data"]["status"]) == (9, "closed")
    assert listed(house, one, "resolutions")[0]["resolution_note"] == "Done."
    assert [said["data"]] == listed(house, four, "comments")
    assert listed(house, three, "events")[-1]["data"]["reason"] == "Again"


def test_one_that_is_refused_hurts_no_other(house: House) -> None:
    good = [house.ticket() for _ in range(3)]
    shut = close(house, house.ticket())
    answer = send(
        house,
        op("close", good[0]),
        op("close", shut),
        op("close", "ticket_nothing"),
        op("close", good[1], {"customer_satisfaction": 11, "colour": "red"}),
        op("update", good[1], {"priority": 2}, if_match='"7"'),
        op("update", good[1], {"assigned_to": "user_nobody"}),
        op("comment", good[2], {"body": "Hi"}),
        op("reopen", good[1]),
        op("update", shut, {"priority": 1}),
    )
    found = results(answer)
    assert [result["status"] for result in found] == [200, 409, 404, 422, 412, 422, 201, 409, 409]
    assert error(found[1], 409, "conflict", "ticket_already_closed")["closed_at"] == shut["closed_at"]
    assert found[2]["error"] == {"type": "not_found", "message": "Ticket not found", "code": "ticket_not_found"}
    wrong = error(found[3], 422, "validation_error", "invalid_parameters")["errors"]
    assert {entry["field"] for entry in wrong} == {"customer_satisfaction", "colour"}
    assert error(found[4], 412, "precondition_failed", "stale_ticket")["current"] == '"1"'
    assert error(found[5], 422, "validation_error", "invalid_parameters")["errors"][0]["field"] == "assigned_to"
    error(found[7], 409, "conflict", "ticket_not_closed")
    error(found[8], 409, "conflict", "ticket_closed")
    assert get(house, good[1]) == good[1]
    assert get(house, good[0])["status"] == "closed"


def test_operations_on_one_ticket_run_in_the_order_given(house: House) -> None:
    ticket, other = house.ticket(), house.ticket()
    number = ticket["number"]
    answer = send(
        house,
        op("comment", ticket, {"body": "1"}),
        op("close", number),
        op("close", other),
        op("close", ticket),
        op("reopen", number.lower()),
        op("update", ticket, {"tags": ["a"]}, if_match='"4"'),
        op("comment", number, {"body": "2"}),
        op("close", ticket, {"root_cause": "x"}),
    )
    assert statuses(answer) == [201, 200, 200, 409, 200, 200, 201, 200]
    kinds = [event["event_type"].removeprefix("ticket.") for event in listed(house, ticket, "events")]
    assert kinds == ["created", "commented", "closed", "reopened", "updated", "commented", "closed"]
    assert [comment["body"] for comment in listed(house, ticket, "comments")] == ["1", "2"]
    assert get(house, ticket) == results(answer)[-1]["data"]


def test_a_hundred_and_one_more(house: House) -> None:
    tickets = [house.ticket() for _ in range(10)]
    many = [op("comment", tickets[n % 10], {"body": str(n)}) for n in range(100)]
    answer = send(house, *many)
    assert [result["data"]["body"] for result in results(answer)] == [str(n) for n in range(100)]
    for n, ticket in enumerate(tickets):
        assert [one["body"] for one in listed(house, ticket, "comments")] == [str(k) for k in range(n, 100, 10)]
    before = stored(house)
    assert wrong_fields(send(house, *many, many[0])) == {"operations"}
    assert wrong_fields(send(house)) == {"operations"}
    assert stored(house) == before


ENVELOPES: list[tuple[Any, set[str]]] = [
    ({}, {"operations"}),
    ({"operations": None}, {"operations"}),
    ({"operations": {}}, {"operations"}),
    ({"operations": "close"}, {"operations"}),
    ({"operations": [], "more": 1}, {"operations", "more"}),
    ({"operations": [1]}, {"operations.0"}),
    ({"operations": [{}]}, {"operations.0.action", "operations.0.ticket_id"}),
    ({"operations": [op("close", "x")] * 3 + [op("delete", "x")]}, {"operations.3.action"}),
    ({"operations": [op("Close", "x")]}, {"operations.0.action"}),
    ({"operations": [op("close", "")]}, {"operations.0.ticket_id"}),
    ({"operations": [op("close", "x" * 65)]}, {"operations.0.ticket_id"}),
    ({"operations": [op("close", "a\x00")]}, {"operations.0.ticket_id"}),
    ({"operations": [op("close", "\ud800")]}, {"operations.0.ticket_id"}),
    ({"operations": [{"action": "close", "ticket_id": 1}]}, {"operations.0.ticket_id"}),
    ({"operations": [op("close", "x", [])]}, {"operations.0.params"}),
    ({"operations": [op("close", "x", "y")]}, {"operations.0.params"}),
    ({"operations": [op("close", "x", if_match=1)]}, {"operations.0.if_match"}),
    ({"operations": [op("close", "x", if_match="x" * 201)]}, {"operations.0.if_match"}),
    ({"operations": [op("close", "x", extra=1)]}, {"operations.0.extra"}),
]


@pytest.mark.parametrize(("body", "fields"), ENVELOPES, ids=[str(n) for n in range(len(ENVELOPES))])
def test_a_wrong_envelope_is_refused_as_a_whole(house: House, body: Any, fields: set[str]) -> None:
    ticket = house.ticket()
    if isinstance(body.get("operations"), list):
        body = {**body, "operations": [*body["operations"], op("close", ticket)] if body["operations"] else []}
    answer = house.client(house.cast.admin).post(PATH, content=raw(body), headers=JSON)
    assert wrong_fields(answer) == fields
    assert get(house, ticket) == ticket


def test_params_that_are_missing(house: House) -> None:
    tickets = [house.ticket() for _ in range(4)]
    answer = send(house, *(op(a, t) for a, t in zip(("close", "update", "comment", "reopen"), tickets, strict=True)))
    closed, updated, said, reopened = results(answer)
    assert closed["status"] == 200
    assert reopened["status"] == 409
    for result in (updated, said):
        wrong = error(result, 422, "validation_error", "invalid_parameters")["errors"]
        assert [(entry["field"], entry["code"]) for entry in wrong] == [("body", "missing")]


def test_the_body_has_the_usual_limit(house: House) -> None:
    ticket = house.ticket()
    content = raw({"operations": [op("close", ticket)]}).ljust(BODY_LIMIT)
    client = house.client(house.cast.admin)
    problem(client.post(PATH, content=content + " ", headers=JSON), 413, "invalid_request", "body_too_large")
    assert client.post(PATH, content=content, headers=JSON).status_code == 200


def test_who_may(house: House) -> None:
    ticket = house.ticket()
    forbidden(send(house, op("close", ticket), by=house.cast.reader), "tickets:write")
    problem(house.client(None).post(PATH, json={}), 401, "authentication_error", "missing_api_key")
    for stranger in (house.cast.stranger, house.cast.test_key):
        found = results(send(house, op("close", ticket), op("update", ticket["id"], {"tags": ["x"]}), by=stranger))
        for result in found:
            error(result, 404, "not_found", "ticket_not_found")
    assert get(house, ticket) == ticket


def test_it_counts_as_one_request(house: House) -> None:
    admin = house.client(house.cast.admin)
    client_ws = admin.post("/v1/workspaces", json={"name": "Limited"}).json()["data"]["id"]
    admin.patch(f"/v1/workspaces/{client_ws}", json={"minute_limit": 50})
    body = {"name": "all", "scopes": ["tickets:write"]}
    key = admin.post(f"/v1/workspaces/{client_ws}/keys", json=body).json()["data"]["key"]
    answer = send(house, *[op("close", "ticket_nothing")] * 30, by=key)
    assert answer.headers["x-ratelimit-remaining"] == "49"


def test_a_key_of_a_user_acts_as_that_user(house: House) -> None:
    ticket = house.ticket()
    assert statuses(send(house, op("close", ticket), by=house.cast.agent_key)) == [200]
    assert listed(house, ticket, "resolutions")[0]["closed_by"]["id"] == house.cast.agent_id


def test_duplicates_can_be_closed_together(house: House) -> None:
    """They all tell the original, in a transaction each, and wait for one another in no circle."""
    original, *tickets = [house.ticket() for _ in range(21)]
    answer = send(house, *(op("close", ticket, {"duplicate_of": original["number"]}) for ticket in tickets))
    assert statuses(answer) == [200] * 20
    assert len(listed(house, original, "links")) == len(listed(house, original, "comments")) == 20


def test_a_ring_of_duplicates_leaves_one_original(house: House) -> None:
    tickets = [house.ticket() for _ in range(8)]
    ring = [op("close", one, {"duplicate_of": tickets[n - 1]["id"]}) for n, one in enumerate(tickets)]
    assert sorted(statuses(send(house, *ring))) == [200] * 7 + [409]


def test_many_at_once_do_not_starve_the_pool(house: House) -> None:
    """More bulks than the pool has connections, half of them holding one for their key, and single calls beside."""
    tickets = [[house.ticket() for _ in range(6)] for _ in range(24)]

    def work(n: int) -> list[int]:
        with httpx.Client(base_url=house.url, headers={"Authorization": f"Bearer {house.cast.admin}"}) as client:
            headers = {"Idempotency-Key": f"starve {n}"} if n % 2 else {}
            body = {"operations": [op("close", ticket) for ticket in tickets[n]]}
            answer = client.post(PATH, json=body, headers=headers, timeout=60)
            assert client.get(f"/v1/tickets/{tickets[n][0]['id']}", timeout=60).json()["data"]["status"] == "closed"
            return statuses(answer)

    with ThreadPoolExecutor(24) as threads:
        assert list(threads.map(work, range(24))) == [[200] * 6] * 24


def test_two_bulks_race_for_the_same_tickets(house: House) -> None:
    tickets = [house.ticket() for _ in range(30)]
    start = threading.Barrier(2)

    def work(n: int) -> list[int]:
        with httpx.Client(base_url=house.url, headers={"Authorization": f"Bearer {house.cast.admin}"}) as client:
            start.wait()
            ours = tickets if n else tickets[::-1]
            return statuses(client.post(PATH, json={"operations": [op("close", one) for one in ours]}, timeout=60))

    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(work, range(2))
    assert [sorted(pair) for pair in zip(one[::-1], other, strict=True)] == [[200, 409]] * 30


def test_a_ticket_that_others_hold_is_busy_and_what_follows_on_it_waits(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, free = house.ticket(), house.ticket()
    with psycopg.connect(house.database_url) as conn:
        conn.execute("SELECT 1 FROM tickets WHERE id = %s FOR UPDATE", (held["id"],))
        with monkeypatch.context() as patch:
            patch.setattr(service, "ATTEMPTS", 1)
            execute = Tx.execute

            async def impatient(self: Tx, query: str, params: Any = None) -> int:
                await (await self.conn()).execute("SET lock_timeout = 50")
                try:
                    return await execute(self, query, params)
                finally:
                    if (await self.conn()).info.transaction_status.name != "INERROR":
                        await (await self.conn()).execute("SET lock_timeout = 8000")

            patch.setattr(Tx, "execute", impatient)
            key = {"Idempotency_Key": "busy"}
            answer = send(house, op("close", held), op("close", free), op("reopen", held), **key)
            busy, done, after = results(answer)
    error(busy, 409, "conflict", "ticket_busy")
    error(after, 409, "conflict", "ticket_busy")
    assert done["status"] == 200
    again = send(house, op("close", held), op("close", free), op("reopen", held), **key)
    assert statuses(again) == [200, 200, 200]
    assert results(again)[1] == done
    assert "idempotent-replayed" not in again.headers
    assert [len(listed(house, ticket, "resolutions")) for ticket in (held, free)] == [1, 1]


def twice_each(house: House, count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Tickets, more than are read at once, and operations on each of them, far apart."""
    tickets = [house.ticket() for _ in range(count)]
    first = [op("update", ticket, {"priority": 1}) for ticket in tickets]
    return tickets, [*first, *(op("close", ticket, {"root_cause": "user_error"}) for ticket in reversed(tickets))]


def test_tickets_are_read_in_pieces(house: House) -> None:
    tickets, operations = twice_each(house, 2 * lanes.READ_AT_ONCE + 5)
    found = results(send(house, *operations))
    assert {result["status"] for result in found} == {200}
    assert [result["data"]["id"] for result in found[len(tickets) :]] == [ticket["id"] for ticket in reversed(tickets)]
    for ticket in tickets:
        now = get(house, ticket)
        assert (now["status"], now["priority"], now["root_cause"]) == ("closed", 1, "user_error")


def test_called_by_id_and_by_number_it_is_one_ticket(house: House) -> None:
    tickets, operations = twice_each(house, lanes.READ_AT_ONCE + 5)
    for operation, ticket in zip(operations, tickets, strict=False):
        operation["ticket_id"] = ticket["number"]
    assert {result["status"] for result in results(send(house, *operations))} == {200}
    assert {get(house, ticket)["priority"] for ticket in tickets} == {1}


def test_a_piece_that_cannot_be_read_at_once_is_read_one_by_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    tickets, operations = twice_each(house, lanes.READ_AT_ONCE + 5)
    several, calls = store.several, []

    async def tired(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 2:
            raise psycopg.errors.QueryCanceled
        return await several(*given)

    monkeypatch.setattr(store, "several", tired)
    assert {result["status"] for result in results(send(house, *operations))} == {200}
    assert len(calls) == 2
    assert {get(house, ticket)["status"] for ticket in tickets} == {"closed"}


def test_a_fault_of_ours_is_one_result(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = house.ticket(), house.ticket(), house.ticket()
    real = service.close

    async def crash(tx: Tx, actor: Any, ticket: Any, *rest: Any) -> Any:
        if ticket.id == two["id"]:
            raise RuntimeError("secret")
        return await real(tx, actor, ticket, *rest)

    monkeypatch.setattr(service, "close", crash)
    answer = send(house, *(op("close", ticket) for ticket in (one, two, three)))
    assert statuses(answer) == [200, 500, 200]
    assert error(results(answer)[1], 500, "api_error", "internal_error")["request_id"] == answer.headers["x-request-id"]
    assert "secret" not in answer.text


# Idempotency-Key


def counted(house: House, key: str) -> int:
    query = "SELECT count(*) FROM idempotent_parts WHERE idempotency_key = %s"
    return int(house.sql(query, (key,))[0][0])


def test_sent_again_it_is_answered_again_and_done_once(house: House) -> None:
    one, two = house.ticket(), house.ticket()
    operations = [
        op("close", one), op("close", one), op("comment", two, {"body": "Once"}), op("close", "ticket_nothing"),
        op("close", two, {"x": 1}), op("update", two, {"priority": 1}, if_match='"99"'),
    ]  # fmt: skip
    first = send(house, *operations, Idempotency_Key="again")
    assert statuses(first) == [200, 409, 201, 404, 422, 412]
    assert "idempotent-replayed" not in first.headers
    before = stored(house)
    house.clock.advance(minutes=5)
    again = send(house, *operations, Idempotency_Key="again")
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content
    assert stored(house) == before
    assert counted(house, "again") == 5


def test_another_request_with_the_key_is_refused(house: House) -> None:
    one, two = house.ticket(), house.ticket()
    assert statuses(send(house, op("close", one), Idempotency_Key="other")) == [200]
    for operations in ([op("close", two)], [op("close", one), op("close", two)], [op("close", one, {})]):
        answer = send(house, *operations, Idempotency_Key="other")
        problem(answer, 422, "validation_error", "idempotency_key_reused")
    path = f"/v1/tickets/{two['id']}/close"
    answer = house.client(house.cast.admin).put(path, headers={"Idempotency-Key": "other"})
    problem(answer, 422, "validation_error", "idempotency_key_reused")
    assert get(house, two) == two


def half_done(house: House, monkeypatch: pytest.MonkeyPatch, key: str) -> list[dict[str, Any]]:
    """Six closes with this key, of which some were done when the database went away; their operations."""
    operations = [op("close", house.ticket()) for _ in range(6)]
    real, calls = service.close, []

    async def fails(tx: Tx, *rest: Any) -> Any:
        calls.append(1)
        if len(calls) > 3:
            raise psycopg.OperationalError("the connection is lost")
        return await real(tx, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(service, "close", fails)
        patch.setattr(lanes, "LANES", 1)
        answer = send(house, *operations, Idempotency_Key=key)
    refusal = problem(answer, 503, "api_error", "database_unavailable")
    assert answer.headers["retry-after"] == str(refusal["retry_after"])
    assert counted(house, key) == 3
    return operations


def test_a_retry_does_what_is_missing_and_repeats_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    operations = half_done(house, monkeypatch, "half")
    house.clock.advance(hours=1)
    again = send(house, *operations, Idempotency_Key="half")
    found = results(again)
    assert [result["status"] for result in found] == [200] * 6
    assert "idempotent-replayed" not in again.headers
    assert len({result["data"]["closed_at"] for result in found}) == 2
    for operation in operations:
        assert len(listed(house, {"id": operation["ticket_id"]}, "resolutions")) == 1
    third = send(house, *operations, Idempotency_Key="half")
    assert third.headers["idempotent-replayed"] == "true"
    assert third.content == again.content


def test_the_key_of_a_half_done_request_is_taken(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    operations = half_done(house, monkeypatch, "half taken")
    answer = send(house, *operations[:5], Idempotency_Key="half taken")
    problem(answer, 422, "validation_error", "idempotency_key_reused")


def test_without_a_key_what_was_not_done_says_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    tickets = [house.ticket() for _ in range(5)]
    real, calls = service.close, []

    async def fails(tx: Tx, *rest: Any) -> Any:
        calls.append(1)
        if len(calls) > 2:
            raise psycopg.OperationalError("the connection is lost")
        return await real(tx, *rest)

    monkeypatch.setattr(service, "close", fails)
    monkeypatch.setattr(lanes, "LANES", 1)
    answer = send(house, *(op("close", ticket) for ticket in tickets))
    assert statuses(answer) == [200, 200, 503, 503, 503]
    assert len(calls) == 3, "after the first failure none is tried"
    error(results(answer)[4], 503, "api_error", "database_unavailable")


def test_it_ends_when_its_time_is_over(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    tickets = [house.ticket() for _ in range(3)]
    monkeypatch.setattr(lanes, "PATIENCE", -1)
    answer = send(house, *(op("close", ticket) for ticket in tickets))
    for result in results(answer):
        error(result, 503, "api_error", "database_busy")
    keyed = send(house, *(op("close", ticket) for ticket in tickets), Idempotency_Key="slow")
    problem(keyed, 503, "api_error", "database_busy")
    monkeypatch.undo()
    assert statuses(send(house, *(op("close", ticket) for ticket in tickets), Idempotency_Key="slow")) == [200] * 3


def test_while_the_first_runs_a_second_is_409(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    tickets = [house.ticket() for _ in range(3)]
    operations = [op("close", ticket) for ticket in tickets]
    begun, go_on, real = threading.Event(), threading.Event(), service.close

    async def slow(*args: Any, **more: Any) -> Any:
        begun.set()
        while not go_on.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.01)
        return await real(*args, **more)

    monkeypatch.setattr(service, "close", slow)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(send, house, *operations, Idempotency_Key="at once")
        try:
            assert begun.wait(10)
            second = send(house, *operations, Idempotency_Key="at once")
            problem(second, 409, "conflict", "idempotency_key_in_use")
        finally:
            go_on.set()
        assert statuses(first.result(10)) == [200] * 3
    again = send(house, *operations, Idempotency_Key="at once")
    assert again.headers["idempotent-replayed"] == "true"


def test_a_part_that_is_kept_is_never_done_twice_whoever_runs(house: House) -> None:
    """Should the lock of the key be lost, the row of the part still lets only one through."""
    ticket = house.ticket()
    assert statuses(send(house, op("comment", ticket, {"body": "Once"}), Idempotency_Key="row")) == [201]
    row = house.sql("SELECT workspace_id, key_id, body FROM idempotent_parts WHERE idempotency_key = 'row'")[0]
    house.sql("DELETE FROM idempotent_parts WHERE idempotency_key = 'row'")
    with psycopg.connect(house.database_url) as other:
        other.execute("INSERT INTO idempotent_parts VALUES (%s, %s, 'row', 0, %s)", row)
        with ThreadPoolExecutor(1) as threads:
            mine = threads.submit(send, house, op("comment", ticket, {"body": "Once"}), Idempotency_Key="row")
            with pytest.raises(TimeoutError):
                mine.result(0.5)
            other.commit()
            (result,) = results(mine.result(10))
    error(result, 409, "conflict", "idempotency_key_in_use")
    assert len(listed(house, ticket, "comments")) == 1
    again = send(house, op("comment", ticket, {"body": "Once"}), Idempotency_Key="row")
    assert again.headers["idempotent-replayed"] == "true"


def test_after_a_day_the_key_is_free_again(house: House) -> None:
    ticket = house.ticket()
    said = op("comment", ticket, {"body": "Daily"})
    assert statuses(send(house, said, Idempotency_Key="daily")) == [201]
    house.clock.advance(hours=24)
    assert statuses(send(house, said, said, Idempotency_Key="daily")) == [201, 201]
    assert len(listed(house, ticket, "comments")) == 3
    house.clock.advance(hours=24)
    assert (
        house.client(house.cast.admin)
        .post("/v1/contacts", json={"name": "Daily"}, headers={"Idempotency-Key": "daily"})
        .is_success
    )


def test_what_is_purged_takes_its_parts_along(house: House) -> None:
    assert statuses(send(house, op("close", house.ticket()), Idempotency_Key="purged")) == [200]
    now = house.clock.advance(hours=24)

    async def purge() -> None:
        async with make_pool(house.database_url, 2) as pool:
            await idempotency.purge(pool, now)

    assert counted(house, "purged") == 1
    asyncio.run(purge())
    assert counted(house, "purged") == 0


def test_a_key_of_the_wrong_form_is_refused(house: House) -> None:
    assert wrong_fields(send(house, op("close", "x"), Idempotency_Key="x" * 256)) == {"Idempotency-Key"}
