"""Random programs of calls by several keys, against a model of the contract in memory: every answer agrees.

The model knows two workspaces, their tickets and people. Each call is played on the model first, which says the
status, the error code and what it knows of the answer; then it is sent. It was written from the contract, not the code.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any, NamedTuple

import httpx
from conftest import House
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

WINDOW = timedelta(days=14)
ALWAYS = {"tags", "custom_fields", "internal_note"}
CLEARED = ("resolution_note", "customer_satisfaction", "resolution_time", "root_cause")
FREE = {"open", "in_progress", "waiting_on_customer", "waiting_on_third_party", "resolved", "closed"}
PLAIN = {"subject", "priority", "category", "tags", "custom_fields"}
WHO = ("one", "one_reader", "two")
_serial = count()


class Said(NamedTuple):
    """What the model expects of an answer: the status, the error's code, and the ticket that it shows."""

    status: int
    code: str | None = None
    ticket: "Ticket | None" = None


@dataclass
class Ticket:
    """What the model knows of a ticket."""

    room: "Room"
    seen: dict[str, Any]
    id: str = ""
    number: str = ""
    events: int = 1
    resolutions: int = 0
    comments: list[str] = field(default_factory=list)
    tags_of_version: list[str] = field(default_factory=list)
    """Every ETag that the ticket has had, the newest last."""


@dataclass
class Room:
    """A workspace of the model."""

    name: str
    users: dict[str, bool]
    contact: str
    tickets: list[Ticket] = field(default_factory=list)


@dataclass
class World:
    """Model and server side by side."""

    house: House
    rooms: dict[str, Room]
    keys: dict[str, str]
    tickets: list[Ticket] = field(default_factory=list)

    def client(self, who: str) -> httpx.Client:
        return self.house.client(self.keys[who])

    def room(self, who: str) -> Room:
        return self.rooms[who.removesuffix("_reader")]

    def now(self) -> datetime:
        return self.house.clock()


def new_world(house: House) -> World:
    admin = house.client(house.cast.admin)
    rooms, keys = {}, {}
    scopes = ["tickets:read", "tickets:write", "contacts:write", "users:write"]
    for name in ("one", "two"):
        ws = admin.post("/v1/workspaces", json={"name": f"Model {next(_serial)}"}).json()["data"]["id"]
        path = f"/v1/workspaces/{ws}/keys"
        keys[name] = admin.post(path, json={"name": "all", "scopes": scopes}).json()["data"]["key"]
        client = house.client(keys[name])
        users = {f"user_{name}_{n}": True for n in range(2)}
        for user in users:
            body = {"id": user, "name": user, "email": f"{user}@example.com"}
            assert client.post("/v1/users", json=body).status_code == 201
        contact = f"contact_{name}"
        client.post("/v1/contacts", json={"id": contact, "name": name})
        rooms[name] = Room(name, users, contact)
        if name == "one":
            body = {"name": "reader", "scopes": ["tickets:read"]}
            keys["one_reader"] = admin.post(path, json=body).json()["data"]["key"]
    return World(house, rooms, keys)


# The contract, as a model


def can_write(who: str) -> bool:
    return not who.endswith("_reader")


def wrong_people(room: Room, body: dict[str, Any]) -> bool:
    who = body.get("assigned_to")
    return who is not None and not room.users.get(who, False)


def create(world: World, who: str, body: dict[str, Any]) -> Said:
    room = world.room(who)
    if not can_write(who):
        return Said(403, "insufficient_scope")
    if wrong_people(room, body):
        return Said(422, "invalid_parameters")
    seen = {"subject": "S", "priority": 3, "status": "new", "category": None, "assigned_to": None, "tags": [],
            "custom_fields": {}, "contact_id": None, "reopen_count": 0, "closed_at": None, **dict.fromkeys(CLEARED),
            **body}  # fmt: skip
    if seen["assigned_to"] and seen["status"] == "new":
        seen["status"] = "open"
    ticket = Ticket(room, seen, events=1 + bool(seen["assigned_to"]))
    return Said(201, None, ticket)


def forbidden_or_missing(who: str, ticket: Ticket | None, world: World, writes: bool) -> Said | None:
    if writes and not can_write(who):
        return Said(403, "insufficient_scope")
    if ticket is None or ticket.room is not world.room(who):
        return Said(404, "ticket_not_found")
    return None


