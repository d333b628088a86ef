"""Random operations, sent one by one and in bulk to twins of the same tickets: the same answers, the same end."""

import json
import re
from typing import Any

import httpx
from conftest import House
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

ORIGINAL = "the original"
SAM = "contact_sam_taylor"
MINTED = re.compile(r"\b(ticket|comment|evt|res)_[0-9a-z]{26}\b")
STATES = ("new", "waiting_on_customer", "resolved", "closed", "closed long ago", "duplicate")
METHODS = {"close": "PUT", "reopen": "PUT", "update": "PATCH", "comment": "POST"}
PATHS = {"close": "/close", "reopen": "/reopen", "update": "", "comment": "/comments"}

SOMEBODY = st.sampled_from([None, "user_jane_smith", "user_bob_jones", "user_nobody"])
PARAMS: dict[str, st.SearchStrategy[Any]] = {
    "close": st.fixed_dictionaries(
        {},
        optional={
            "resolution_note": st.sampled_from(["Done", "", None, 1]),
            "customer_satisfaction": st.sampled_from([1, 10, 11, "9", None]),
            "root_cause": st.just("late"),
            "duplicate_of": st.sampled_from([None, "ticket_nothing", ORIGINAL, ORIGINAL]),
            "colour": st.just("red"),
        },
    ),
    "reopen": st.fixed_dictionaries({}, optional={"reason": st.sampled_from(["Again", "", None])}),
    "update": st.fixed_dictionaries(
        {},
        optional={
            "subject": st.sampled_from(["Other", None]),
            "priority": st.sampled_from([1, 4, 5]),
            "status": st.sampled_from(["open", "waiting_on_customer", "resolved", "closed", "reopened", "new", "x"]),
            "assigned_to": SOMEBODY,
            "tags": st.sampled_from([["a"], [], None, [1]]),
            "custom_fields": st.sampled_from([{"x": 1}, {"x": None}, {"y": [True]}, 1]),
            "internal_note": st.just("Noted"),
        },
    ),
    "comment": st.fixed_dictionaries(
        {},
        optional={
            "body": st.sampled_from(["Said", "Said", "Said", ""]),
            "visibility": st.sampled_from(["public", "internal"]),
            "contact_id": st.sampled_from([SAM, SAM, "contact_nobody"]),
            "user_id": SOMEBODY,
        },
    ),
}
IF_MATCH = st.sampled_from([None, None, None, "*", '"1"', '"2"', '"3"', '"1", "4"', "nonsense"])
STEP = st.sampled_from(sorted(PARAMS)).flatmap(
    lambda action: st.tuples(st.just(action), st.integers(0, 5), st.none() | PARAMS[action], IF_MATCH)
)
PROGRAM = st.lists(STEP, min_size=1, max_size=12)
ALL_STATES = [("comment", n, {"body": "Said", "contact_id": SAM}, None) for n in range(6)]


def twins(house: House) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Two sets of tickets, one in each state; each set has an original for its duplicate."""
    client = house.client(house.cast.admin)

    def put(ticket: dict[str, Any], path: str, body: dict[str, Any]) -> None:
        method = "PATCH" if not path else "PUT"
        assert client.request(method, f"/v1/tickets/{ticket['id']}{path}", json=body).status_code == 200

    made = [[house.ticket(contact_id=SAM) for _ in STATES] for _ in range(2)]
    for tickets in made:
        put(tickets[4], "/close", {})
    house.clock.advance(days=20)
    for tickets in made:
        original = house.ticket()
        put(tickets[1], "", {"status": "waiting_on_customer"})
        put(tickets[2], "", {"status": "resolved"})
        put(tickets[3], "/close", {})
        put(tickets[5], "/close", {"duplicate_of": original["id"]})
        tickets.append(original)
    return made[0], made[1]


def plain(value: Any, tickets: list[dict[str, Any]]) -> Any:
    """A value without what differs from twin to twin: ids and numbers."""
    told = json.dumps(value)
    for n, ticket in enumerate(tickets):
        told = re.sub(rf"\b({ticket['id']}|{ticket['number']})\b", f"<{n}>", told)
    return json.loads(re.sub(r"TICK-\d+", "TICK", MINTED.sub(r"\1", told)))


def meant(params: dict[str, Any] | None, tickets: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Parameters for these tickets."""
    told = params or {}
    return {**told, "duplicate_of": tickets[-1]["id"]} if told.get("duplicate_of") == ORIGINAL else params


def one_by_one(house: House, tickets: list[dict[str, Any]], program: list[Any]) -> list[Any]:
    client, found = house.client(house.cast.admin), []
    for action, which, params, if_match in program:
        path = f"/v1/tickets/{tickets[which]['id']}{PATHS[action]}"
        params = meant(params, tickets)
        headers = {} if if_match is None else {"If-Match": if_match}
        answer = client.request(METHODS[action], path, json=params, headers=headers)
        found.append({"status": answer.status_code, **answer.json(), **etag_of(answer)})
    return found


def etag_of(answer: httpx.Response) -> dict[str, str]:
    return {"etag": answer.headers["etag"]} if "etag" in answer.headers else {}


def in_bulk(house: House, tickets: list[dict[str, Any]], program: list[Any]) -> list[Any]:
    operations = [
        {"action": action, "ticket_id": tickets[which]["id"], "params": meant(params, tickets), "if_match": if_match}
        for action, which, params, if_match in program
    ]
    answer = house.client(house.cast.admin).post("/v1/tickets/bulk", json={"operations": operations})
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["data"]
    return found


def end(house: House, tickets: list[dict[str, Any]]) -> list[Any]:
    """The tickets and all that hangs on them."""
    client, found = house.client(house.cast.admin), []
    for ticket in tickets:
        path = f"/v1/tickets/{ticket['id']}"
        found.append(client.get(path).json()["data"])
        for what in ("events", "comments", "resolutions", "links"):
            found.append(client.get(f"{path}/{what}", params={"per_page": 100}).json())
    return found


def at_the_end(house: House, tickets: list[dict[str, Any]]) -> list[Any]:
    """The same, comparable: operations on several tickets run at one time, and come to their original in any order."""
    *own, events, comments, resolutions, links = plain(end(house, tickets), tickets)
    for page in (events, comments, links):
        page["data"].sort(key=json.dumps)
    return [*own, events, comments, resolutions, links]


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(program=PROGRAM)
@example(program=ALL_STATES)
@example(
    program=[
        ("close", 0, {"duplicate_of": ORIGINAL}, None),
        ("close", 1, {"duplicate_of": ORIGINAL}, None),
        *ALL_STATES,
    ]
)
def test_bulk_is_the_single_calls(house: House, program: list[Any]) -> None:
    ours, theirs = twins(house)
    singly = plain(one_by_one(house, ours, program), ours)
    together = plain(in_bulk(house, theirs, program), theirs)
    for step, one, other in zip(program, singly, together, strict=True):
        assert one == other, step
    assert at_the_end(house, ours) == at_the_end(house, theirs)
