"""The OpenAPI document: complete, kept in the repository, browsable offline, and true of the running program."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from conftest import House
from kit import check_edge, complete_ticket
from routes import an_app, calls
from schemathesis import Case, GenerationMode

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "openapi.json"
EXAMPLES = 10
CONFIG = {
    "generation": {
        "max-examples": EXAMPLES,
        "deterministic": True,
        "no-shrink": True,
        "mode": "all",
        "with-security-parameters": False,
    },
    "phases": {"stateful": {"enabled": False}},
    "checks": {"positive_data_acceptance": {"expected-statuses": [200, 201, 404, 409, 412, 422]}},
}
BEYOND_SCHEMA = {
    "attachment_not_found",
    "before_creation",
    "calendar_not_found",
    "characters",
    "contact_not_found",
    "cursor",
    "date",
    "email",
    "home_scope",
    "in_the_future",
    "in_the_past",
    "instant",
    "invalid_calendar",
    "number",
    "template_error",
    "ticket_not_found",
    "two_authors",
    "unknown_event",
    "user_inactive",
    "user_not_found",
}
"""Codes of a 422 that a request may get although its schema allows it: they ask the database, or a calendar."""


@schemathesis.serializer("message/rfc822")
def a_mail(ctx: Any, value: Any) -> Any:
    """A mail is bytes of any form."""
    return value


def document() -> dict[str, Any]:
    return an_app().openapi()


schema = schemathesis.openapi.from_dict(document(), config=schemathesis.Config.from_dict(CONFIG))


@pytest.fixture(scope="module")
def standing(house: House) -> dict[str, str]:
    """What the places in paths may name: things that are there and may be changed."""
    admin = house.client(house.cast.admin)
    spare = admin.post(
        f"/v1/workspaces/{house.cast.stranger_workspace_id}/keys", json={"name": "spare", "scopes": ["tickets:read"]}
    )
    file = admin.post("/v1/attachments", files={"file": ("a.txt", b"words")}).json()["data"]["id"]
    house.ticket(attachment_ids=[file])
    return {
        "attachment_id": file,
        "workspace_id": house.cast.stranger_workspace_id,
        "key_id": spare.json()["data"]["id"],
        "user_id": house.cast.other_agent_id,
        "contact_id": house.cast.customer_id,
    }


@schema.parametrize()
def test_no_answer_is_unexpected(case: Case, house: House, standing: dict[str, str]) -> None:
    """Good and bad requests of every kind: each answer has a status, a type and a body that the document names."""
    people = {"contact_id": house.cast.customer_id, "assigned_to": house.cast.agent_id, "user_id": house.cast.agent_id}
    good = not (case.meta and case.meta.generation.mode is GenerationMode.NEGATIVE)
    if str((case.query or {}).get("wait", "0")).isdecimal():
        case.query.pop("wait", None)  # nobody has the time
    if good:
        case.path_parameters = {name: standing.get(name, value) for name, value in (case.path_parameters or {}).items()}
        if "ticket_id" in case.path_parameters:
            case.path_parameters["ticket_id"] = house.ticket()["id"]
        if isinstance(case.body, dict) and case.media_type == "application/json":
            known = {**people, "email": "some.one@example.com"}
            case.body = {name: known.get(name, value) if value else value for name, value in case.body.items()}
    answer = case.call_and_validate(base_url=house.url, headers={"Authorization": f"Bearer {house.cast.admin}"})
    if good and answer.status_code == 422:
        for entry in answer.json()["error"]["errors"]:
            assert entry["code"] in BEYOND_SCHEMA or is_whole_float(case.body, entry["field"]), entry


def is_whole_float(body: Any, field: str) -> bool:
    """JSON Schema takes `5.0` for an integer; the contract does not."""
    for part in field.split("."):
        body = body[int(part)] if isinstance(body, list) else body.get(part) if isinstance(body, dict) else None
    return isinstance(body, float) and body.is_integer()


def test_the_document_in_the_repository_is_what_the_program_makes() -> None:
    made = json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
    assert DOCUMENT.read_text() == made, "write it again: see docs/openapi.json in CONTRIBUTING.md"


def test_the_server_sends_the_same_document(house: House) -> None:
    answer = house.client(None).get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json() == json.loads(json.dumps(document()))
    check_edge(answer)


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, told) for path, methods in document()["paths"].items() for method, told in methods.items()]


def test_it_is_openapi_3_1_and_names_the_program() -> None:
    told = document()
    assert re.fullmatch(r"3\.1\.\d+", told["openapi"])
    assert told["info"]["title"] == "Ticketry"
    assert told["info"]["version"]
    assert told["info"]["description"]


def test_it_holds_every_guarded_call_and_no_other() -> None:
    told = {(path, method.upper()) for path, method, _ in operations()}
    assert told == {(call.path, call.method) for call in calls()}


def test_every_operation_is_described_and_secured() -> None:
    assert document()["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    seen = set()
    for path, method, told in operations():
        assert told["summary"], (path, method)
        assert told["description"], (path, method)
        assert told["tags"], (path, method)
        assert told["security"], (path, method)
        assert told["operationId"] not in seen
        seen.add(told["operationId"])


def test_every_error_answer_is_described() -> None:
    for path, _, told in operations():
        statuses = set(told["responses"])
        assert {"400", "401", "403", "413", "415", "422", "429", "500", "503"} <= statuses, path
        if "{" in path:
            assert "404" in statuses, path
        for status, answer in told["responses"].items():
            assert answer["description"], (path, status)
            if int(status) >= 400:
                assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ErrorAnswer"}


@pytest.mark.parametrize("call", ["close", "reopen"])
def test_what_may_conflict_says_so(call: str) -> None:
    answers = document()["paths"][f"/v1/tickets/{{ticket_id}}/{call}"]["put"]["responses"]
    assert {"200", "404", "409", "412"} <= set(answers)


def test_the_fields_of_a_close_have_examples_limits_and_descriptions() -> None:
    fields = document()["components"]["schemas"]["CloseIn"]
    assert fields["additionalProperties"] is False
    assert fields.get("required", []) == []
    limits = {
        "resolution_note": {"maxLength": 5000},
        "customer_satisfaction": {"minimum": 1, "maximum": 10},
        "resolution_time": {"minimum": 0, "maximum": 5_256_000},
        "root_cause": {"minLength": 1, "maxLength": 100},
    }
    assert set(fields["properties"]) == set(limits)
    for name, expected in limits.items():
        told = fields["properties"][name]
        kinds = {kind["type"]: {**told, **kind} for kind in told["anyOf"]}
        assert set(kinds) - {"null"} in ({"string"}, {"integer"})
        field = kinds.get("string") or kinds["integer"]
        assert {limit: field[limit] for limit in expected} == expected
        assert field["description"]
        assert field["examples"]


def test_a_close_has_an_example_request_and_answers() -> None:
    told = document()["paths"]["/v1/tickets/{ticket_id}/close"]["put"]
    body = told["requestBody"]["content"]["application/json"]
    (example, *_) = _examples(body)
    assert set(example) == {"resolution_note", "customer_satisfaction", "resolution_time", "root_cause"}
    (closed, *_) = _examples(told["responses"]["200"]["content"]["application/json"])
    complete_ticket(closed["data"])
    assert closed["data"]["status"] == "closed"
    for status, code in (("404", "ticket_not_found"), ("409", "ticket_already_closed")):
        errors = _examples(told["responses"][status]["content"]["application/json"])
        assert code in {error["error"]["code"] for error in errors}


def _examples(content: dict[str, Any]) -> list[Any]:
    """The examples of a request or an answer, beside its schema or inside it."""
    found = [entry["value"] for entry in content.get("examples", {}).values()]
    found += [content["example"]] if "example" in content else []
    shapes = [content.get("schema", {})]
    for shape in shapes:
        found += shape.get("examples", [])
        shapes += shape.get("anyOf", [])
        if reference := shape.get("$ref"):
            shapes.append(document()["components"]["schemas"][reference.rpartition("/")[2]])
    assert found, "no example"
    return found


class _Addresses(HTMLParser):
    """Every address that a page loads or names."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"src", "href", "action", "data", "srcset", "poster"} and value:
                self.loaded.append(value)


def test_the_browsable_documentation_needs_no_other_host(house: House) -> None:
    client = house.client(None)
    page = client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    check_edge(page)
    found = _Addresses()
    found.feed(page.text)
    assert found.loaded
    for address in found.loaded:
        assert address.startswith("/"), address
        assert not address.startswith("//"), address
        loaded = client.get(address)
        assert loaded.status_code == 200, address
        assert loaded.content
    assert not re.search(r"https?://", page.text)
    assert "/openapi.json" in page.text
    for style in ("swagger-ui.css",):
        assert not re.search(r"url\(\s*['\"]?(https?:)?//", client.get(f"/docs/static/{style}").text)


def test_the_documentations_policy_forbids_other_hosts(house: House) -> None:
    policy = house.client(None).get("/docs").headers["content-security-policy"]
    rules = {name: values for name, *values in (rule.split() for rule in policy.split(";"))}
    assert rules["default-src"] == ["'self'"]
    assert rules["frame-ancestors"] == ["'none'"]
    for name, values in rules.items():
        assert set(values) <= {"'self'", "'none'", "'unsafe-inline'", "data:"}, name
    assert "data:" not in rules["script-src"]