def close(world: World, ticket: Ticket, body: dict[str, Any]) -> Said:
    if ticket.seen["status"] == "closed":
        return Said(409, "ticket_already_closed")
    note = dict.fromkeys(CLEARED) | body
    ticket.seen |= {**note, "status": "closed", "closed_at": world.now()}
    ticket.events += 1
    ticket.resolutions += 1
    return Said(200, None, ticket)


def reopen(world: World, ticket: Ticket) -> Said:
    if ticket.seen["status"] not in {"closed", "resolved"}:
        return Said(409, "ticket_not_closed")
    ticket.seen |= {**dict.fromkeys(CLEARED), "status": "reopened", "closed_at": None}
    ticket.seen["reopen_count"] += 1
    ticket.events += 1
    return Said(200, None, ticket)


def refused(ticket: Ticket, body: dict[str, Any]) -> Said | None:
    """What a change may not be, looked at before anything is changed."""
    old, new = ticket.seen["status"], body.get("status")
    if old == "closed":
        allowed = ALWAYS | ({"status"} if new in {"closed", "reopened"} else set())
        if set(body) - allowed:
            return Said(409, "ticket_closed")
        return Said(409, "ticket_already_closed") if new == "closed" else None
    if new in {None, old}:
        return None
    if new == "reopened":
        return None if old == "resolved" else Said(409, "ticket_not_closed")
    return None if new in FREE else Said(409, "invalid_transition")


def change(world: World, ticket: Ticket, body: dict[str, Any]) -> Said:
    if said := refused(ticket, body):
        return said
    before, status = dict(ticket.seen), body.get("status", ticket.seen["status"])
    given = {name: value for name, value in body.items() if name not in {"status", "internal_note"}}
    if "custom_fields" in given:
        merged = {**ticket.seen["custom_fields"], **given["custom_fields"]}
        given["custom_fields"] = {name: value for name, value in merged.items() if value is not None}
    ticket.seen |= given
    if "internal_note" in body:
        ticket.comments.append("internal")
        ticket.events += 1
    ticket.events += any(ticket.seen[name] != before[name] for name in PLAIN)
    assigned = ticket.seen["assigned_to"] != before["assigned_to"]
    ticket.events += assigned
    if assigned and ticket.seen["assigned_to"] and before["status"] == "new" == status:
        status = "open"
    if status != before["status"]:
        return move(world, ticket, status)
    return Said(200, None, ticket)


def move(world: World, ticket: Ticket, status: str) -> Said:
    if status == "closed":
        return close(world, ticket, {})
    if status == "reopened":
        return reopen(world, ticket)
    ticket.seen["status"] = status
    ticket.events += 1
    return Said(200, None, ticket)


def comment(world: World, who: str, ticket: Ticket, body: dict[str, Any]) -> Said:
    """A comment's answer shows no ticket: `Said.ticket` is the one that it stands on."""
    status, target = ticket.seen["status"], ticket
    if "contact_id" in body:
        late = status == "closed" and world.now() - ticket.seen["closed_at"] > WINDOW
        if late:
            target = follow_up(ticket, body["contact_id"])
        elif status in {"closed", "resolved"}:
            reopen(world, ticket)
        elif status == "waiting_on_customer":
            move(world, ticket, "open")
    target.comments.append(body.get("visibility", "public"))
    target.events += 1
    return Said(201, None, target)


def follow_up(closed: Ticket, contact: str) -> Ticket:
    kept = {name: closed.seen[name] for name in ("subject", "priority", "category", "tags")}
    seen = {**closed.seen, **dict.fromkeys(CLEARED), **kept, "status": "new", "assigned_to": None,
            "custom_fields": {}, "reopen_count": 0, "closed_at": None,
            "contact_id": closed.seen["contact_id"] or contact}  # fmt: skip
    return Ticket(closed.room, seen)


def matching(world: World, who: str, query: dict[str, str]) -> set[str]:
    def meets(ticket: Ticket, name: str, value: str) -> bool:
        if name == "tags":
            return set(value.split(",")) <= set(ticket.seen["tags"])
        if name == "search":
            return value in ticket.seen["subject"].lower().split()
        return str(ticket.seen[name] or "none") in value.split(",")

    mine = world.room(who).tickets
    return {ticket.id for ticket in mine if all(meets(ticket, *condition) for condition in query.items())}


# Programs

