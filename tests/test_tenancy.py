"""Workspaces are sealed: no call, whatever id it names, shows or changes anything of another workspace.

Made from the route table: a new route is attacked by itself. A path parameter, body field or required field that
stands in none of the tables below fails the test and says where to add it.
"""

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import httpx
import pytest
import routes
from conftest import House
from kit import forbidden, problem
from pydantic import BaseModel
from routes import Call

from ticketry.accounts.keys.scopes import ALL_SCOPES, HOME_SCOPES
from ticketry.core.fields import StrictModel
from ticketry.db.paging import PageIn

WORD = {"victim": "Zanzibar", "stranger": "Yucatan", "tester": "Xanadu", "squatter": "Wisconsin"}
BODY: dict[str, Any] = {
    "subject": "A subject",
    "description": "A description",
    "name": "A name",
    "body": "A body",
    "type": "related_to",
    "operations": [{"action": "close", "ticket_id": "ticket_nothing"}],
    "scopes": ["tickets:read"],
    "opening_hours": "24/7",
    "targets": {"1": {"response": 60, "resolution": 480}},
    "text": "A text",
    "html": "<p>A text</p>",
    "url": "https://webhook.invalid/",
    "since": "2025-01-01T00:00:00Z",
}
"""A right value of each field that some call requires."""
QUERIES = {"DELETE /v1/contacts/{contact_id}": {"confirm": "true"}}
"""What a call must be asked with."""
IDS_IN_BODIES = {
    "contact_id": "contact_id",
    "assigned_to": "user_id",
    "user_id": "user_id",
    "calendar_id": "calendar_id",
    "escalations.assign_to": "user_id",
    "attachment_ids": "attachment_id",
    "duplicate_of": "ticket_id",
    "ticket_id": "ticket_id",
}
"""Fields that name an object: a stranger's is refused. The field's path, and the path parameter of the same kind."""
FILES = {"/v1/attachments": {"file": ("a name.txt", b"some words", "text/plain")}}
"""What calls take that have no JSON body."""
UNCHECKED_IN_BODIES = {"conversation_id", "external_id", "conditions.contact_id", "operations.ticket_id", "reply_to"}
"""Fields that look like ids and are kept as they are given: what they name is never looked up. Each operation of a bulk
request has an answer of its own, see `test_no_operation_of_a_bulk_reaches_another_workspace`."""
CODES = {"other_id": "link_not_found"}
"""What is said of a path parameter's object that is not found, where it is not the parameter's own name."""
MAILS = {"/v1/inbound/email": b"From: a@b.example\r\nSubject: Refund\r\nMessage-ID: <1@b.example>\r\n\r\nHello\r\n"}
"""What calls take that want a mail as it came."""


OF_EVERYBODY = {"kind": "replied"}
"""Places in paths that name what every workspace has, with one of them."""


@dataclass
class Room:
    """A workspace with something of every kind in it."""

    name: str
    workspace_id: str
    key: str
    scopes: frozenset[str]
    ids: dict[str, list[str]]
    secrets: set[str]


