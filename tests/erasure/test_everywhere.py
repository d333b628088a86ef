"""After an erasure a full dump of the database and the file store hold nothing of the person, and all figures stay."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import House
from erasure.person import EMAIL, MARKS, Person, call, dump, erase, fill, forms, left_of
from kit import problem
from tickets.promised import replayed

FIGURES = {
    "id", "number", "priority", "status", "contact_id", "assigned_to", "assigned_name", "due_date", "root_cause",
    "customer_satisfaction", "satisfaction_source", "resolution_time", "sla", "reopen_count", "created_at",
    "updated_at", "resolved_at", "closed_at",
}  # fmt: skip


@pytest.fixture(scope="module")
def before(house: House, files: Path) -> dict[str, Any]:
    """The person everywhere, and all figures, before; then the erasure."""
    person = fill(house, files)
    bystander = house.ticket(subject="Untouched", description="Sam, may I?", contact_id=house.cast.customer_id)
    whole = dump(house)
    found = {mark: [form for form in forms(mark) if form in whole] for mark in MARKS}
    assert all(found.values()), found
    told = {
        "person": person,
        "bystander": bystander["id"],
        "figures": figures(house, person),
        "rows": others_rows(house, person),
        "vocabulary": house.sql("SELECT word FROM vocabulary WHERE word LIKE 'xylophon%'"),
    }
    told["erasure"] = erase(house, person.id, house.cast.agent_key)
    return told


def figures(house: House, person: Person) -> dict[str, Any]:
    """Everything that must stay as it is."""
    found: dict[str, Any] = {}
    for ticket_id in person.tickets:
        path = f"/v1/tickets/{ticket_id}"
        ticket = call(house, "GET", path)
        found[ticket_id] = {name: ticket[name] for name in FIGURES}
        found[ticket_id]["clock"] = call(house, "GET", f"{path}/sla?at={ticket['updated_at']}")
        found[ticket_id]["resolutions"] = [
            {name: value for name, value in one.items() if name != "resolution_note"}
            for one in call(house, "GET", f"{path}/resolutions")
        ]
        found[ticket_id]["comments"] = [
            (one["id"], one["visibility"], one["author"]["id"]) for one in call(house, "GET", f"{path}/comments")
        ]
    for query in ("", "status=closed", "priority=2", "sla_breach=true", "category=billing", "status=reopened"):
        found[query] = house.client(house.cast.admin).get(f"/v1/tickets?{query}").json()["meta"]["total"]
    return found


def others_rows(house: House, person: Person) -> list[Any]:
    """The rows of others: all contacts but the person, all tickets but those that they stand on, and their words."""
    mine = [*person.tickets, *person.others]
    return [
        house.sql(f"SELECT to_jsonb(x)::text FROM {table} x WHERE NOT ({column} = ANY(%s)) ORDER BY 1", (ids,))
        for table, column, ids in (
            ("tickets", "id", mine), ("comments", "ticket_id", mine), ("ticket_words", "ticket_id", mine),
            ("contacts", "id", [person.id]), ("users", "id", []), ("resolutions", "ticket_id", mine),
            ("events", "coalesce(ticket_id, '')", [*mine, ""]),
        )
    ]  # fmt: skip


def test_nothing_is_left(house: House, files: Path, before: dict[str, Any]) -> None:
    assert left_of(house, files) == []


def test_the_search_finds_nothing(house: House, before: dict[str, Any]) -> None:
    assert before["vocabulary"]
    for word in ("xylophonquark", "ylophonqu", "blorptastic", "incemarker-o"):
        assert house.client(house.cast.admin).get("/v1/tickets", params={"search": word}).json()["data"] == []
    assert house.sql("SELECT count(*) FROM erasure_words") == [(0,)]


def test_words_that_others_use_are_still_found(house: House, before: dict[str, Any]) -> None:
    assert house.client(house.cast.admin).get("/v1/tickets?search=ntouche").json()["meta"]["total"] == 1


def test_figures_stay(house: House, before: dict[str, Any]) -> None:
    assert figures(house, before["person"]) == before["figures"]
    assert replayed(house) == []


def test_others_stay_as_they_are(house: House, before: dict[str, Any]) -> None:
    assert others_rows(house, before["person"]) == before["rows"]


def test_a_mention_goes_and_what_stands_around_it_stays(house: House, before: dict[str, Any]) -> None:
    ticket = call(house, "GET", f"/v1/tickets/{before['person'].others[0]}")
    assert ticket["subject"] == "Copy to [erased]"
    assert ticket["description"] == "Ask [erased], [erased]; notzoe.quincemarker@else.example"
    assert ticket["custom_fields"] == {"cc": "[erased]"}
    (comment,) = call(house, "GET", f"/v1/tickets/{ticket['id']}/comments")
    assert comment["body"] == "[erased]"
    assert comment["author"] == {"type": "contact", "id": before["person"].id, "name": "[erased]"}
    assert house.sql("SELECT body_text, body_html FROM mail_messages WHERE id = 'mail_1'") == [
        ("To [erased]: other text", "<p>[erased]</p>")
    ]


def test_what_agents_said_stays_without_the_person(house: House, before: dict[str, Any]) -> None:
    first = call(house, "GET", f"/v1/tickets/{before['person'].tickets[0]}/comments")
    assert [one["body"] for one in first] == [
        "[erased]",
        "Dear [erased], dear [erased]:\n> [erased]\nwe call [erased] or mail [erased]",
        "[erased] of [erased]",
    ]
    assert first[1]["author"]["name"] == "Jane Smith"


def test_the_contact_stays_as_an_id(house: House, before: dict[str, Any]) -> None:
    person = before["person"]
    contact = call(house, "GET", f"/v1/contacts/{person.id}")
    assert contact["erased_at"]
    assert {name: contact[name] for name in ("name", "email", "phone", "company", "external_id", "tags")} == {
        "name": "[erased]", "email": None, "phone": None, "company": None, "external_id": None, "tags": [],
    }  # fmt: skip
    client = house.client(house.cast.admin)
    refused = client.patch(f"/v1/contacts/{person.id}", json={"name": "Back"})
    problem(refused, 409, "conflict", "contact_erased")
    for path, body in (
        ("/v1/tickets", {"subject": "a", "description": "b", "contact_id": person.id}),
        (f"/v1/tickets/{before['bystander']}/comments", {"body": "a", "contact_id": person.id}),
    ):
        error = problem(client.post(path, json=body), 422, "validation_error", "invalid_parameters")
        assert [(one["field"], one["code"]) for one in error["errors"]] == [("contact_id", "contact_erased")]


def test_it_is_recorded(house: House, before: dict[str, Any]) -> None:
    person, done = before["person"], before["erasure"]
    (row,) = house.sql("SELECT ticket_id, actor_id, data FROM events WHERE type = 'contact.erased'")
    assert row == (
        None, house.cast.agent_id, {"contact_id": person.id, "erasure_id": done["id"], "counts": done["counts"]},
    )  # fmt: skip
    counts = done["counts"]
    assert (counts["tickets"], counts["files"], counts["deliveries"]) == (4, 4, 1)
    assert counts["comments"] == 10
    assert counts["resolutions"] == 2
    assert counts["events"] > 20
    for ticket_id in person.tickets:
        told = [one["event_type"] for one in call(house, "GET", f"/v1/tickets/{ticket_id}/events?per_page=100")]
        assert told.count("ticket.erased") == 1
    altered = house.sql("SELECT count(*) FROM event_erasures WHERE erasure_id = %s", (done["id"],))
    assert altered[0][0] >= counts["events"] - 1
    assert house.sql("SELECT stage, sought, kind FROM erasures") == [("done", None, "contact")]


def test_to_repeat_it_is_harmless(house: House, before: dict[str, Any]) -> None:
    rows = dump(house)
    assert erase(house, before["person"].id) == before["erasure"]
    assert dump(house) == rows


def test_a_retry_brings_nothing_back_and_does_nothing_twice(house: House, files: Path, before: dict[str, Any]) -> None:
    tickets = house.sql("SELECT count(*) FROM tickets")
    client = house.client(house.cast.admin)
    assert len(before["person"].repeats) == 7
    for key, path, body in before["person"].repeats:
        answer = client.post(path, json=body, headers={"Idempotency-Key": key})
        problem(answer, 409, "conflict", "answer_erased")
        assert answer.headers["idempotent-replayed"] == "true"
    assert house.sql("SELECT count(*) FROM tickets") == tickets
    (part,) = house.sql("SELECT body FROM idempotent_parts WHERE part = 3")[0]
    assert json.loads(part)["status"] == 409
    assert json.loads(part)["error"]["code"] == "answer_erased"
    key, body = before["person"].bulk
    assert house.sql("SELECT 1 FROM idempotent_parts WHERE part = 0 AND idempotency_key LIKE 'sha256:%'") == [(1,)]
    events = house.sql("SELECT count(*) FROM events")
    again = client.post("/v1/tickets/bulk", json=body, headers={"Idempotency-Key": key})
    assert [one["error"]["code"] for one in again.json()["data"]] == ["answer_erased"]
    assert house.sql("SELECT count(*) FROM events") == events
    assert left_of(house, files) == []


def test_the_mail_address_is_free_again(house: House, before: dict[str, Any]) -> None:
    """Last: it brings the address back, as another contact's."""
    made = call(house, "POST", "/v1/contacts", {"name": "New", "email": EMAIL})
    assert made["id"] != before["person"].id
