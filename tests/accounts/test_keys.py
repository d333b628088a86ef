"""API keys: shown once, stored as a hash, limited to a workspace and its scopes, ended at once."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from conftest import House, serve
from kit import forbidden, mint, missing_ticket, problem, wrong_fields

from ticketry.accounts.keys.scopes import HOME_SCOPES

HINT = re.compile(r"sk_(live|test)_[A-Za-z0-9]{6}\.\.\.[A-Za-z0-9]{4}")
FIELDS = {
    "id", "name", "environment", "scopes", "key_hint", "status", "expires_at", "last_used_at", "created_at",
}  # fmt: skip


def create(house: House, by: str | None = None, path: str = "/v1/keys", **fields: Any) -> httpx.Response:
    body = {"name": "Robot", "scopes": ["tickets:read"], **fields}
    return house.client(by or house.cast.admin).post(path, json=body)


def made(house: House, **fields: Any) -> dict[str, Any]:
    answer = create(house, **fields)
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()["data"]
    return key


def works(house: House, secret: str) -> bool:
    """Whether the key opens the door, whatever is behind."""
    return house.client(secret).get("/v1/tickets/x").status_code != 401


def refused_within_a_second(client: httpx.Client, code: str) -> None:
    """The key stops working within a second, and then for good."""
    until = time.monotonic() + 1
    while client.get("/v1/tickets/x").status_code != 401:
        assert time.monotonic() < until, "still accepted after a second"
        threading.Event().wait(0.02)
    for _ in range(3):
        problem(client.get("/v1/tickets/x"), 401, "authentication_error", code)


@contextmanager
def another_server(house: House, secret: str) -> Iterator[httpx.Client]:
    """A client of a second server on the same database."""
    for url in serve(house.database_url, house.clock):
        headers = {"Authorization": f"Bearer {secret}"}
        with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            yield client


def test_a_key_is_shown_once(house: House) -> None:
    key = made(house, name="Billing robot", scopes=["tickets:write", "tickets:read", "tickets:read"])
    secret = key.pop("key")
    assert re.fullmatch(r"sk_live_[A-Za-z0-9]{32,}", secret)
    assert set(key) >= FIELDS
    assert (key["name"], key["environment"], key["status"]) == ("Billing robot", "live", "active")
    assert sorted(key["scopes"]) == ["tickets:read", "tickets:write"]
    assert (key["expires_at"], key["last_used_at"]) == (None, None)
    assert HINT.fullmatch(key["key_hint"])
    assert key["key_hint"] == f"{secret[:14]}...{secret[-4:]}"
    admin = house.client(house.cast.admin)
    assert admin.get(f"/v1/keys/{key['id']}").json()["data"] == key
    everything = admin.get("/v1/keys", params={"per_page": 100})
    assert key in everything.json()["data"]
    assert secret not in everything.text
    assert works(house, secret)


def test_only_a_hash_is_stored(house: House) -> None:
    headers = {"Idempotency-Key": "stored"}
    body = {"name": "Robot", "scopes": ["keys:write", "tickets:read"]}
    answer = house.client(house.cast.admin).post("/v1/keys", json=body, headers=headers)
    first = answer.json()["data"]
    assert works(house, first["key"])
    path = f"/v1/keys/{first['id']}/rotate"
    rotated = house.client(first["key"]).post(path, headers=headers).json()["data"]
    tables = house.sql(
        """SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
           WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"""
    )
    assert len(tables) > 8
    dump = "\n".join(row for (table,) in tables for (row,) in house.sql(f"SELECT t::text FROM {table} t"))
    assert first["id"] in dump
    assert rotated["key_hint"] in dump
    for secret in (first["key"], rotated["key"], house.cast.admin, house.cast.test_key):
        assert secret not in dump
        assert secret[8:] not in dump
        assert secret.encode().hex() not in dump


def test_the_scheme_is_read_without_case(house: House) -> None:
    for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
        answer = house.client(None).get("/v1/keys", headers={"Authorization": f"{scheme} {house.cast.admin}"})
        assert answer.status_code == 200
    headers = {"Authorization": f"Bearer {house.cast.admin.swapcase()}"}
    assert house.client(None).get("/v1/keys", headers=headers).status_code == 401


def test_an_expired_key_is_refused_from_its_moment_on(house: House) -> None:
    at = house.clock() + timedelta(hours=1)
    key = made(house, expires_at=at.isoformat())
    assert key["expires_at"] == at.strftime("%Y-%m-%dT%H:%M:%SZ")
    house.clock.advance(minutes=59, seconds=59)
    assert works(house, key["key"])
    house.clock.advance(seconds=1)
    answer = house.client(key["key"]).get("/v1/tickets/x")
    problem(answer, 401, "authentication_error", "expired_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert house.client(house.cast.admin).get(f"/v1/keys/{key['id']}").json()["data"]["status"] == "expired"


def test_a_revoked_key_stops_within_a_second_in_every_process(house: House) -> None:
    key = made(house)
    with another_server(house, key["key"]) as elsewhere:
        assert elsewhere.get("/v1/tickets/x").status_code == 404
        assert works(house, key["key"])
        admin = house.client(house.cast.admin)
        answer = admin.post(f"/v1/keys/{key['id']}/revoke")
        assert answer.status_code == 200
        assert answer.json()["data"]["status"] == "revoked"
        refused_within_a_second(elsewhere, "revoked_api_key")
        refused_within_a_second(house.client(key["key"]), "revoked_api_key")
        assert admin.post(f"/v1/keys/{key['id']}/revoke").json() == answer.json()


def test_the_key_of_a_deactivated_user_is_refused(house: House) -> None:
    admin = house.client(house.cast.admin)
    user = admin.post("/v1/users", json={"name": "Gone Soon", "email": "soon@example.com"}).json()["data"]
    key = made(house, user_id=user["id"])
    assert works(house, key["key"])
    assert admin.patch(f"/v1/users/{user['id']}", json={"active": False}).status_code == 200
    refused_within_a_second(house.client(key["key"]), "revoked_api_key")
    assert wrong_fields(create(house, user_id=user["id"])) == {"user_id"}


def test_the_last_use_is_recorded_at_most_once_a_minute(house: House) -> None:
    key = made(house)
    client = house.client(key["key"])

    def last_use(after: timedelta) -> str | None:
        house.clock.now += after
        threading.Event().wait(0.6)  # the server trusts what it read of a key for half a second
        assert client.get("/v1/tickets/x").status_code == 404
        used: str | None = house.client(house.cast.admin).get(f"/v1/keys/{key['id']}").json()["data"]["last_used_at"]
        return used

    def iso() -> str:
        return house.clock().strftime("%Y-%m-%dT%H:%M:%SZ")

    first = last_use(timedelta())
    assert first == iso()
    assert last_use(timedelta(seconds=59)) == first
    assert last_use(timedelta(seconds=1)) == iso()


def test_live_and_test_keys_see_different_workspaces(house: House) -> None:
    assert house.cast.admin.startswith("sk_live_")
    assert house.cast.test_key.startswith("sk_test_")
    test = house.client(house.cast.test_key)
    mine = test.post("/v1/tickets", json={"subject": "test", "description": "test"}).json()["data"]
    missing_ticket(house.client(house.cast.admin).get(f"/v1/tickets/{mine['id']}"))
    missing_ticket(test.get(f"/v1/tickets/{house.ticket()['id']}"))
    key = test.post("/v1/keys", json={"name": "k", "scopes": ["tickets:read"]}).json()["data"]
    assert key["environment"] == "test"
    assert key["key"].startswith("sk_test_")
    assert HINT.fullmatch(key["key_hint"])
    problem(house.client(house.cast.admin).get(f"/v1/keys/{key['id']}"), 404, "not_found", "key_not_found")


def test_a_strangers_key_cannot_be_seen_or_ended(house: House) -> None:
    key = made(house)
    stranger = house.client(house.cast.stranger)
    problem(stranger.get(f"/v1/keys/{key['id']}"), 404, "not_found", "key_not_found")
    problem(stranger.post(f"/v1/keys/{key['id']}/revoke"), 404, "not_found", "key_not_found")
    problem(stranger.post(f"/v1/keys/{key['id']}/rotate"), 404, "not_found", "key_not_found")
    assert key["id"] not in stranger.get("/v1/keys").text
    assert works(house, key["key"])


def test_write_does_not_include_read(house: House) -> None:
    writer = house.client(mint(house, "keys:write"))
    forbidden(writer.get("/v1/keys"), "keys:read")
    forbidden(house.client(mint(house, "keys:read")).post("/v1/keys", json={}), "keys:write")


def test_a_key_hands_on_only_scopes_that_it_holds(house: House) -> None:
    giver = mint(house, "keys:write", "tickets:read")
    assert create(house, giver, scopes=["tickets:read"]).status_code == 201
    forbidden(create(house, giver, scopes=["tickets:read", "tickets:write"]), "tickets:write")
    forbidden(create(house, giver, scopes=["workspaces:read"]), "workspaces:read")
    stronger = made(house, scopes=["tickets:write"])
    forbidden(house.client(giver).post(f"/v1/keys/{stronger['id']}/rotate"), "tickets:write")
    assert works(house, stronger["key"])


def test_rotation_leaves_both_keys_working_for_the_overlap(house: House) -> None:
    old = made(house, name="Rotated", scopes=["tickets:read", "contacts:read"])
    answer = house.client(house.cast.admin).post(f"/v1/keys/{old['id']}/rotate", json={"overlap_hours": 2})
    assert answer.status_code == 201
    new = answer.json()["data"]
    assert new["id"] != old["id"]
    assert new["key"] != old["key"]
    for name in ("name", "scopes", "environment", "expires_at"):
        assert new[name] == old[name]
    house.clock.advance(hours=1, minutes=59, seconds=59)
    assert works(house, old["key"])
    assert works(house, new["key"])
    house.clock.advance(seconds=1)
    refused_within_a_second(house.client(old["key"]), "expired_api_key")
    assert works(house, new["key"])


@pytest.mark.parametrize("body", [None, {}, {"overlap_hours": None}])
def test_the_overlap_is_a_day_unless_said_otherwise(house: House, body: Any) -> None:
    old = made(house)
    admin = house.client(house.cast.admin)
    assert admin.post(f"/v1/keys/{old['id']}/rotate", json=body).status_code == 201
    ends = house.clock() + timedelta(hours=24)
    assert admin.get(f"/v1/keys/{old['id']}").json()["data"]["expires_at"] == ends.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_rotation_never_lengthens_the_old_key(house: House) -> None:
    soon = house.clock() + timedelta(hours=1)
    old = made(house, expires_at=soon.isoformat())
    admin = house.client(house.cast.admin)
    new = admin.post(f"/v1/keys/{old['id']}/rotate", json={"overlap_hours": 100}).json()["data"]
    assert admin.get(f"/v1/keys/{old['id']}").json()["data"]["expires_at"] == old["expires_at"] == new["expires_at"]


def test_an_overlap_of_none_ends_the_old_key_at_once(house: House) -> None:
    old = made(house)
    assert works(house, old["key"])
    house.client(house.cast.admin).post(f"/v1/keys/{old['id']}/rotate", json={"overlap_hours": 0})
    refused_within_a_second(house.client(old["key"]), "expired_api_key")


def test_only_a_working_key_can_be_rotated(house: House) -> None:
    key = made(house)
    admin = house.client(house.cast.admin)
    for wrong in (-1, 1.5, "24", True, 10**9):
        answer = admin.post(f"/v1/keys/{key['id']}/rotate", json={"overlap_hours": wrong})
        assert wrong_fields(answer) == {"overlap_hours"}
    admin.post(f"/v1/keys/{key['id']}/revoke")
    problem(admin.post(f"/v1/keys/{key['id']}/rotate"), 409, "conflict", "key_not_active")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("name", value) for value in (None, "", "x" * 201, 1, "a\x00")],
        *[("scopes", value) for value in (None, [], ["tickets"], ["tickets:delete"], "tickets:read", [1], ["*"], {})],
        *[("expires_at", value) for value in ("2026-01-01", "2026-01-01T00:00:00", 1, "soon", True)],
        *[("user_id", value) for value in ("user_nobody", "user_eve_stranger", "", 1, "x" * 65)],
        *[("environment", value) for value in ("live", "test")],
        *[("key", value) for value in ("sk_live_mine",)],
    ],
)
def test_bad_input_is_refused_by_name(house: House, field: str, value: Any) -> None:
    before = house.sql("SELECT count(*) FROM api_keys")
    assert {name.partition(".")[0] for name in wrong_fields(create(house, **{field: value}))} == {field}
    assert house.sql("SELECT count(*) FROM api_keys") == before


def test_a_key_that_is_born_expired_never_works(house: House) -> None:
    answer = create(house, expires_at="2001-01-01T00:00:00Z")
    if answer.status_code == 422:
        assert wrong_fields(answer) == {"expires_at"}
    else:
        assert answer.json()["data"]["status"] == "expired"
        assert not works(house, answer.json()["data"]["key"])


def test_workspaces_are_managed_from_the_home_workspace_only(house: House) -> None:
    for scope in sorted(HOME_SCOPES):
        assert wrong_fields(create(house, house.cast.stranger, scopes=[scope])) == {"scopes"}
        assert wrong_fields(create(house, house.cast.test_key, scopes=[scope])) == {"scopes"}
        path = f"/v1/workspaces/{house.cast.stranger_workspace_id}/keys"
        assert wrong_fields(create(house, path=path, scopes=[scope])) == {"scopes"}
        home = f"/v1/workspaces/{house.cast.workspace_id}/keys"
        assert create(house, path=home, scopes=[scope]).status_code == 201
    forbidden(house.client(house.cast.stranger).get("/v1/workspaces"), "workspaces:read")
    forbidden(house.client(house.cast.stranger).post("/v1/workspaces", json={"name": "x"}), "workspaces:write")


def test_a_stray_home_scope_manages_nothing(house: House) -> None:
    house.sql("UPDATE api_keys SET scopes = scopes || '{workspaces:read,workspaces:write}' WHERE name = 'stranger'")
    threading.Event().wait(0.6)
    stranger = house.client(house.cast.stranger)
    try:
        for answer in (
            stranger.get("/v1/workspaces"),
            stranger.get(f"/v1/workspaces/{house.cast.workspace_id}"),
            stranger.get(f"/v1/workspaces/{house.cast.workspace_id}/keys"),
            stranger.post("/v1/workspaces", json={"name": "x"}),
        ):
            problem(answer, 404, "not_found", "workspace_not_found")
    finally:
        house.sql("UPDATE api_keys SET scopes = scopes[1:cardinality(scopes) - 2] WHERE name = 'stranger'")
        threading.Event().wait(0.6)


def test_an_agency_manages_clients_and_reads_none_of_their_tickets(house: House) -> None:
    agency = mint(house, "workspaces:read", "workspaces:write")
    client = house.client(agency)
    new = client.post("/v1/workspaces", json={"name": "Initech", "environment": "live"}).json()["data"]
    path = f"/v1/workspaces/{new['id']}"
    assert client.get(path).json()["data"] == new
    assert new in client.get("/v1/workspaces", params={"per_page": 100}).json()["data"]
    scopes = ["tickets:read", "tickets:write"]
    key = create(house, agency, f"{path}/keys", scopes=scopes).json()["data"]
    theirs = house.client(key["key"]).post("/v1/tickets", json={"subject": "a", "description": "b"})
    assert theirs.status_code == 201
    ticket = theirs.json()["data"]
    assert ticket["number"] == "TICK-1"

    forbidden(client.get(f"/v1/tickets/{ticket['id']}"), "tickets:read")
    missing_ticket(house.client(house.cast.admin).get(f"/v1/tickets/{ticket['id']}"))
    missing_ticket(house.client(house.cast.admin).put(f"/v1/tickets/{ticket['id']}/close"))

    listed = client.get(f"{path}/keys").json()["data"]
    assert [entry["id"] for entry in listed] == [key["id"]]
    rotated = client.post(f"{path}/keys/{key['id']}/rotate", json={"overlap_hours": 1}).json()["data"]
    assert house.client(rotated["key"]).get(f"/v1/tickets/{ticket['id']}").status_code == 200
    assert client.post(f"{path}/keys/{key['id']}/revoke").status_code == 200
    refused_within_a_second(house.client(key["key"]), "revoked_api_key")
    for answer in (
        client.post(f"{path}/keys/key_nobody/revoke"),
        client.post(f"/v1/workspaces/{house.cast.stranger_workspace_id}/keys/{key['id']}/revoke"),
    ):
        problem(answer, 404, "not_found", "key_not_found")


def test_the_agency_gives_its_own_home_only_scopes_that_it_holds(house: House) -> None:
    home = f"/v1/workspaces/{house.cast.workspace_id}/keys"
    strong = made(house, scopes=["tickets:read"])
    weak = mint(house, "workspaces:read", "workspaces:write")
    forbidden(create(house, weak, home, scopes=["workspaces:read"]), "keys:write")
    forbidden(house.client(weak).post(f"{home}/{strong['id']}/revoke"), "keys:write")
    agency = mint(house, "workspaces:read", "workspaces:write", "keys:write")
    forbidden(create(house, agency, home, scopes=["tickets:read"]), "tickets:read")
    forbidden(house.client(agency).post(f"{home}/{strong['id']}/rotate"), "tickets:read")


def test_the_list_is_newest_first_and_paged(house: House) -> None:
    for n in range(3):
        house.clock.advance(seconds=1)
        made(house, name=f"page {n}")
    client = house.client(house.cast.reader)
    pages = [client.get("/v1/keys", params={"per_page": 2, "page": page}).json() for page in (1, 2)]
    names = [key["name"] for page in pages for key in page["data"]]
    assert names[:3] == ["page 2", "page 1", "page 0"]
    assert (
        pages[0]["meta"]["total"]
        == house.sql("SELECT count(*) FROM api_keys WHERE workspace_id = %s", (house.cast.workspace_id,))[0][0]
    )