USERS = st.sampled_from([None, "user_one_0", "user_one_1", "user_one_0", "user_two_0", "user_nobody"])
TAGS = st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=2)
STATUS = st.sampled_from([*sorted(FREE), "new", "reopened"])
CREATED = st.fixed_dictionaries(
    {},
    optional={
        "subject": st.sampled_from(["Red apple", "Green apple", "Red pear"]),
        "priority": st.integers(1, 4),
        "category": st.sampled_from([None, "fruit", "tree"]),
        "assigned_to": USERS,
        "tags": TAGS,
        "custom_fields": st.dictionaries(st.sampled_from("xy"), st.sampled_from([1, True, "1"])),
    },
)
CHANGED = st.fixed_dictionaries(
    {},
    optional={
        "subject": st.sampled_from(["Red apple", "Blue plum"]),
        "priority": st.integers(1, 4),
        "category": st.sampled_from([None, "fruit", "tree"]),
        "assigned_to": USERS,
        "status": STATUS,
        "tags": TAGS,
        "custom_fields": st.dictionaries(st.sampled_from("xyz"), st.sampled_from([None, 1, "2"])),
        "internal_note": st.just("Noted"),
    },
)
CLOSING = st.fixed_dictionaries(
    {}, optional={"resolution_note": st.just("Done"), "customer_satisfaction": st.integers(1, 10)}
)
QUERY = st.fixed_dictionaries(
    {},
    optional={
        "status": st.lists(STATUS, min_size=1, max_size=3, unique=True).map(",".join),
        "priority": st.sampled_from(["1", "2,3", "4"]),
        "category": st.sampled_from(["fruit", "fruit,tree"]),
        "assigned_to": st.sampled_from(["none", "user_one_0", "none,user_two_0"]),
        "tags": st.sampled_from(["a", "a,b"]),
        "search": st.sampled_from(["red", "apple", "plum"]),
    },
)
WHICH, IF_MATCH = st.integers(0, 40), st.sampled_from([None, None, "current", "old", "any"])
BY = st.sampled_from(["key", "key", "contact", "contact", "contact", "user_one_0", "user_two_0", "user_nobody"])
CALLER = st.sampled_from(["one", "one", "one", "two", "one_reader"])
STEP = st.one_of(
    st.tuples(st.just("create"), CALLER, CREATED),
    st.tuples(st.just("change"), CALLER, WHICH, CHANGED, IF_MATCH),
    st.tuples(st.just("change"), CALLER, WHICH, CHANGED, IF_MATCH),
    st.tuples(st.just("close"), CALLER, WHICH, CLOSING, IF_MATCH),
    st.tuples(st.just("reopen"), CALLER, WHICH, IF_MATCH),
    st.tuples(st.just("comment"), CALLER, WHICH, BY, st.sampled_from(["public", "internal"])),
    st.tuples(st.just("read"), CALLER, WHICH),
    st.tuples(st.just("search"), CALLER, QUERY),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 24 * 15])),
    st.tuples(st.just("employ"), st.sampled_from(["user_one_0", "user_two_0"]), st.booleans()),
)


