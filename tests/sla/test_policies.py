"""Calendars and policies by API: made, read, changed by new versions, and which ticket gets which."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from conftest import House
from kit import JSON, forbidden, mint, problem, raw, wrong_fields

CALENDARS = "/v1/sla/calendars"
POLICIES = "/v1/sla/policies"
OFFICE = {
    "name": "Office",
    "opening_hours": "Mo-Fr 09:00-17:00; PH off",
    "time_zone": "Europe/Berlin",
    "country": "DE",
    "closed_days": ["2025-12-24", "2025-01-20", "2025-12-24"],
}
TARGETS = {"1": {"response": 60, "resolution": 480}, "3": {"response": None, "resolution": 600}}


def iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def post(house: House, path: str, body: Any, key: str | None = None) -> httpx.Response:
    return house.client(key or house.cast.admin).post(path, content=raw(body), headers=JSON)


def patch(house: House, path: str, body: Any) -> httpx.Response:
    return house.client(house.cast.admin).patch(path, content=raw(body), headers=JSON)


def data(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code in {200, 201}, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def calendar(house: House, **fields: Any) -> dict[str, Any]:
    return data(post(house, CALENDARS, {**OFFICE, **fields}))


def policy(house: House, **fields: Any) -> dict[str, Any]:
    """A policy that no ticket gets by chance."""
    body = {"name": "Gold", "targets": TARGETS, "conditions": {"category": ["nothing"]}, **fields}
    return data(post(house, POLICIES, body))


def read(house: House, path: str) -> dict[str, Any]:
    return data(house.client(house.cast.admin).get(path))


def held(house: House, ticket: dict[str, Any]) -> tuple[str, int]:
    """The policy and version that a ticket has."""
    found = read(house, f"/v1/tickets/{ticket['id']}/sla")
    return found["policy_id"], found["policy_version"]


# ---- works


def test_a_calendar_is_made_read_listed_and_changed(house: House) -> None:
    answer = post(house, CALENDARS, OFFICE)
    made = data(answer)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{CALENDARS}/{made['id']}"
    assert made["id"].startswith("cal_")
    days = ["2025-01-20", "2025-12-24"]
    assert {**made, **OFFICE, "closed_days": days} == made
    assert made["created_at"] == made["updated_at"] == iso(house.clock())
    assert read(house, f"{CALENDARS}/{made['id']}") == made
    page = house.client(house.cast.admin).get(CALENDARS, params={"per_page": 100}).json()
    assert made in page["data"]
    assert page["meta"]["total"] == len(page["data"])
    house.clock.advance(hours=1)
    changed = data(patch(house, f"{CALENDARS}/{made['id']}", {"closed_days": None, "country": "FR", "name": "Bureau"}))
    assert changed == {
        **made,
        "closed_days": [],
        "country": "FR",
        "name": "Bureau",
        "updated_at": iso(house.clock()),
    }
    assert read(house, f"{CALENDARS}/{made['id']}") == changed


def test_a_calendar_needs_a_name_and_hours_only(house: House) -> None:
    made = data(post(house, CALENDARS, {"name": "Always", "opening_hours": "24/7", "time_zone": None, "country": None}))
    assert (made["time_zone"], made["country"], made["closed_days"]) == ("UTC", None, [])


def test_a_policy_is_made_read_listed_and_changed(house: House) -> None:
    hours = calendar(house)
    escalations = [
        {"on": "breach", "target": "resolution", "raise_priority": True, "add_tag": "late", "note": "Hurry."}
    ]
    body = {
        "name": "Gold",
        "position": 7,
        "calendar_id": hours["id"],
        "targets": TARGETS,
        "pause_on_third_party": True,
        "conditions": {"category": ["billing"], "tags": ["vip"]},
        "escalations": escalations,
    }
    answer = post(house, POLICIES, body)
    made = data(answer)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{POLICIES}/{made['id']}"
    assert made["id"].startswith("sla_")
    assert (made["version"], made["position"], made["active"], made["is_default"]) == (1, 7, True, False)
    assert (made["calendar_id"], made["pause_on_third_party"], made["targets"]) == (hours["id"], True, TARGETS)
    assert made["conditions"] == {"category": ["billing"], "tags": ["vip"], "contact_id": None, "priority": None}
    assert made["escalations"] == [{**escalations[0], "assign_to": None}]
    assert read(house, f"{POLICIES}/{made['id']}") == made
    page = house.client(house.cast.admin).get(POLICIES, params={"per_page": 100}).json()
    assert made in page["data"]
    house.clock.advance(hours=1)
    changed = data(patch(house, f"{POLICIES}/{made['id']}", {"name": "Platinum", "calendar_id": None}))
    assert changed == {
        **made,
        "name": "Platinum",
        "calendar_id": None,
        "version": 2,
        "updated_at": iso(house.clock()),
    }
    assert read(house, f"{POLICIES}/{made['id']}") == changed


def test_put_is_patch(house: House) -> None:
    hours, gold = calendar(house), policy(house)
    client = house.client(house.cast.admin)
    assert data(client.put(f"{CALENDARS}/{hours['id']}", json={"name": "A"})) == {**hours, "name": "A"}
    assert data(client.put(f"{POLICIES}/{gold['id']}", json={"name": "A"})) == {**gold, "name": "A", "version": 2}


def test_null_is_not_given_on_create(house: House) -> None:
    optional = ("position", "calendar_id", "pause_on_third_party", "conditions", "escalations")
    made = data(post(house, POLICIES, {"name": "Plain", "targets": {}, **dict.fromkeys(optional)}))
    assert (made["calendar_id"], made["pause_on_third_party"], made["escalations"]) == (None, False, [])
    assert made["position"] > 0
    assert data(patch(house, f"{POLICIES}/{made['id']}", {"active": False}))["active"] is False
    nulls = {"target": None, "raise_priority": None, "assign_to": None, "add_tag": None, "note": None}
    escalated = policy(house, escalations=[{"on": "warning", **nulls}])["escalations"]
    assert escalated == [{"on": "warning", **nulls, "raise_priority": False}]


# ---- wrong scope, strangers


def test_each_call_needs_its_scope(house: House) -> None:
    hours, gold = calendar(house), policy(house)
    nothing = house.client(mint(house, "tickets:read", "tickets:write"))
    reader = house.client(house.cast.reader)
    for path, one in ((CALENDARS, hours), (POLICIES, gold)):
        for reading in (path, f"{path}/{one['id']}"):
            forbidden(nothing.get(reading), "sla:read")
            assert reader.get(reading).status_code == 200
        forbidden(reader.post(path, json={}), "sla:write")
        forbidden(reader.patch(f"{path}/{one['id']}", json={}), "sla:write")
        forbidden(reader.put(f"{path}/{one['id']}", json={}), "sla:write")
        assert read(house, f"{path}/{one['id']}") == one
    forbidden(reader.post(f"{POLICIES}/{gold['id']}/apply"), "sla:write")


def test_write_does_not_include_read(house: House) -> None:
    writer = house.client(mint(house, "sla:write"))
    forbidden(writer.get(CALENDARS), "sla:read")
    forbidden(writer.get(POLICIES), "sla:read")
    assert writer.post(CALENDARS, json=OFFICE).status_code == 201


def test_a_stranger_finds_nothing(house: House) -> None:
    hours, gold = calendar(house), policy(house)
    for key in (house.cast.stranger, house.cast.test_key):
        client = house.client(key)
        for path, one, code in ((CALENDARS, hours, "calendar_not_found"), (POLICIES, gold, "policy_not_found")):
            for call in (client.get, client.patch, client.put):
                body = {} if call == client.get else {"json": {"name": "Mine"}}
                problem(call(f"{path}/{one['id']}", **body), 404, "not_found", code)
            listed = client.get(path, params={"per_page": 100}).json()["data"]
            assert one["id"] not in {other["id"] for other in listed}
            assert read(house, f"{path}/{one['id']}") == one
        problem(client.post(f"{POLICIES}/{gold['id']}/apply"), 404, "not_found", "policy_not_found")


def test_a_strangers_calendar_and_user_cannot_be_used(house: House) -> None:
    theirs = data(post(house, CALENDARS, OFFICE, house.cast.stranger))
    body = {"name": "A", "targets": {}, "conditions": {"category": ["nothing"]}}
    assert wrong_fields(post(house, POLICIES, {**body, "calendar_id": theirs["id"]})) == {"calendar_id"}
    escalations = [{"on": "breach"}, {"on": "breach", "assign_to": house.cast.stranger_user_id}]
    assert wrong_fields(post(house, POLICIES, {**body, "escalations": escalations})) == {"escalations.1.assign_to"}
    gold = policy(house)
    assert wrong_fields(patch(house, f"{POLICIES}/{gold['id']}", {"calendar_id": theirs["id"]})) == {"calendar_id"}
    answer = patch(house, f"{POLICIES}/{gold['id']}", {"escalations": escalations})
    assert wrong_fields(answer) == {"escalations.1.assign_to"}
    assert read(house, f"{POLICIES}/{gold['id']}") == gold


# ---- bad input


BAD_CALENDARS = [
    ({"name": ""}, {"name"}),
    ({"name": "x" * 101}, {"name"}),
    ({"name": None}, {"name"}),
    ({"opening_hours": ""}, {"opening_hours"}),
    ({"opening_hours": "x" * 1001}, {"opening_hours"}),
    ({"opening_hours": " "}, {"opening_hours"}),
    ({"opening_hours": "a\x00b"}, {"opening_hours"}),
    ({"opening_hours": "Mo-Fr 9-"}, {"opening_hours"}),
    ({"opening_hours": 24}, {"opening_hours"}),
    ({"time_zone": "Europe/Nowhere"}, {"time_zone"}),
    ({"time_zone": "../../etc/passwd"}, {"time_zone"}),
    ({"time_zone": "/etc/passwd"}, {"time_zone"}),
    ({"time_zone": ""}, {"time_zone"}),
    ({"time_zone": "UTC+3"}, {"time_zone"}),
    ({"country": "de"}, {"country"}),
    ({"country": "DEU"}, {"country"}),
    ({"country": "XX"}, {"country"}),
    ({"country": None}, {"country"}),
    ({"closed_days": ["2025-02-29"]}, {"closed_days.0"}),
    ({"closed_days": ["2025-02-28", "24.12.2025"]}, {"closed_days.1"}),
    ({"closed_days": ["20251224"]}, {"closed_days.0"}),
    ({"closed_days": ["9999-12-31"]}, {"closed_days.0"}),
    ({"closed_days": ["0001-01-01"]}, {"closed_days.0"}),
    ({"closed_days": ["2025-12-24T00:00:00Z"]}, {"closed_days.0"}),
    ({"closed_days": [20251224]}, {"closed_days.0"}),
    ({"closed_days": "2025-12-24"}, {"closed_days"}),
    ({"closed_days": ["2025-12-24"] * 401}, {"closed_days"}),
    ({"colour": "red", "name": 1}, {"colour", "name"}),
]


@pytest.mark.parametrize(
    ("fields", "wrong"), BAD_CALENDARS, ids=lambda it: str(sorted(it) if isinstance(it, set) else it)[:40]
)
def test_a_wrong_calendar_names_the_field(house: House, fields: dict[str, Any], wrong: set[str]) -> None:
    assert wrong_fields(post(house, CALENDARS, {**OFFICE, **fields})) == wrong
    hours = calendar(house)
    assert wrong_fields(patch(house, f"{CALENDARS}/{hours['id']}", fields)) == wrong
    assert read(house, f"{CALENDARS}/{hours['id']}") == hours


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        ("Mo-Fr 9-", "line 1, column 7: expected "),
        ("Mo-Fr 09:00-17:00; PX off", "line 1, column "),
        ("Mo 09:00-25:99", "line 1, column "),
    ],
)
def test_hours_are_refused_in_the_parsers_words_and_place(house: House, expression: str, place: str) -> None:
    answer = post(house, CALENDARS, {**OFFICE, "opening_hours": expression})
    (told,) = answer.json()["error"]["errors"]
    assert (told["field"], told["code"]) == ("opening_hours", "invalid_calendar")
    assert told["message"].startswith(place)
    assert "\n" not in told["message"]


def test_holidays_without_a_country_are_refused_also_when_it_goes_later(house: House) -> None:
    assert wrong_fields(post(house, CALENDARS, {"name": "A", "opening_hours": "Mo; PH off"})) == {"country"}
    plain = calendar(house, opening_hours="Mo-Fr 09:00-17:00")
    assert data(patch(house, f"{CALENDARS}/{plain['id']}", {"country": None}))["country"] is None
    assert wrong_fields(patch(house, f"{CALENDARS}/{plain['id']}", {"opening_hours": "Mo; PH off"})) == {"country"}


BAD_POLICIES = [
    ({"name": ""}, {"name"}),
    ({"name": None}, {"name"}),
    ({"position": 0}, {"position"}),
    ({"position": 1_000_001}, {"position"}),
    ({"position": "1"}, {"position"}),
    ({"calendar_id": "cal_nobody"}, {"calendar_id"}),
    ({"calendar_id": 1}, {"calendar_id"}),
    ({"targets": None}, {"targets"}),
    ({"targets": {"5": {"response": 1}}}, {"targets"}),
    ({"targets": {"one": {}}}, {"targets"}),
    ({"targets": {"01": {}}}, {"targets"}),
    ({"targets": {"1": {"response": 0}}}, {"targets.1.response"}),
    ({"targets": {"1": {"resolution": 5_256_001}}}, {"targets.1.resolution"}),
    ({"targets": {"1": {"resolution": 1.5, "response": True}}}, {"targets.1.resolution", "targets.1.response"}),
    ({"targets": {"1": {"first": 1}}}, {"targets.1.first"}),
    ({"targets": {"1": None}}, {"targets.1"}),
    ({"pause_on_third_party": "yes"}, {"pause_on_third_party"}),
    ({"conditions": {"category": "billing"}}, {"conditions.category"}),
    ({"conditions": {"priority": [0, 5]}}, {"conditions.priority.0", "conditions.priority.1"}),
    ({"conditions": {"tags": ["x" * 51]}}, {"conditions.tags.0"}),
    ({"conditions": {"subject": ["x"]}}, {"conditions.subject"}),
    ({"escalations": [{"on": "never"}]}, {"escalations.0.on"}),
    ({"escalations": [{"target": "response"}]}, {"escalations.0.on"}),
    ({"escalations": [{"on": "breach", "target": "both"}]}, {"escalations.0.target"}),
    ({"escalations": [{"on": "breach", "assign_to": "user_nobody"}]}, {"escalations.0.assign_to"}),
    ({"escalations": [{"on": "breach", "note": "x" * 2001}]}, {"escalations.0.note"}),
    ({"escalations": [{"on": "breach"}] * 21}, {"escalations"}),
    ({"version": 3}, {"version"}),
]


@pytest.mark.parametrize(
    ("fields", "wrong"), BAD_POLICIES, ids=lambda it: str(sorted(it) if isinstance(it, set) else it)[:40]
)
def test_a_wrong_policy_names_the_field(house: House, fields: dict[str, Any], wrong: set[str]) -> None:
    body = {"name": "A", "targets": TARGETS, "conditions": {"category": ["nothing"]}}
    assert wrong_fields(post(house, POLICIES, {**body, **fields})) == wrong
    gold = policy(house)
    assert wrong_fields(patch(house, f"{POLICIES}/{gold['id']}", fields)) == wrong
    assert read(house, f"{POLICIES}/{gold['id']}") == gold


def test_what_cannot_be_empty_cannot_be_cleared(house: House) -> None:
    gold, hours = policy(house), calendar(house)
    for name in ("name", "position", "active", "targets", "pause_on_third_party"):
        assert wrong_fields(patch(house, f"{POLICIES}/{gold['id']}", {name: None})) == {name}
    for name in ("name", "opening_hours", "time_zone"):
        assert wrong_fields(patch(house, f"{CALENDARS}/{hours['id']}", {name: None})) == {name}


# ---- versions


def test_an_edit_makes_a_new_version_and_tickets_keep_theirs(house: House) -> None:
    gold = policy(house, conditions={"category": ["versions"]})
    first = house.ticket(category="versions", priority=1)
    assert held(house, first) == (gold["id"], 1)
    patch(house, f"{POLICIES}/{gold['id']}", {"targets": {"1": {"response": 5, "resolution": 10}}})
    second = house.ticket(category="versions", priority=1)
    assert held(house, first) == (gold["id"], 1)
    assert held(house, second) == (gold["id"], 2)
    assert read(house, f"/v1/tickets/{first['id']}")["sla"] == first["sla"]
    assert first["sla"]["resolution_due_at"] == iso(house.clock() + timedelta(minutes=480))
    assert second["sla"]["resolution_due_at"] == iso(house.clock() + timedelta(minutes=10))
    house.clock.advance(minutes=20)
    for ticket, met in ((first, True), (second, False)):
        closed = data(house.client(house.cast.admin).put(f"/v1/tickets/{ticket['id']}/close"))
        assert closed["sla"]["resolution_met"] is met


def test_an_edit_that_changes_nothing_makes_no_version(house: House) -> None:
    hours = calendar(house)
    gold = policy(house, calendar_id=hours["id"])
    house.clock.advance(hours=1)
    for body in ({}, {"name": "Gold"}, {"targets": TARGETS}, {"calendar_id": hours["id"], "active": True}):
        assert data(patch(house, f"{POLICIES}/{gold['id']}", body)) == gold
    for body in ({}, {"name": "Office"}, {"closed_days": ["2025-12-24", "2025-01-20"]}):
        assert data(patch(house, f"{CALENDARS}/{hours['id']}", body)) == hours
    assert read(house, f"{POLICIES}/{gold['id']}") == gold


def test_a_calendar_edit_makes_new_versions_of_the_policies_that_use_it(house: House) -> None:
    hours, others = calendar(house, opening_hours="24/7"), calendar(house)
    mine = policy(house, calendar_id=hours["id"], conditions={"category": ["edited"]})
    theirs = policy(house, calendar_id=others["id"])
    before = house.ticket(category="edited", priority=1)
    patch(house, f"{CALENDARS}/{hours['id']}", {"opening_hours": "Mo-Su 00:00-01:00"})
    after = house.ticket(category="edited", priority=1)
    assert read(house, f"{POLICIES}/{mine['id']}")["version"] == 2
    assert read(house, f"{POLICIES}/{theirs['id']}") == theirs
    shown = [read(house, f"/v1/tickets/{ticket['id']}/sla") for ticket in (before, after)]
    assert [it["policy_version"] for it in shown] == [1, 2]
    assert [it["calendar"]["opening_hours"] for it in shown] == ["24/7", "Mo-Su 00:00-01:00"]
    assert read(house, f"/v1/tickets/{before['id']}")["sla"] == before["sla"]
    assert after["sla"]["response_due_at"] > before["sla"]["response_due_at"]


def test_the_calendar_of_a_policy_can_be_changed_for_another(house: House) -> None:
    first, second = calendar(house, name="First"), calendar(house, name="Second")
    gold = policy(house, calendar_id=first["id"])
    patch(house, f"{POLICIES}/{gold['id']}", {"calendar_id": second["id"]})
    patch(house, f"{CALENDARS}/{first['id']}", {"opening_hours": "24/7"})
    assert read(house, f"{POLICIES}/{gold['id']}")["version"] == 2
    patch(house, f"{CALENDARS}/{second['id']}", {"opening_hours": "24/7"})
    assert read(house, f"{POLICIES}/{gold['id']}")["version"] == 3


# ---- which ticket gets which


@pytest.fixture
def ordered(house: House) -> dict[str, str]:
    """Policies with conditions, by what they are for; made in another order than they are tried in."""
    c = house.cast
    made = {
        "both": policy(house, position=3, conditions={"category": ["order"], "tags": ["vip", "gold"], "priority": [1]}),
        "tagged": policy(house, position=4, conditions={"tags": ["vip"]}),
        "contact": policy(house, position=2, conditions={"contact_id": [c.customer_id], "category": ["order"]}),
        "urgent": policy(house, position=4, conditions={"priority": [1, 2], "category": ["order"]}),
    }
    return {one["id"]: name for name, one in made.items()} | {"sla_default": "default"}


def test_the_first_policy_whose_conditions_hold_is_taken(house: House, ordered: dict[str, str]) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"category": "order", "tags": ["vip"], "priority": 1}, "both"),
        ({"category": "order", "tags": ["x", "gold"], "priority": 1}, "both"),
        ({"category": "order", "tags": ["vip"], "priority": 1, "contact_id": house.cast.customer_id}, "contact"),
        ({"category": "order", "tags": ["vip"], "priority": 2}, "tagged"),
        ({"category": "order", "priority": 2}, "urgent"),
        ({"category": "order", "priority": 3}, "default"),
        ({"category": "Order", "priority": 1}, "default"),
        ({"tags": ["VIP"]}, "default"),
        ({}, "default"),
    ]
    for fields, name in cases:
        assert ordered[held(house, house.ticket(**fields))[0]] == name, fields


def test_policies_are_listed_in_their_order_the_default_last(house: House, ordered: dict[str, str]) -> None:
    listed = house.client(house.cast.admin).get(POLICIES, params={"per_page": 100}).json()["data"]
    places = [(one["position"] or 2**31, one["id"]) for one in listed]
    assert places == sorted(places)
    assert (listed[-1]["id"], listed[-1]["position"], listed[-1]["is_default"]) == ("sla_default", None, True)
    second = house.client(house.cast.admin).get(POLICIES, params={"per_page": 1, "page": 2}).json()
    assert second["data"] == listed[1:2]
    assert second["meta"]["total"] == len(listed)


def test_a_new_policy_comes_after_the_others_and_before_the_default(house: House) -> None:
    last = max(
        one["position"] or 0
        for one in house.client(house.cast.admin).get(POLICIES, params={"per_page": 100}).json()["data"]
    )
    assert policy(house)["position"] == last + 1


def test_an_inactive_policy_is_passed_over(house: House) -> None:
    gold = policy(house, conditions={"category": ["inactive"]})
    patch(house, f"{POLICIES}/{gold['id']}", {"active": False})
    assert held(house, house.ticket(category="inactive"))[0] == "sla_default"
    patch(house, f"{POLICIES}/{gold['id']}", {"active": True})
    assert held(house, house.ticket(category="inactive"))[0] == gold["id"]


def test_a_ticket_keeps_its_policy_when_it_no_longer_meets_the_conditions(house: House) -> None:
    gold = policy(house, conditions={"category": ["kept"]})
    ticket = house.ticket(category="kept")
    data(patch(house, f"/v1/tickets/{ticket['id']}", {"category": "other"}))
    assert held(house, ticket) == (gold["id"], 1)


# ---- the default


def test_every_workspace_has_the_default(house: House) -> None:
    for key in (house.cast.admin, house.cast.stranger, house.cast.test_key):
        found = house.client(key).get(f"{POLICIES}/sla_default").json()["data"]
        assert (found["is_default"], found["position"], found["calendar_id"]) == (True, None, None)
        assert found["targets"] == {
            "1": {"response": 60, "resolution": 480},
            "2": {"response": 480, "resolution": 1440},
            "3": {"response": 1440, "resolution": 4320},
            "4": {"response": 10080, "resolution": 20160},
        }


def test_the_default_stays_last_active_and_for_all(house: House) -> None:
    answer = patch(house, f"{POLICIES}/sla_default", {"position": 1, "active": False, "conditions": {}, "name": "D"})
    assert wrong_fields(answer) == {"position", "active", "conditions"}
    assert read(house, f"{POLICIES}/sla_default")["name"] == "Default"


def test_the_default_has_versions_too(house: House) -> None:
    client = house.client(house.cast.test_key)
    made = client.post("/v1/tickets", json={"subject": "a", "description": "b"}).json()["data"]
    changed = client.patch(f"{POLICIES}/sla_default", json={"targets": {}}).json()["data"]
    assert changed["version"] == 2
    none = client.post("/v1/tickets", json={"subject": "a", "description": "b"}).json()["data"]
    assert (none["sla"]["response_due_at"], none["sla"]["resolution_due_at"]) == (None, None)
    closed = client.put(f"/v1/tickets/{none['id']}/close").json()["data"]
    assert (closed["sla"]["response_met"], closed["sla"]["resolution_met"]) == (None, None)
    assert client.put(f"/v1/tickets/{made['id']}/close").json()["data"]["sla"]["resolution_met"] is True
    assert read(house, f"{POLICIES}/sla_default")["version"] == 1


# ---- many at once


def test_edits_at_once_are_all_kept(house: House) -> None:
    """Of a policy and of its calendar: each change is in the last version, and no version is made twice."""
    hours = calendar(house, opening_hours="24/7", country=None)
    gold = policy(house, calendar_id=hours["id"], conditions={"category": ["raced"]})
    mine, theirs = f"{POLICIES}/{gold['id']}", f"{CALENDARS}/{hours['id']}"
    edits: list[tuple[str, dict[str, Any]]] = [
        (mine, {"name": "Raced"}),
        (theirs, {"opening_hours": "Mo-Fr 09:00-17:00"}),
        (mine, {"pause_on_third_party": True}),
        (theirs, {"time_zone": "Asia/Tokyo"}),
        (mine, {"targets": {"1": {"response": 1}}}),
        (theirs, {"closed_days": ["2025-12-24"]}),
        (mine, {"position": 900}),
        (theirs, {"name": "Raced hours"}),
    ]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda edit: patch(house, *edit), edits))
    assert [answer.status_code for answer in answers] == [200] * 8
    found = read(house, mine)
    assert (found["name"], found["pause_on_third_party"], found["position"]) == ("Raced", True, 900)
    assert found["targets"] == {"1": {"response": 1, "resolution": None}}
    assert found["version"] == 9
    shown = read(house, f"/v1/tickets/{house.ticket(category='raced')['id']}/sla")["calendar"]
    assert shown == {
        "opening_hours": "Mo-Fr 09:00-17:00",
        "time_zone": "Asia/Tokyo",
        "country": None,
        "closed_days": ["2025-12-24"],
    }


def test_policies_made_at_once_get_places_of_their_own(house: House) -> None:
    with ThreadPoolExecutor(8) as threads:
        places = list(threads.map(lambda _: policy(house)["position"], range(8)))
    assert len(set(places)) == 8


def test_the_versions_of_a_policy_cannot_be_altered(house: House) -> None:
    with pytest.raises(Exception, match="append-only"):
        house.sql("UPDATE sla_policy_versions SET name = 'x'")
