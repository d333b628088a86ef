"""Contacts: the customers of a workspace, created, found, changed; a mail address is one contact's."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from conftest import House
from kit import forbidden, mint, problem, raw, strings_between, wrong_fields

FIELDS = {"id", "name", "email", "phone", "company", "external_id", "tags", "created_at", "updated_at", "erased_at"}
FULL: dict[str, Any] = {
    "name": "Ada Lovelace",
    "email": "ada@example.com",
    "phone": "+442071234567",
    "company": "Engines Ltd",
    "external_id": "crm-1815",
    "tags": ["vip"],
}


def create(house: House, key: str | None = None, **fields: Any) -> httpx.Response:
    return house.client(key or house.cast.admin).post("/v1/contacts", json={"name": "Somebody", **fields})


def made(house: House, key: str | None = None, **fields: Any) -> dict[str, Any]:
    answer = create(house, key, **fields)
    assert answer.status_code == 201, answer.text
    contact: dict[str, Any] = answer.json()["data"]
    assert set(contact) == FIELDS
    return contact


def patch(house: House, contact: dict[str, Any], key: str | None = None, **fields: Any) -> httpx.Response:
    return house.client(key or house.cast.admin).patch(f"/v1/contacts/{contact['id']}", json=fields)


def read(house: House, contact: dict[str, Any]) -> dict[str, Any]:
    answer = house.client(house.cast.reader).get(f"/v1/contacts/{contact['id']}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def names(house: House, key: str | None = None, **query: Any) -> list[str]:
    answer = house.client(key or house.cast.reader).get("/v1/contacts", params={"per_page": 100, **query})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["meta"]["total"] == len(body["data"])
    return [contact["name"] for contact in body["data"]]


def test_a_name_is_enough(house: House) -> None:
    answer = create(house, name="Only Name")
    contact = answer.json()["data"]
    assert (answer.status_code, answer.headers["location"]) == (201, f"/v1/contacts/{contact['id']}")
    assert contact["id"].startswith("contact_")
    assert {name: contact[name] for name in FULL} == {**dict.fromkeys(FULL), "name": "Only Name", "tags": []}
    assert contact["created_at"] == contact["updated_at"] == "2025-01-15T09:00:00Z"
    assert read(house, contact) == contact


def test_everything_given_is_kept(house: House) -> None:
    contact = made(house, **FULL, id="contact_ada_1815")
    assert {name: contact[name] for name in FULL} == FULL
    assert contact["id"] == "contact_ada_1815"
    assert read(house, contact) == contact


def test_null_means_not_given(house: House) -> None:
    contact = made(house, id=None, email=None, phone=None, company=None, external_id=None, tags=None)
    assert contact["tags"] == []
    assert contact["email"] is None


BAD: dict[str, list[Any]] = {
    "id": ["ada", "user_ada", "contact_", "contact_a b", "contact_ä", "contact_" + "x" * 57, 1, ""],
    "email": ["", "ada", "@example.com", "ada@", "a b@example.com", "ada@example", "x" * 250 + "@example.com", 1, []],
    "phone": ["", "0207", "+0207", "+44 20", "+" + "1" * 16, "+1", 441, "+44x"],
    "company": ["", "x" * 201, 1],
    "external_id": ["", "x" * 201, 1],
    "tags": ["vip", [""], [1], ["x" * 51], [str(n) for n in range(51)], {}],
    "unknown": [1],
    "created_at": ["2025-01-01T00:00:00Z"],
}


@pytest.mark.parametrize("field", BAD)
def test_a_wrong_value_is_refused_by_name(house: House, field: str) -> None:
    contact = made(house)
    before = names(house)
    for value in BAD[field]:
        for answer in (create(house, **{field: value}), patch(house, contact, **{field: value})):
            named = {name.partition(".")[0] for name in wrong_fields(answer)}
            assert named == {field}, value
    assert names(house) == before
    assert read(house, contact) == contact


def test_the_name_has_1_to_200_characters(house: House) -> None:
    good, bad = strings_between(1, 200)
    contact = made(house)
    for value in good:
        assert patch(house, contact, name=value).json()["data"]["name"] == value
    for value in [*bad, None]:
        for method, path in (("POST", "/v1/contacts"), ("PATCH", f"/v1/contacts/{contact['id']}")):
            headers = {"Content-Type": "application/json"}
            answer = house.client(house.cast.admin).request(method, path, content=raw({"name": value}), headers=headers)
            assert wrong_fields(answer) == {"name"}, value


def test_all_wrong_fields_are_named_at_once(house: House) -> None:
    wrong = {field: values[0] for field, values in BAD.items()}
    assert {name.partition(".")[0] for name in wrong_fields(create(house, **wrong))} == set(wrong)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_fields_left_out_stay_and_null_clears(house: House, method: str) -> None:
    contact = made(house, **{**FULL, "email": f"{method}@example.com".lower()})
    house.clock.advance(hours=1)
    client, path = house.client(house.cast.admin), f"/v1/contacts/{contact['id']}"
    changed = client.request(method, path, json={"company": "Other"}).json()["data"]
    assert changed == {**contact, "company": "Other", "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > contact["updated_at"]
    cleared = client.request(method, path, json=dict.fromkeys(["email", "phone", "company", "external_id", "tags"]))
    assert cleared.status_code == 200
    found = read(house, contact)
    assert found == cleared.json()["data"]
    assert [found[name] for name in ("email", "phone", "company", "external_id", "tags")] == [None] * 4 + [[]]


def test_an_empty_change_is_no_change(house: House) -> None:
    contact = made(house)
    house.clock.advance(hours=1)
    assert patch(house, contact).json()["data"] == contact


def test_a_mail_address_is_one_contacts_whatever_its_case(house: House) -> None:
    contact = made(house, email="One@Example.com")
    assert contact["email"] == "One@Example.com"
    for email in ("One@Example.com", "one@example.COM", "ONE@EXAMPLE.COM"):
        error = problem(create(house, email=email), 409, "conflict", "contact_email_taken")
        assert error["field"] == "email"
    other = made(house, email="two@example.com")
    problem(patch(house, other, email="oNe@example.com"), 409, "conflict", "contact_email_taken")
    assert read(house, other) == other
    assert patch(house, contact, email="ONE@example.com").json()["data"]["email"] == "ONE@example.com"
    assert made(house, house.cast.stranger, email="one@example.com")["email"] == "one@example.com"


def test_an_id_is_one_contacts(house: House) -> None:
    made(house, id="contact_taken")
    assert problem(create(house, id="contact_taken"), 409, "conflict", "contact_id_taken")["field"] == "id"
    assert made(house, house.cast.stranger, id="contact_taken")["id"] == "contact_taken"


def test_of_many_who_want_one_mail_address_at_once_one_gets_it(house: House) -> None:
    contacts = [made(house) for _ in range(12)]
    with ThreadPoolExecutor(12) as threads:
        created = list(threads.map(lambda n: create(house, email="race@example.com").status_code, range(12)))
        changed = list(threads.map(lambda c: patch(house, c, email="race2@example.com").status_code, contacts))
    assert sorted(created) == [201] + [409] * 11
    assert sorted(changed) == [200] + [409] * 11


def test_a_list_is_by_name_in_pages(house: House) -> None:
    made(house, name="aaron")
    made(house, name="Zed")
    everybody = names(house)
    assert everybody == sorted(everybody, key=str.lower)
    client = house.client(house.cast.reader)
    seen: list[str] = []
    pages = -(-len(everybody) // 4)
    for page in range(1, pages + 2):
        body = client.get("/v1/contacts", params={"page": page, "per_page": 4}).json()
        assert body["meta"] == {"total": len(everybody), "page": page, "per_page": 4, "total_pages": pages}
        seen += [contact["name"] for contact in body["data"]]
    assert seen == everybody


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("Quentin", ["Quentin Quark"]), ("quark", ["Quentin Quark"]), ("entin Q", ["Quentin Quark"]),
        ("quasar@example", ["Quentin Quark"]), ("EXT-Q-1", ["Quentin Quark"]), ("ext-q", ["Quentin Quark", "Ünal Q"]),
        ("ünal", ["Ünal Q"]), ("nothing like it", []), ("Q%k", []), ("Quentin_Quark", []), ("\\", []), ("'", []),
    ],
)  # fmt: skip
def test_search_is_by_a_part_of_name_mail_or_external_id(house: House, search: str, found: list[str]) -> None:
    if not names(house, external_id="ext-q-1"):
        made(house, name="Quentin Quark", email="quasar@example.com", external_id="ext-q-1")
        made(house, name="Ünal Q", external_id="ext-q-2")
    assert names(house, search=search) == found


def test_an_external_id_is_found_exactly(house: House) -> None:
    made(house, name="Exact One", external_id="exact-1")
    made(house, name="Exact Twelve", external_id="exact-12")
    made(house, name="Exact Twin", external_id="exact-1")
    assert names(house, external_id="exact-1") == ["Exact One", "Exact Twin"]
    assert names(house, external_id="exact-1", search="twin") == ["Exact Twin"]
    assert names(house, external_id="EXACT-1") == names(house, external_id="exact") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("page", "0"), ("per_page", "101"), ("page", "x"), ("search", "x" * 201), ("search", "\x00"),
     ("external_id", "\x00")],
)  # fmt: skip
def test_a_wrong_question_is_refused_by_name(house: House, name: str, value: str) -> None:
    assert wrong_fields(house.client(house.cast.reader).get("/v1/contacts", params={name: value})) == {name}


def test_each_call_has_its_scope(house: House) -> None:
    contact = made(house)
    reader, writer = house.client(house.cast.reader), house.client(mint(house, "contacts:write"))
    forbidden(create(house, house.cast.reader), "contacts:write")
    forbidden(patch(house, contact, house.cast.reader, name="x"), "contacts:write")
    forbidden(writer.get("/v1/contacts"), "contacts:read")
    forbidden(writer.get(f"/v1/contacts/{contact['id']}"), "contacts:read")
    assert reader.get("/v1/contacts").status_code == 200


def test_a_strangers_contact_is_not_found(house: House) -> None:
    contact = made(house, name="Hidden Person", email="hidden@example.com")
    for key in (house.cast.stranger, house.cast.test_key):
        problem(house.client(key).get(f"/v1/contacts/{contact['id']}"), 404, "not_found", "contact_not_found")
        problem(patch(house, contact, key, name="Taken over"), 404, "not_found", "contact_not_found")
        assert names(house, key, search="hidden") == []
    assert read(house, contact) == contact


def test_a_contact_made_again_with_the_same_key_is_made_once(house: House) -> None:
    client, headers = house.client(house.cast.admin), {"Idempotency-Key": "contact-once"}
    answers = [client.post("/v1/contacts", json={"name": "Once Only"}, headers=headers) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {201}
    assert names(house, search="Once Only") == ["Once Only"]
