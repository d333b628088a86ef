"""What the closes of a ticket recorded: one entry a close, oldest first, never changed."""

import re

import pytest
from conftest import House
from kit import close, forbidden, listed, mint, missing_ticket, reopen, wrong_fields

FIELDS = {
    "id", "ticket_id", "cycle", "resolution_note", "customer_satisfaction", "satisfaction_source", "resolution_time",
    "root_cause", "agent_id", "agent_name", "closed_by", "sla", "resolved_at", "closed_at",
}  # fmt: skip


def test_an_open_ticket_has_none(house: House) -> None:
    answer = house.client(house.cast.reader).get(f"/v1/tickets/{house.ticket()['id']}/resolutions")
    assert answer.status_code == 200
    assert answer.json() == {"data": [], "meta": {"total": 0, "page": 1, "per_page": 25, "total_pages": 0}}


def test_a_close_adds_one_with_all_that_it_recorded(house: House) -> None:
    ticket = house.ticket(assigned_to=house.cast.agent_id)
    house.clock.advance(hours=30)
    closed = close(
        house, ticket, resolution_note="Sent.", customer_satisfaction=7, resolution_time=20, root_cause="Late delivery"
    )
    (resolution,) = listed(house, ticket, "resolutions")
    assert set(resolution) >= FIELDS
    assert re.fullmatch(r"res_[A-Za-z0-9_]{1,60}", resolution["id"])
    for name in (
        "resolution_note", "customer_satisfaction", "satisfaction_source", "resolution_time", "root_cause",
        "resolved_at", "closed_at",
    ):  # fmt: skip
        assert resolution[name] == closed[name], name
    assert (resolution["ticket_id"], resolution["cycle"]) == (ticket["id"], 1)
    assert (resolution["agent_id"], resolution["agent_name"]) == (house.cast.agent_id, "Jane Smith")
    assert resolution["closed_by"]["type"] == "key"
    assert resolution["closed_by"]["name"] == "admin"
    for name in ("response_met", "resolution_met"):
        assert resolution["sla"][name] is closed["sla"][name]
    assert (resolution["sla"]["response_met"], resolution["sla"]["resolution_met"]) == (False, True)
    event = listed(house, ticket, "events")[-1]
    assert event["data"]["resolution"] == resolution


def test_earlier_ones_stay_as_they_are_and_come_first(house: House) -> None:
    ticket = house.ticket()
    seen: list[dict[str, object]] = []
    for cycle in range(1, 5):
        house.clock.advance(hours=20)
        close(house, ticket, customer_satisfaction=cycle, resolution_note=f"cycle {cycle}")
        now = listed(house, ticket, "resolutions")
        assert now[:-1] == seen
        assert now[-1]["cycle"] == cycle
        assert now[-1]["customer_satisfaction"] == cycle
        seen = now
        house.clock.advance(hours=20)
        reopen(house, ticket)
        assert listed(house, ticket, "resolutions") == seen
    assert [entry["sla"]["resolution_met"] for entry in seen] == [True, True, True, False]


def test_pages_see_every_resolution_once(house: House) -> None:
    ticket = house.ticket()
    for _ in range(5):
        close(house, ticket)
        reopen(house, ticket)
    client = house.client(house.cast.reader)
    path = f"/v1/tickets/{ticket['number']}/resolutions"
    cycles = []
    for page in (1, 2, 3, 4):
        body = client.get(path, params={"page": page, "per_page": 2}).json()
        assert body["meta"] == {"total": 5, "page": page, "per_page": 2, "total_pages": 3}
        cycles += [entry["cycle"] for entry in body["data"]]
    assert cycles == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("what", ["resolutions", "events"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("page", value) for value in ("0", "-1", "x", "", "1.5", "9" * 30)],
        *[("per_page", value) for value in ("0", "101", "1e1", "\x00")],
    ],
)
def test_a_wrong_page_is_refused_by_name(house: House, what: str, name: str, value: str) -> None:
    answer = house.client(house.cast.reader).get(f"/v1/tickets/{house.ticket()['id']}/{what}", params={name: value})
    assert wrong_fields(answer) == {name}


@pytest.mark.parametrize("what", ["resolutions", "events"])
def test_a_far_page_is_empty(house: House, what: str) -> None:
    path = f"/v1/tickets/{house.ticket()['id']}/{what}"
    for page in (2, 1_000_000, 1_000_000_000):
        answer = house.client(house.cast.reader).get(path, params={"page": page, "per_page": 100})
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"] == []


@pytest.mark.parametrize("what", ["resolutions", "events"])
def test_they_need_the_read_scope(house: House, what: str) -> None:
    ticket = house.ticket()
    writer = mint(house, "tickets:write")
    forbidden(house.client(writer).get(f"/v1/tickets/{ticket['id']}/{what}"), "tickets:read")


@pytest.mark.parametrize("what", ["resolutions", "events"])
def test_those_of_a_strangers_ticket_are_not_found(house: House, what: str) -> None:
    ticket = house.ticket()
    close(house, ticket)
    for key in (house.cast.stranger, house.cast.test_key):
        for reference in (ticket["id"], ticket["number"], "ticket_nobody"):
            missing_ticket(house.client(key).get(f"/v1/tickets/{reference}/{what}"))