class Player:
    """Plays a program on the model and on the server; `check` compares what they say."""

    def __init__(self, world: World) -> None:
        self.world = world

    def play(self, step: tuple[Any, ...]) -> None:
        getattr(self, step[0])(*step[1:])

    def pick(self, who: str, which: int) -> Ticket | None:
        """Mostly a ticket of one's own, sometimes anybody's, seldom none."""
        if which >= 39:
            return None
        tickets = self.world.tickets if which >= 32 else self.world.room(who).tickets
        return tickets[which % len(tickets)]

    def path(self, ticket: Ticket | None, which: int = 0) -> str:
        if ticket is None:
            return "/v1/tickets/ticket_nothing"
        return f"/v1/tickets/{ticket.id}"

    def create(self, who: str, body: dict[str, Any]) -> None:
        said = create(self.world, who, body)
        answer = self.world.client(who).post("/v1/tickets", json={"subject": "S", "description": "D", **body})
        if said.ticket is not None and answer.status_code == 201:
            self.adopt(said.ticket, answer.json()["data"])
        self.check(answer, said)

    def adopt(self, ticket: Ticket, shown: dict[str, Any]) -> None:
        ticket.id, ticket.number = shown["id"], shown["number"]
        ticket.room.tickets.append(ticket)
        self.world.tickets.append(ticket)

    def write(
        self, who: str, ticket: Ticket | None, call: Callable[[Ticket], Said], send: Callable[..., httpx.Response],
        if_match: str | None,
    ) -> None:  # fmt: skip
        """A write on a ticket: 403, 404 and 412 are the same for all of them."""
        said = forbidden_or_missing(who, ticket, self.world, writes=True)
        headers = self.condition(ticket, if_match)
        if said is None and ticket is not None:
            stale = if_match == "old" and len(ticket.tags_of_version) > 1
            before = ticket.events
            said = Said(412, "stale_ticket") if stale else call(ticket)
            self.check(send(headers=headers), said, changed=ticket.events != before)
        else:
            assert said is not None
            self.check(send(headers=headers), said)

    def condition(self, ticket: Ticket | None, if_match: str | None) -> dict[str, str]:
        if ticket is None or if_match is None:
            return {}
        named = {"current": ticket.tags_of_version[-1], "old": ticket.tags_of_version[0], "any": "*"}
        return {"If-Match": named[if_match]}

    def change(self, who: str, which: int, body: dict[str, Any], if_match: str | None) -> None:
        ticket = self.pick(who, which)

        def send(headers: dict[str, str]) -> httpx.Response:
            return self.world.client(who).patch(self.path(ticket), json=body, headers=headers)

        if can_write(who) and wrong_people(self.world.room(who), body):
            self.check(send({}), Said(422, "invalid_parameters"))
            return
        self.write(who, ticket, lambda found: change(self.world, found, body), send, if_match)

    def close(self, who: str, which: int, body: dict[str, Any], if_match: str | None) -> None:
        ticket = self.pick(who, which)

        def send(headers: dict[str, str]) -> httpx.Response:
            return self.world.client(who).put(f"{self.path(ticket)}/close", json=body, headers=headers)

        self.write(who, ticket, lambda found: close(self.world, found, body), send, if_match)

    def reopen(self, who: str, which: int, if_match: str | None) -> None:
        ticket = self.pick(who, which)

        def send(headers: dict[str, str]) -> httpx.Response:
            return self.world.client(who).put(f"{self.path(ticket)}/reopen", headers=headers)

        self.write(who, ticket, lambda found: reopen(self.world, found), send, if_match)

    def comment(self, who: str, which: int, by: str, visibility: str) -> None:
        world, ticket = self.world, self.pick(who, which)
        room = world.room(who)
        body: dict[str, Any] = {"body": "Said", "visibility": visibility}
        if by == "contact":
            body["contact_id"] = room.contact
        elif by != "key":
            body["user_id"] = by
        said = forbidden_or_missing(who, ticket, world, writes=True)
        wrong = (by == "contact" and visibility == "internal") or ("user_id" in body and not room.users.get(by))
        if can_write(who) and wrong:
            said = Said(422, "invalid_parameters")
        if said is None and ticket is not None:
            said = comment(world, who, ticket, body)
        answer = world.client(who).post(f"{self.path(ticket)}/comments", json=body)
        assert said is not None
        if said.ticket is not None and answer.status_code == 201:
            shown = answer.json()["data"]
            if said.ticket is not ticket:
                new = world.client(who).get(f"/v1/tickets/{shown['ticket_id']}").json()["data"]
                assert ticket is not None
                assert new["follow_up_of"] == ticket.id
                self.adopt(said.ticket, new)
            assert shown["ticket_id"] == said.ticket.id
            self.look(who, said.ticket)
        self.check(answer, Said(said.status, said.code))

    def read(self, who: str, which: int) -> None:
        ticket = self.pick(who, which)
        said = forbidden_or_missing(who, ticket, self.world, writes=False) or Said(200, None, ticket)
        self.check(self.world.client(who).get(self.path(ticket)), said)
        if said.ticket is not None:
            self.look(who, said.ticket)

    def look(self, who: str, ticket: Ticket) -> None:
        """The ticket by its number, and everything that hangs on it."""
        client = self.world.client(who)
        answer = client.get(f"/v1/tickets/{ticket.number}")
        self.check(answer, Said(200, None, ticket), changed=None)
        if answer.headers["etag"] not in ticket.tags_of_version:
            ticket.tags_of_version.append(answer.headers["etag"])
        lists = {
            what: client.get(f"/v1/tickets/{ticket.id}/{what}", params={"per_page": 100}).json()
            for what in ("events", "resolutions", "comments")
        }
        told = [event for event in lists["events"]["data"] if not event["event_type"].startswith("ticket.sla_")]
        assert len(told) == ticket.events, [event["event_type"] for event in told]
        assert lists["resolutions"]["meta"]["total"] == ticket.resolutions
        assert [found["visibility"] for found in lists["comments"]["data"]] == ticket.comments

    def search(self, who: str, query: dict[str, str]) -> None:
        found = self.world.client(who).get("/v1/tickets", params={**query, "per_page": 100}).json()
        assert {item["id"] for item in found["data"]} == matching(self.world, who, query)
        assert found["meta"]["total"] == len(found["data"])

    def wait(self, hours: float) -> None:
        self.world.house.clock.advance(hours=hours)

    def employ(self, user: str, active: bool) -> None:
        name = user.split("_")[1]
        self.world.rooms[name].users[user] = active
        answer = self.world.client(name).patch(f"/v1/users/{user}", json={"active": active})
        assert answer.status_code == 200

    def check(self, answer: httpx.Response, said: Said, changed: bool | None = True) -> None:
        """The server says what the model said."""
        told = f"{answer.request.method} {answer.request.url.path} {answer.request.content!r}: {answer.text[:600]}"
        assert answer.status_code == said.status, (said, told)
        if said.code is not None:
            assert answer.json()["error"]["code"] == said.code, told
        if said.ticket is not None:
            self.check_ticket(answer, said.ticket, changed, told)

    def check_ticket(self, answer: httpx.Response, ticket: Ticket, changed: bool | None, told: str) -> None:
        shown = answer.json()["data"]
        closed = ticket.seen["closed_at"]
        expected = {**ticket.seen, "closed_at": closed and f"{closed:%Y-%m-%dT%H:%M:%SZ}", "id": ticket.id}
        assert {name: shown[name] for name in expected} == expected, told
        assert (shown["resolved_at"] is not None) == (shown["status"] in {"resolved", "closed"}), told
        etag = answer.headers["etag"]
        if answer.request.method != "GET" and changed is not None:
            assert (etag not in ticket.tags_of_version) is changed, told
        if etag not in ticket.tags_of_version:
            ticket.tags_of_version.append(etag)


