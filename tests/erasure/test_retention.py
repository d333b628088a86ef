"""Closed tickets that were kept for as long as their workspace wants are erased by the worker, each once."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import House
from erasure.person import call, erase, left_of, put_file
from kit import wrong_fields
from test_worker import run_task
from tickets.promised import replayed

MARK = "knusperfink"
MARKS = (MARK, "sam taylor writes")


def retain(house: House, files: Path) -> None:
    """The two timers, once."""
    for name in ("erase_old_tickets", "finish_erasures"):
        run_task(house, name, files_dir=files)


def keep_for(house: House, months: int | None, workspace_id: str | None = None) -> None:
    path = f"/v1/workspaces/{workspace_id or house.cast.workspace_id}"
    assert call(house, "PATCH", path, {"retention_months": months})["retention_months"] == months


def closed(house: House, mark: str = MARK, key: str | None = None, **fields: Any) -> dict[str, Any]:
    """A closed ticket full of words."""
    key = key or house.cast.admin
    body = {"subject": mark, "description": mark, "tags": [mark], "custom_fields": {mark: mark}, **fields}
    ticket = call(house, "POST", "/v1/tickets", body, key=key)
    path = f"/v1/tickets/{ticket['id']}"
    call(house, "POST", f"{path}/comments", {"body": f"{mark} says the agent"}, key=key)
    closing = {"resolution_note": mark, "customer_satisfaction": 7, "root_cause": "bug"}
    found: dict[str, Any] = call(house, "PUT", f"{path}/close", closing, key=key)
    return found


@pytest.mark.parametrize("months", [0, -1, 1201, 1.5, "6", True])
def test_months_are_bounded(house: House, months: Any) -> None:
    path = f"/v1/workspaces/{house.cast.workspace_id}"
    answer = house.client(house.cast.admin).patch(path, json={"retention_months": months})
    assert wrong_fields(answer) == {"retention_months"}
    with pytest.raises(psycopg.IntegrityError):
        house.sql("UPDATE workspaces SET retention_months = 1201")


def test_what_was_kept_long_enough_goes_once(house: House, files: Path) -> None:
    old = closed(house, contact_id=house.cast.customer_id, assigned_to=house.cast.agent_id)
    path = f"/v1/tickets/{old['id']}"
    put_file(house, files, f"{MARK}.txt", MARK.encode(), None, old["id"])
    late = closed(house, contact_id=house.cast.customer_id)
    call(house, "PUT", f"/v1/tickets/{late['id']}/reopen")
    said = {"body": "Sam Taylor writes", "contact_id": house.cast.customer_id}
    call(house, "POST", f"/v1/tickets/{old['id']}/comments", said)  # reopens
    call(house, "PUT", f"{path}/close", {"customer_satisfaction": 3})
    elsewhere = closed(house, "bleibstehn", house.cast.stranger)
    resolutions = call(house, "GET", f"{path}/resolutions")
    clock = call(house, "GET", f"{path}/sla")
    house.clock.advance(days=40)
    young = closed(house, "nochjung")
    house.clock.advance(days=2)

    retain(house, files)
    assert left_of(house, files, (MARK,)) == [MARK], "nothing goes before somebody sets it"
    keep_for(house, 2)
    retain(house, files)
    assert left_of(house, files, (MARK,)) == [MARK], "41 days are not two months"
    keep_for(house, 1)
    retain(house, files)

    left = call(house, "GET", path)
    assert (left["subject"], left["description"], left["tags"], left["custom_fields"]) == (
        "[erased]",
        "[erased]",
        [],
        {},
    )
    assert left["contact_id"] == house.cast.customer_id
    assert (left["customer_satisfaction"], left["closed_at"]) == (3, "2025-01-15T09:00:00Z")
    assert [one["body"] for one in call(house, "GET", f"{path}/comments")] == ["[erased]"] * 2
    assert call(house, "GET", f"{path}/sla?at={left['closed_at']}")["cycles"] == clock["cycles"]
    assert [one | {"resolution_note": None} for one in call(house, "GET", f"{path}/resolutions")] == [
        one | {"resolution_note": None} for one in resolutions
    ]
    assert call(house, "GET", f"/v1/contacts/{house.cast.customer_id}")["name"] == "Sam Taylor"
    assert call(house, "GET", f"/v1/tickets/{young['id']}")["subject"] == "nochjung"
    assert call(house, "GET", f"/v1/tickets/{late['id']}")["subject"] == MARK, "it is open"
    theirs = call(house, "GET", f"/v1/tickets/{elsewhere['id']}", key=house.cast.stranger)
    assert theirs["subject"] == "bleibstehn"
    assert replayed(house) == []

    runs = house.sql("SELECT kind, counts, sought FROM erasures")
    assert [(kind, counts["tickets"], counts["files"], sought) for kind, counts, sought in runs] == [
        ("retention", 1, 1, None)
    ]
    assert house.sql(
        "SELECT actor_name, data -> 'counts' ->> 'tickets' FROM events WHERE type = 'retention.erased'"
    ) == [("Retention", "1")]
    retain(house, files)
    assert len(house.sql("SELECT 1 FROM erasures")) == 1, "each ticket is counted once"
    keep_for(house, None)


def test_what_is_said_later_goes_later(house: House, files: Path) -> None:
    """A ticket that was erased, reopened and closed again has words again."""
    ticket = closed(house, "zweitesleben")
    house.clock.advance(days=40)
    keep_for(house, 1)
    retain(house, files)
    path = f"/v1/tickets/{ticket['id']}"
    call(house, "PUT", f"{path}/reopen", {"reason": "zweitesleben again"})
    call(house, "PUT", f"{path}/close", {"resolution_note": "zweitesleben"})
    retain(house, files)
    assert left_of(house, files, ("zweitesleben",)) == ["zweitesleben"]
    house.clock.advance(days=40)
    retain(house, files)
    assert left_of(house, files, ("zweitesleben",)) == []
    keep_for(house, None)


def test_each_workspace_has_its_own(house: House, files: Path) -> None:
    closed(house, "meinsbleibt")
    closed(house, "ihresgeht", house.cast.stranger)
    house.clock.advance(days=40)
    keep_for(house, 1, house.cast.stranger_workspace_id)
    retain(house, files)
    assert left_of(house, files, ("meinsbleibt", "ihresgeht")) == ["meinsbleibt"]


def test_a_note_on_an_old_ticket_goes_too_also_of_an_erased_contact(house: House, files: Path) -> None:
    """An erasure of the person after the close leaves the team's words; retention takes them, and what comes later."""
    person = call(house, "POST", "/v1/contacts", {"name": "Ida"})["id"]
    ticket = closed(house, "spaeternotiz", contact_id=person)
    erase(house, person)
    house.clock.advance(days=40)
    keep_for(house, 1)
    retain(house, files)
    assert left_of(house, files, ("spaeternotiz",)) == []
    call(house, "PATCH", f"/v1/tickets/{ticket['id']}", {"internal_note": "spaeternotiz"})
    retain(house, files)
    assert left_of(house, files, ("spaeternotiz",)) == []
    runs = house.sql("SELECT count(*) FROM erasures")
    retain(house, files)
    assert house.sql("SELECT count(*) FROM erasures") == runs
    keep_for(house, None)