def fill(house: House, name: str, workspace_id: str, key: str, scopes: set[str]) -> Room:
    """A room in which every name, id and text holds its word."""
    word, client = WORD[name], house.client(key)
    low = word.lower()
    house.sql(f"SELECT setval('numbers.\"{workspace_id}\"', {len(WORD) * 1000 + 1000 * list(WORD).index(name)})")

    def made(path: str, **body: Any) -> dict[str, Any]:
        answer = client.post(path, json=body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()["data"]
        return found

    user = made("/v1/users", id=f"user_{low}", name=f"{word} Agent", email=f"{low}@example.com")["id"]
    contact = made(
        "/v1/contacts", id=f"contact_{low}", name=f"{word} Customer", email=f"c.{low}@example.com", external_id=word
    )["id"]
    api_key = made("/v1/keys", name=f"{word} robot", scopes=["tickets:read"], user_id=user)["id"]
    calendar = made("/v1/sla/calendars", name=f"{word} hours", opening_hours="24/7")["id"]
    policy = made("/v1/sla/policies", name=f"{word} promise", targets=BODY["targets"], calendar_id=calendar)["id"]
    hooks = [made("/v1/webhooks", url=f"https://{low}.invalid/", description=f"{word} hook")["id"] for _ in "ab"]
    tested = client.post(f"/v1/webhooks/{hooks[0]}/test")
    assert tested.status_code == 202, tested.text
    tickets = []
    for n in range(3):
        ticket = made(
            "/v1/tickets", subject=f"{word} {n}", description=f"About {word}", category=word, tags=[word],
            contact_id=contact, assigned_to=user, custom_fields={"word": word}, metadata={"word": word},
        )  # fmt: skip
        made(f"/v1/tickets/{ticket['id']}/comments", body=f"{word} said", user_id=user)
        tickets.append(ticket)
    files = [
        client.post("/v1/attachments", files={"file": (f"{word}.txt", f"{word} wrote".encode())}).json()["data"]["id"]
        for _ in range(2)
    ]
    made(f"/v1/tickets/{tickets[1]['id']}/comments", body=f"{word} sends", attachment_ids=files[1:])
    client.put(f"/v1/tickets/{tickets[2]['id']}/close", json={"resolution_note": f"{word} done"})
    made(f"/v1/tickets/{tickets[0]['id']}/links", type="related_to", ticket_id=tickets[1]["id"])
    mail = house.sql(
        """INSERT INTO mail_messages (workspace_id, id, kind, ticket_id, recipient_type, recipient_id, status, address,
               subject, body_text, created_at)
           VALUES (%(workspace_id)s, %(id)s, 'replied', %(ticket_id)s, 'contact', %(contact_id)s, 'outbox', %(address)s,
               %(word)s, %(word)s, now())
           RETURNING id""",
        {
            "workspace_id": workspace_id,
            "id": f"mail_{low}",
            "ticket_id": tickets[0]["id"],
            "contact_id": contact,
            "address": f"c.{low}@example.com",
            "word": word,
        },
    )[0][0]
    template = {"subject": word, "text": word, "html": word}
    assert client.put("/v1/mail/templates/received", json=template).status_code == 200
    assert client.put("/v1/mail/settings", json={"sender_name": word}).status_code == 200
    came = client.post(
        "/v1/inbound/email",
        headers={"Content-Type": "message/rfc822"},
        content=f"From: {word} <in.{low}@example.com>\nSubject: {word}\nMessage-ID: <{low}@x.example>\n\n{word}",
    ).json()["data"]
    tickets.append({"id": came["ticket_id"], "number": came["number"]})
    ids = {
        "message_id": [mail],
        "mail_id": [came["mail_id"]],
        "ticket_id": [tickets[0]["id"], tickets[0]["number"], tickets[2]["number"].lower()],
        "contact_id": [contact],
        "user_id": [user],
        "key_id": [api_key],
        "workspace_id": [workspace_id],
        "other_id": [tickets[1]["id"], tickets[1]["number"]],
        "link_type": ["related_to"],
        "calendar_id": [calendar],
        "policy_id": [policy],
        "attachment_id": files,
        "webhook_id": hooks,
        "delivery_id": [tested.json()["data"]["id"]],
    }
    numbers = {ticket["number"] for ticket in tickets}
    secrets = {word, low, *numbers, *all_ids(house, workspace_id)}
    return Room(name, workspace_id, key, frozenset(scopes), ids, secrets)


_tables: list[str] = []


FOLDED = {
    "ticket_count_changes", "ticket_counts", "ticket_rollups", "ticket_mark_changes", "ticket_marks", "ticket_spans",
}  # fmt: skip
"""Tables that are made from tickets, for all workspaces at once, whenever somebody finds the time."""


def tables(house: House) -> list[str]:
    """Every table that holds rows of workspaces, but for what is made from others."""
    _tables[:] = _tables or _find_tables(house)
    return _tables


def _find_tables(house: House) -> list[str]:
    found = house.sql(
        """SELECT table_name FROM information_schema.columns
           JOIN information_schema.tables USING (table_schema, table_name)
           WHERE table_schema = 'public' AND column_name = 'workspace_id' AND table_type = 'BASE TABLE'"""
    )
    assert len(found) >= 10
    found = [(name,) for (name,) in found if name not in FOLDED]
    return sorted(str(row[0]) for row in found)


def all_ids(house: House, workspace_id: str) -> set[str]:
    """Every id in a workspace; ids that all workspaces have are no secret."""
    found = {workspace_id}
    for table in tables(house):
        column = house.sql(
            """SELECT 1 FROM information_schema.columns
               WHERE table_name = %s AND column_name = 'id' AND data_type = 'text'""",
            (table,),
        )
        if column:
            rows = house.sql(f"SELECT id FROM {table} WHERE workspace_id = %s", (workspace_id,))
            found |= {row[0] for row in rows if row[0] != "sla_default"}
    return found


def rows_of(house: House, workspace_id: str) -> list[tuple[Any, ...]]:
    """A fingerprint of every table's rows of a workspace. When a key was last used is no content."""
    return house.sql(
        " UNION ALL ".join(
            f"""SELECT '{table}', count(*), md5(string_agg(line, '|' ORDER BY line)) FROM (
                    SELECT (to_jsonb(t) - 'last_used_at')::text AS line FROM {table} t
                    WHERE workspace_id = %(workspace_id)s) AS l"""
            for table in tables(house)
        ),
        {"workspace_id": workspace_id},
    )


@pytest.fixture(scope="module")
def rooms(house: House) -> dict[str, Room]:
    """The attacked, the attackers, and what they hold; the squatter is one who may store what others are called."""
    c = house.cast
    admin = house.client(c.admin)
    squat = admin.post("/v1/workspaces", json={"name": "Squat"}).json()["data"]["id"]
    scopes = sorted(set(ALL_SCOPES) - HOME_SCOPES)
    key = admin.post(f"/v1/workspaces/{squat}/keys", json={"name": "Squat", "scopes": scopes}).json()["data"]["key"]
    client_scopes = set(ALL_SCOPES) - HOME_SCOPES
    return {
        "victim": fill(house, "victim", c.workspace_id, c.admin, set(ALL_SCOPES)),
        "stranger": fill(house, "stranger", c.stranger_workspace_id, c.stranger, client_scopes),
        "tester": fill(house, "tester", c.test_workspace_id, c.test_key, client_scopes),
        "squatter": fill(house, "squatter", squat, key, client_scopes),
    }


@pytest.fixture(autouse=True)
def untouched(house: House, rooms: dict[str, Room]) -> Iterator[None]:
    """After every attack the victim's rows are what they were."""
    before = rows_of(house, rooms["victim"].workspace_id)
    yield
    assert rows_of(house, rooms["victim"].workspace_id) == before


def sealed(answer: httpx.Response, victim: Room, sent: object = "") -> httpx.Response:
    """The answer, which is no crash and holds nothing of the victim but what the attacker sent."""
    told = f"{answer.request.method} {answer.request.url}"
    assert answer.status_code < 500, (told, answer.text)
    said = json.dumps(sent, ensure_ascii=False).lower()
    whole = f"{answer.text}\n{json.dumps(dict(answer.headers))}".lower()
    leaked = {secret for secret in victim.secrets if secret.lower() in whole and secret.lower() not in said}
    assert not leaked, (told, leaked, answer.text)
    return answer


# Reading the routes


def plain(annotation: Any) -> Any:
    """A type without `Annotated` and without `None`."""
    if get_origin(annotation) is Annotated:
        return plain(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        kinds = [plain(kind) for kind in get_args(annotation) if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else annotation
    return annotation


def parameter_models(call: Call, base: type[BaseModel]) -> list[type[BaseModel]]:
    """The models of this kind that a call's endpoint takes."""
    signature = inspect.signature(call.route.endpoint, eval_str=True)
    kinds = [plain(parameter.annotation) for parameter in signature.parameters.values()]
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, base)]


def parameters(call: Call) -> list[str]:
    return [name for name in re.findall(r"\{(\w+)\}", call.path) if name not in OF_EVERYBODY]


def ids_of(call: Call) -> list[str]:
    """The path parameters that name an object."""
    return [name for name in parameters(call) if name.endswith("_id")]


def not_found_code(name: str) -> str:
    return CODES.get(name, f"{name.removesuffix('_id')}_not_found")


def own(room: Room, call: Call, **instead: str) -> str:
    """The path with the room's own ids, and others `instead`."""
    for name in parameters(call):
        if name not in room.ids:
            told = f"test_tenancy.py knows no {{{name}}} of {routes.name(call)}"
            pytest.fail(f"{told}: make one in `fill` and name it in `ids`")
    mine = OF_EVERYBODY | {name: ids[0] for name, ids in room.ids.items()} | instead
    return re.sub(r"\{(\w+)\}", lambda found: mine[found[1]], call.path)


def body_of(call: Call, room: Room) -> dict[str, Any] | None:
    """The smallest right body of a call."""
    models = parameter_models(call, StrictModel)
    if not models:
        return None
    body: dict[str, Any] = {}
    for name, field in models[0].model_fields.items():
        if not field.is_required():
            continue
        if name == "email":
            body[name] = f"{WORD[room.name].lower()}.{id(call)}@example.com"
        elif name == "ticket_id":
            body[name] = room.ids[name][2]
        elif name not in BODY:
            pytest.fail(f"{routes.name(call)} requires {name}: add a right value of it to BODY in test_tenancy.py")
        else:
            body[name] = BODY[name]
    return body


def send(house: House, room: Room, call: Call, path: str, body: Any = None, **more: Any) -> httpx.Response:
    given = body_of(call, room) if body is None else body
    if call.path in FILES and call.method == "POST":
        return house.client(room.key).post(path, files=FILES[call.path], **more)
    if call.path in MAILS:
        more["headers"] = {"Content-Type": "message/rfc822", **more.get("headers", {})}
        return house.client(room.key).post(path, content=MAILS[call.path], **more)
    return house.client(room.key).request(call.method, path, json=given, params=QUERIES.get(routes.name(call)), **more)


CALLS = routes.calls()
WITH_IDS = [call for call in CALLS if parameters(call)]
ATTACKERS = ("stranger", "tester")


# Ids in paths


@pytest.mark.parametrize("call", WITH_IDS, ids=routes.name)
@pytest.mark.parametrize("attacker", ATTACKERS)
def test_an_id_of_another_workspace_is_not_found(
    house: House, rooms: dict[str, Room], attacker: str, call: Call
) -> None:
    room, victim = rooms[attacker], rooms["victim"]
    for name in ids_of(call):
        own(room, call)
        for foreign in victim.ids[name]:
            answer = send(house, room, call, own(room, call, **{name: foreign}))
            sealed(answer, victim)
            if call.scope not in room.scopes:
                forbidden(answer, str(call.scope))
            else:
                problem(answer, 404, "not_found", not_found_code(name))


@pytest.mark.parametrize("call", [c for c in WITH_IDS if "{workspace_id}" not in c.path], ids=routes.name)
def test_the_agencys_key_finds_nothing_of_its_clients(house: House, rooms: dict[str, Room], call: Call) -> None:
    room, victim = rooms["victim"], rooms["stranger"]
    before = rows_of(house, victim.workspace_id)
    for name in ids_of(call):
        for foreign in victim.ids[name]:
            answer = send(house, room, call, own(room, call, **{name: foreign}))
            problem(sealed(answer, victim), 404, "not_found", not_found_code(name))
    assert rows_of(house, victim.workspace_id) == before


KEYS_OF_WORKSPACES = [call for call in WITH_IDS if {"key_id", "workspace_id"} <= set(parameters(call))]


@pytest.mark.parametrize("call", KEYS_OF_WORKSPACES, ids=routes.name)
def test_a_key_is_found_in_its_own_workspace_only(house: House, rooms: dict[str, Room], call: Call) -> None:
    agency, one, other = rooms["victim"], rooms["stranger"], rooms["tester"]
    path = own(agency, call, workspace_id=one.workspace_id, key_id=other.ids["key_id"][0])
    problem(sealed(send(house, agency, call, path), other), 404, "not_found", "key_not_found")


# Ids in bodies


def fields_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The paths of all fields of a model, those of inner models too; places in lists are left out."""
    for name, field in model.model_fields.items():
        yield prefix + name
        for kind in inner_models(field.annotation):
            yield from fields_of(kind, f"{prefix}{name}.")


def inner_models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and not get_args(annotation):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for part in get_args(annotation) for model in inner_models(part)]


def looks_like_id(path: str) -> bool:
    return bool(re.search(r"(^|[._])(id|ids|to|of|by)$", path)) and path != "id"


BODY_IDS = [
    pytest.param(call, field, id=f"{routes.name(call)} {field}")
    for call in routes.writes()
    for model in parameter_models(call, StrictModel)
    for field in fields_of(model)
    if looks_like_id(field)
]


def placed(path: str, value: str) -> Any:
    """`escalations.assign_to` with its value, as part of a body."""
    first, _, rest = path.partition(".")
    if first == "escalations":
        return {first: [{"on": "breach", rest: value}]}
    if first == "attachment_ids":
        return {first: [value]}
    if first == "operations":
        return {first: [{"action": "close", rest: value}]}
    if first == "conditions":
        return {first: {rest: [value]}}
    return {first: value}


@pytest.mark.parametrize("attacker", ATTACKERS)
@pytest.mark.parametrize(("call", "field"), BODY_IDS)
def test_an_id_of_another_workspace_in_a_body_is_refused_by_name(
    house: House, rooms: dict[str, Room], attacker: str, call: Call, field: str
) -> None:
    room, victim = rooms[attacker if field in IDS_IN_BODIES else "squatter"], rooms["victim"]
    if field not in IDS_IN_BODIES and field not in UNCHECKED_IN_BODIES:
        pytest.fail(f"test_tenancy.py does not know what {field} of {routes.name(call)} names: add it to IDS_IN_BODIES")
    foreign = victim.ids[IDS_IN_BODIES.get(field, "contact_id")][0]
    before = rows_of(house, room.workspace_id)
    body = {**(body_of(call, room) or {}), **placed(field, foreign)}
    answer = sealed(send(house, room, call, own(room, call), body), victim, foreign)
    if call.scope not in room.scopes:
        forbidden(answer, str(call.scope))
    elif field in IDS_IN_BODIES:
        error = problem(answer, 422, "validation_error", "invalid_parameters")
        assert {re.sub(r"\.\d+", "", entry["field"]) for entry in error["errors"]} == {field}
        assert rows_of(house, room.workspace_id) == before


@pytest.mark.parametrize("attacker", ATTACKERS)
def test_no_operation_of_a_bulk_reaches_another_workspace(house: House, rooms: dict[str, Room], attacker: str) -> None:
    """Nor does one reach it through what its params name."""
    room, victim = rooms[attacker], rooms["victim"]
    foreign, mine = victim.ids["ticket_id"], room.ids["ticket_id"][0]
    params = {"close": {}, "reopen": {}, "update": {"tags": ["x"]}, "comment": {"body": "x"}}
    operations: list[dict[str, Any]] = [
        {"action": action, "ticket_id": name, "params": given} for action, given in params.items() for name in foreign
    ]
    naming: list[tuple[str, dict[str, Any]]] = [
        ("close", {"duplicate_of": foreign[0]}), ("update", {"assigned_to": victim.ids["user_id"][0]}),
        ("update", {"contact_id": victim.ids["contact_id"][0]}),
        ("comment", {"body": "x", "contact_id": victim.ids["contact_id"][0]}),
    ]  # fmt: skip
    operations += [{"action": action, "ticket_id": mine, "params": given} for action, given in naming]
    for headers in ({}, {"Idempotency-Key": f"attack of {attacker}"}):
        answer = house.client(room.key).post("/v1/tickets/bulk", json={"operations": operations}, headers=headers)
        found = sealed(answer, victim, operations).json()["data"]
        assert [result["status"] for result in found] == [404] * 12 + [422] * 4


@pytest.mark.parametrize("kind", ["contact", "user"])
def test_an_id_that_another_workspace_has_is_free_here(house: House, rooms: dict[str, Room], kind: str) -> None:
    """A refusal would tell that it exists elsewhere."""
    victim, room = rooms["victim"], rooms["squatter"]
    foreign = victim.ids[f"{kind}_id"][0]
    body = {"id": foreign, "name": "Mine", "email": f"mine.{kind}@example.com"}
    answer = house.client(room.key).post(f"/v1/{kind}s", json=body)
    assert sealed(answer, victim, foreign).status_code == 201
    mine = sealed(house.client(room.key).get(f"/v1/{kind}s/{foreign}"), victim, foreign).json()["data"]
    assert mine["name"] == "Mine"


@pytest.mark.parametrize("kind", ["contact", "user"])
def test_a_mail_address_that_another_workspace_has_is_free_here(
    house: House, rooms: dict[str, Room], kind: str
) -> None:
    victim, room = rooms["victim"], rooms["squatter"]
    theirs = house.client(victim.key).get(f"/v1/{kind}s/{victim.ids[f'{kind}_id'][0]}").json()["data"]["email"]
    answer = house.client(room.key).post(f"/v1/{kind}s", json={"name": "Mine", "email": theirs})
    assert sealed(answer, victim, theirs).status_code == 201


# Questions


def asked(call: Call) -> list[str]:
    """The query parameters of a list."""
    return [name for model in parameter_models(call, PageIn) for name in model.model_fields]


LISTS = [call for call in CALLS if call.method == "GET" and asked(call)]


def test_every_list_is_known() -> None:
    assert len(LISTS) >= 10


@pytest.mark.parametrize("call", LISTS, ids=routes.name)
@pytest.mark.parametrize("attacker", ATTACKERS)
def test_a_list_shows_nothing_of_others_whatever_it_is_asked(
    house: House, rooms: dict[str, Room], attacker: str, call: Call
) -> None:
    room, victim = rooms[attacker], rooms["victim"]
    client, path = house.client(room.key), own(room, call)
    if call.scope not in room.scopes:
        forbidden(sealed(client.get(path), victim), str(call.scope))
        return
    for page in (1, 2):
        sealed(client.get(path, params={"per_page": 100, "page": page}), victim)
    cursor = house.client(victim.key).get("/v1/tickets?per_page=1").json()["meta"]["next_cursor"]
    for name in asked(call):
        for value in (WORD["victim"], cursor, *(ids[-1] for ids in victim.ids.values())):
            answer = sealed(client.get(path, params={name: value}), victim, value)
            assert answer.status_code in {200, 422}
            if answer.status_code == 200 and name != "cursor":
                assert answer.json()["data"] == [], (name, value)
                assert answer.json()["meta"]["total"] == 0


def test_a_cursor_of_another_workspace_leads_to_nothing_of_it(house: House, rooms: dict[str, Room]) -> None:
    victim, room = rooms["victim"], rooms["stranger"]
    for sort_by in ("created_at", "updated_at", "due_date", "priority"):
        query = {"sort_by": sort_by, "per_page": 1}
        cursor = house.client(victim.key).get("/v1/tickets", params=query).json()["meta"]["next_cursor"]
        answer = house.client(room.key).get("/v1/tickets", params={**query, "cursor": cursor})
        assert sealed(answer, victim, cursor).status_code == 200


def test_a_word_of_another_workspace_finds_nothing(house: House, rooms: dict[str, Room]) -> None:
    victim = rooms["victim"]
    for name in ATTACKERS:
        for search in ("Zanzibar", "zanz", "anziba", '"about zanzibar"', victim.ids["ticket_id"][1]):
            answer = house.client(rooms[name].key).get("/v1/tickets", params={"search": search})
            assert sealed(answer, victim, search).json()["meta"]["total"] == 0


# Everything else that answers


@pytest.mark.parametrize("call", CALLS, ids=routes.name)
def test_no_answer_to_ones_own_calls_holds_anything_of_others(house: House, rooms: dict[str, Room], call: Call) -> None:
    for name in ATTACKERS:
        room = rooms[name]
        instead = {"webhook_id": room.ids["webhook_id"][-1]} if call.method == "DELETE" else {}  # the others go on
        answer = send(house, room, call, own(room, call, **instead))
        for other in ("victim", *ATTACKERS):
            if other != name:
                sealed(answer, rooms[other])
        expected = {200, 201, 202, 204, 409} if call.scope in room.scopes else {403}
        assert answer.status_code in expected, answer.text


def test_an_idempotency_key_is_ones_own(house: House, rooms: dict[str, Room]) -> None:
    victim, room = rooms["victim"], rooms["stranger"]
    headers = {"Idempotency-Key": "everybodys-key"}
    body = {"subject": "Same", "description": "Same"}
    theirs = house.client(victim.key).get("/v1/tickets").json()["meta"]["total"]
    first = house.client(rooms["tester"].key).post("/v1/tickets", json=body, headers=headers).json()["data"]
    answer = house.client(room.key).post("/v1/tickets", json=body, headers=headers)
    assert answer.status_code == 201
    assert "idempotent-replayed" not in answer.headers
    assert answer.json()["data"]["id"] != first["id"]
    assert house.client(room.key).post("/v1/contacts", json={"name": "Other"}, headers=headers).status_code == 422
    sealed(answer, victim)
    assert house.client(victim.key).get("/v1/tickets").json()["meta"]["total"] == theirs