EXAMPLES = 30
A_LIFE: list[tuple[Any, ...]] = [
    ("change", "one", 0, {"assigned_to": "user_one_0"}, None),
    ("change", "one", 0, {"assigned_to": None, "status": "waiting_on_customer"}, "current"),
    ("comment", "one", 0, "contact", "public"),
    ("change", "one", 0, {"status": "resolved", "internal_note": "Noted"}, "any"),
    ("comment", "one", 0, "user_one_1", "public"),
    ("comment", "one", 0, "contact", "public"),
    ("close", "one", 0, {"customer_satisfaction": 9}, None),
    ("comment", "one", 0, "contact", "public"),
    ("change", "one", 0, {"status": "closed", "priority": 1}, "old"),
    ("change", "one", 0, {"status": "closed", "priority": 1}, None),
    ("change", "one", 0, {"status": "closed", "tags": ["a"]}, None),
    ("change", "one", 0, {"tags": ["a"], "custom_fields": {"x": 1}}, None),
    ("wait", 24 * 15),
    ("comment", "one", 0, "key", "internal"),
    ("comment", "one", 0, "contact", "public"),
    ("change", "one", 0, {"status": "reopened"}, None),
    ("employ", "user_one_0", False),
    ("change", "one", 1, {"assigned_to": "user_one_0"}, None),
    ("change", "two", 32, {"priority": 1}, None),
    ("close", "one_reader", 1, {}, None),
    ("search", "one_reader", {"status": "new", "assigned_to": "none"}),
]
"""A life with all that a random one seldom has in this order."""


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(program=st.lists(STEP, min_size=20, max_size=40))
@example(program=A_LIFE)
def test_every_program_is_answered_as_the_contract_says(house: House, program: list[tuple[Any, ...]]) -> None:
    world = new_world(house)
    player = Player(world)
    player.create("one", {})
    player.create("two", {})
    for step in program:
        player.play(step)
    for name, room in world.rooms.items():
        player.search(name, {})
        for ticket in room.tickets:
            player.look(name, ticket)
