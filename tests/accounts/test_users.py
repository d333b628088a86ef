"""Users: the team, created, found, changed; who is deactivated keeps their tickets and gets no new ones."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from conftest import House
from kit import forbidden, get, mint, problem, raw, strings_between, wrong_fields

FIELDS = {"id", "name", "email", "role", "active", "created_at"}


def create(house: House, key: str | None = None, **fields: Any) -> httpx.Response:
    body = {"name": "Some Agent", "email": "some@example.com", **fields}
    return house.client(key or house.cast.admin).post("/v1/users", json=body)


def made(house: House, name: str, key: str | None = None, **fields: Any) -> dict[str, Any]:
    email = f"{name.lower().replace(' ', '.')}@example.com"
    answer = create(house, key, **{"name": name, "email": email, **fields})
    assert answer.status_code == 201, answer.text
    user: dict[str, Any] = answer.json()["data"]
    assert set(user) == FIELDS
    return user


def patch(house: House, user: dict[str, Any], key: str | None = None, **fields: Any) -> httpx.Response:
    return house.client(key or house.cast.admin).patch(f"/v1/users/{user['id']}", json=fields)


def read(house: House, user: dict[str, Any]) -> dict[str, Any]:
    answer = house.client(house.cast.reader).get(f"/v1/users/{user['id']}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def names(house: House, key: str | None = None, **query: Any) -> list[str]:
    answer = house.client(key or house.cast.reader).get("/v1/users", params={"per_page": 100, **query})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["meta"]["total"] == len(body["data"])
    return [user["name"] for user in body["data"]]


def test_name_and_mail_are_enough(house: House) -> None:
    answer = create(house, name="Two Fields", email="two.fields@example.com")
    user = answer.json()["data"]
    assert (answer.status_code, answer.headers["location"]) == (201, f"/v1/users/{user['id']}")
    assert user["id"].startswith("user_")
    assert (user["role"], user["active"]) == ("agent", True)
    assert read(house, user) == user


def test_an_id_and_a_role_may_be_brought_along(house: House) -> None:
    user = made(house, "Brought Along", id="user_brought", role="admin")
    assert (user["id"], user["role"]) == ("user_brought", "admin")
    assert problem(create(house, id="user_brought"), 409, "conflict", "user_id_taken")["field"] == "id"
    assert made(house, "Elsewhere", house.cast.stranger, id="user_brought")["id"] == "user_brought"


BAD: dict[str, list[Any]] = {
    "id": ["jane", "contact_jane", "user_", "user_a-b", "user_" + "x" * 60, 1],
    "email": ["", "jane", "jane@", "a b@example.com", "x" * 250 + "@example.com", 1, None],
    "role": ["owner", "", 1, "Admin"],
    "unknown": [1],
    "active": ["yes", 1, "true"],
}


@pytest.mark.parametrize("field", BAD)
def test_a_wrong_value_is_refused_by_name(house: House, field: str) -> None:
    user = made(house, f"Wrong {field}")
    before = names(house)
    for value in BAD[field]:
        assert wrong_fields(create(house, **{field: value})) == {field}, value
        assert wrong_fields(patch(house, user, **{field: value})) == {field}, value
    assert names(house) == before
    assert read(house, user) == user


def test_the_name_has_1_to_200_characters(house: House) -> None:
    good, bad = strings_between(1, 200)
    user = made(house, "Long Name")
    for value in good:
        assert patch(house, user, name=value).json()["data"]["name"] == value
    headers = {"Content-Type": "application/json"}
    for value in [*bad, None]:
        answer = house.client(house.cast.admin).patch(
            f"/v1/users/{user['id']}", content=raw({"name": value}), headers=headers
        )
        assert wrong_fields(answer) == {"name"}, value


@pytest.mark.parametrize("name", ["name", "email"])
def test_required_fields_are_missed_by_name(house: House, name: str) -> None:
    body = {"name": "A", "email": "a@example.com"}
    del body[name]
    assert wrong_fields(house.client(house.cast.admin).post("/v1/users", json=body)) == {name}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_fields_left_out_stay(house: House, method: str) -> None:
    user = made(house, f"Stays {method}")
    client, path = house.client(house.cast.admin), f"/v1/users/{user['id']}"
    assert client.request(method, path, json={"role": "admin"}).json()["data"] == {**user, "role": "admin"}
    assert client.request(method, path, json={}).json()["data"] == {**user, "role": "admin"}
    assert wrong_fields(client.request(method, path, json={"role": None, "active": None})) == {"role", "active"}
    assert read(house, user) == {**user, "role": "admin"}


def test_a_mail_address_is_one_users_whatever_its_case(house: House) -> None:
    user = made(house, "Case One", email="Case@Example.com")
    assert problem(create(house, email="cASE@example.com"), 409, "conflict", "user_email_taken")["field"] == "email"
    other = made(house, "Case Two")
    problem(patch(house, other, email="CASE@EXAMPLE.COM"), 409, "conflict", "user_email_taken")
    assert read(house, other) == other
    assert patch(house, user, email="case@example.com").status_code == 200
    assert made(house, "Case Three", house.cast.stranger, email="case@example.com")


def test_of_many_who_want_one_mail_address_at_once_one_gets_it(house: House) -> None:
    users = [made(house, f"Racer {n}") for n in range(12)]
    with ThreadPoolExecutor(12) as threads:
        created = list(threads.map(lambda n: create(house, email="race@example.com").status_code, range(12)))
        changed = list(threads.map(lambda u: patch(house, u, email="race2@example.com").status_code, users))
    assert sorted(created) == [201] + [409] * 11
    assert sorted(changed) == [200] + [409] * 11


def test_a_list_is_by_name_in_pages_and_searched_by_name_or_mail(house: House) -> None:
    made(house, "aaron Small")
    made(house, "Zoë Quirk", email="zq@example.com")
    everybody = names(house)
    assert everybody == sorted(everybody, key=str.lower)
    client = house.client(house.cast.reader)
    body = client.get("/v1/users", params={"page": 2, "per_page": 2}).json()
    assert [user["name"] for user in body["data"]] == everybody[2:4]
    assert (body["meta"]["total"], body["meta"]["total_pages"]) == (len(everybody), -(-len(everybody) // 2))
    for search in ("zoë", "QUIRK", "ë q", "zq@", "ZQ@EXAMPLE.COM"):
        assert names(house, search=search) == ["Zoë Quirk"], search
    for search in ("zo_ quirk", "%quirk", "'", "\\", "nobody at all"):
        assert names(house, search=search) == [], search


@pytest.mark.parametrize(
    ("name", "value"), [("page", "0"), ("per_page", "101"), ("search", "x" * 201), ("search", "\x00")]
)
def test_a_wrong_question_is_refused_by_name(house: House, name: str, value: str) -> None:
    assert wrong_fields(house.client(house.cast.reader).get("/v1/users", params={name: value})) == {name}


# Deactivation


def test_who_is_deactivated_keeps_tickets_and_gets_no_new_ones(house: House) -> None:
    client = house.client(house.cast.admin)
    user = made(house, "Leaving Soon")
    mine = house.ticket(assigned_to=user["id"])
    other = house.ticket()
    answer = patch(house, user, active=False)
    assert answer.json()["data"] == {**user, "active": False}
    kept = get(house, mine)
    assert (kept["assigned_to"], kept["assigned_name"], kept["status"]) == (user["id"], "Leaving Soon", "open")
    assert "Leaving Soon" in names(house)
    new = {"subject": "a", "description": "b", "assigned_to": user["id"]}
    assert wrong_fields(client.post("/v1/tickets", json=new)) == {"assigned_to"}
    path = f"/v1/tickets/{other['id']}"
    assert wrong_fields(client.patch(path, json={"assigned_to": user["id"]})) == {"assigned_to"}
    assert wrong_fields(client.post(f"{path}/comments", json={"body": "x", "user_id": user["id"]})) == {"user_id"}
    key = {"name": "For Gone", "scopes": ["tickets:read"], "user_id": user["id"]}
    assert wrong_fields(client.post("/v1/keys", json=key)) == {"user_id"}
    assert get(house, other) == other


def test_a_ticket_of_one_who_left_can_be_worked_and_closed(house: House) -> None:
    client = house.client(house.cast.admin)
    user = made(house, "Left Already")
    ticket = house.ticket(assigned_to=user["id"])
    patch(house, user, active=False)
    path = f"/v1/tickets/{ticket['id']}"
    assert client.patch(path, json={"priority": 1, "status": "in_progress"}).status_code == 200
    assert client.put(f"{path}/close").status_code == 200
    resolution = client.get(f"{path}/resolutions").json()["data"][0]
    assert (resolution["agent_id"], resolution["agent_name"]) == (user["id"], "Left Already")
    assert client.put(f"{path}/reopen").json()["data"]["assigned_to"] == user["id"]


def test_keys_of_one_who_left_open_nothing_and_work_again_when_they_return(house: House) -> None:
    user = made(house, "Away Awhile")
    secret = mint(house, "tickets:read", user_id=user["id"])
    patch(house, user, active=False)
    problem(house.client(secret).get("/v1/tickets"), 401, "authentication_error", "revoked_api_key")
    patch(house, user, active=True)
    late = mint(house, "tickets:read", user_id=user["id"])
    assert house.client(late).get("/v1/tickets").status_code == 200
    assert house.ticket(assigned_to=user["id"])["assigned_to"] == user["id"]


# Who may


def test_each_call_has_its_scope(house: House) -> None:
    user = made(house, "Scoped One")
    writer = house.client(mint(house, "users:write"))
    forbidden(create(house, house.cast.reader), "users:write")
    forbidden(patch(house, user, house.cast.reader, name="x"), "users:write")
    forbidden(writer.get("/v1/users"), "users:read")
    forbidden(writer.get(f"/v1/users/{user['id']}"), "users:read")


def test_a_strangers_user_is_not_found(house: House) -> None:
    user = made(house, "Hidden Agent")
    for key in (house.cast.stranger, house.cast.test_key):
        problem(house.client(key).get(f"/v1/users/{user['id']}"), 404, "not_found", "user_not_found")
        problem(patch(house, user, key, active=False), 404, "not_found", "user_not_found")
        assert names(house, key, search="hidden") == []
    assert read(house, user) == user
