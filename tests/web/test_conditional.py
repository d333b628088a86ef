"""ETag and If-Match: a change made for another version of the ticket is refused, and nothing is lost silently."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from conftest import House
from kit import close, get, missing_ticket, problem, reopen, stored


def tag(house: House, ticket_id: str) -> str:
    etag: str = house.client(house.cast.admin).get(f"/v1/tickets/{ticket_id}").headers["etag"]
    return etag


def put(house: House, ticket_id: str, call: str, if_match: str) -> httpx.Response:
    return house.client(house.cast.admin).put(f"/v1/tickets/{ticket_id}/{call}", headers={"If-Match": if_match})


def test_every_single_ticket_carries_the_etag_of_its_version(house: House) -> None:
    admin = house.client(house.cast.admin)
    created = admin.post("/v1/tickets", json={"subject": "a", "description": "b"})
    path = f"/v1/tickets/{created.json()['data']['id']}"
    seen = [created.headers["etag"]]
    for call in ("close", "reopen", "close"):
        assert admin.get(path).headers["etag"] == seen[-1]
        seen.append(admin.put(f"{path}/{call}").headers["etag"])
    assert len(set(seen)) == 4
    assert all(etag.startswith('"') and etag.endswith('"') and len(etag) > 2 for etag in seen)


def test_the_current_version_is_let_through(house: House) -> None:
    ticket = house.ticket()["id"]
    assert put(house, ticket, "close", tag(house, ticket)).status_code == 200
    assert put(house, ticket, "reopen", tag(house, ticket)).status_code == 200


@pytest.mark.parametrize("call", ["close", "reopen"])
def test_another_version_is_412_and_names_the_current_one(house: House, call: str) -> None:
    ticket = house.ticket()
    old = tag(house, ticket["id"])
    close(house, ticket)
    if call == "close":
        reopen(house, ticket)
    before, now = stored(house), get(house, ticket)
    answer = put(house, ticket["id"], call, old)
    error = problem(answer, 412, "precondition_failed", "stale_ticket")
    assert error["current"] == tag(house, ticket["id"]) != old
    assert stored(house) == before
    assert get(house, ticket) == now
    assert put(house, ticket["id"], call, error["current"]).status_code == 200


@pytest.mark.parametrize("form", ["*", "W/{}", "{}, {}", '"0", {}', '"x",W/{}', '"a" , "b","c",{}'])
def test_forms_that_name_the_current_version(house: House, form: str) -> None:
    ticket = house.ticket()["id"]
    answer = put(house, ticket, "close", form.replace("{}", tag(house, ticket)))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("form", ['"0"', '"999"', "1", "", '""', '"0", "2"', 'W/"0"', "'1'", '"1', '"-1"', '"1""1"'])
def test_forms_that_name_another_version(house: House, form: str) -> None:
    ticket = house.ticket()
    assert tag(house, ticket["id"]) == '"1"'
    problem(put(house, ticket["id"], "close", form), 412, "precondition_failed", "stale_ticket")
    assert get(house, ticket) == ticket


def test_two_who_saw_the_same_version_cannot_both_change_it(house: House) -> None:
    ticket = house.ticket()["id"]
    seen = tag(house, ticket)
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: put(house, ticket, "close", seen), range(16)))
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 15


def test_any_version_still_conflicts(house: House) -> None:
    ticket = house.ticket()
    close(house, ticket)
    problem(put(house, ticket["id"], "close", "*"), 409, "conflict", "ticket_already_closed")


def test_a_strangers_ticket_has_no_version(house: House) -> None:
    ticket = house.ticket()
    for form in ("*", '"1"', '"7"'):
        answer = house.client(house.cast.stranger).put(f"/v1/tickets/{ticket['id']}/close", headers={"If-Match": form})
        missing_ticket(answer)
