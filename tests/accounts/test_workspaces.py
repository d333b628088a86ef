"""Workspaces: the agency makes and sets up its clients' rooms; nobody else can, and nothing of theirs is seen."""

from typing import Any

import httpx
import pytest
from conftest import House
from kit import close, forbidden, get, mint, missing_ticket, problem, raw, strings_between, wrong_fields

from ticketry.accounts.workspaces import service, store
from ticketry.accounts.workspaces.models import WorkspaceIn
from ticketry.db.pool import Tx

FIELDS = {
    "id", "agency_id", "name", "environment", "is_home", "tier", "minute_limit", "day_limit", "reopen_window_days",
    "auto_close_days", "retention_months", "branding", "created_at", "updated_at",
}  # fmt: skip
BRAND = {"display_name", "logo_url", "colour", "website"}


def create(house: House, key: str | None = None, **fields: Any) -> httpx.Response:
    return house.client(key or house.cast.admin).post("/v1/workspaces", json={"name": "Initech", **fields})


def made(house: House, **fields: Any) -> dict[str, Any]:
    answer = create(house, **fields)
    assert answer.status_code == 201, answer.text
    workspace: dict[str, Any] = answer.json()["data"]
    assert set(workspace) == FIELDS
    return workspace


def patch(house: House, workspace: dict[str, Any], key: str | None = None, **fields: Any) -> httpx.Response:
    return house.client(key or house.cast.admin).patch(f"/v1/workspaces/{workspace['id']}", json=fields)


def changed(house: House, workspace: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = patch(house, workspace, **fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    assert found == read(house, workspace)
    return found


def read(house: House, workspace: dict[str, Any]) -> dict[str, Any]:
    answer = house.client(house.cast.admin).get(f"/v1/workspaces/{workspace['id']}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def key_of(house: House, workspace: dict[str, Any], *scopes: str) -> str:
    body = {"name": "Client", "scopes": list(scopes or ("tickets:read", "tickets:write"))}
    answer = house.client(house.cast.admin).post(f"/v1/workspaces/{workspace['id']}/keys", json=body)
    assert answer.status_code == 201, answer.text
    secret: str = answer.json()["data"]["key"]
    return secret


# Creation


def test_a_name_is_enough(house: House) -> None:
    answer = create(house)
    workspace = answer.json()["data"]
    assert (answer.status_code, answer.headers["location"]) == (201, f"/v1/workspaces/{workspace['id']}")
    assert workspace["id"].startswith("ws_")
    assert {name: workspace[name] for name in FIELDS - {"id", "agency_id", "created_at", "updated_at"}} == {
        "name": "Initech", "environment": "live", "is_home": False, "tier": "enterprise", "minute_limit": None,
        "day_limit": None, "reopen_window_days": 14, "auto_close_days": None, "retention_months": None,
        "branding": dict.fromkeys(BRAND),
    }  # fmt: skip
    assert read(house, workspace) == workspace


def test_a_new_workspace_is_ready_to_work_in(house: House) -> None:
    workspace = made(house, environment="test", tier="free")
    client = house.client(key_of(house, workspace))
    ticket = client.post("/v1/tickets", json={"subject": "First", "description": "x"}).json()["data"]
    assert (ticket["number"], ticket["sla"]["breached"]) == ("TICK-1", False)
    answer = client.put("/v1/tickets/TICK-1/close")
    assert (answer.status_code, answer.headers["x-ratelimit-limit"]) == (200, "100")
    assert key_of(house, workspace).startswith("sk_test_")


@pytest.mark.parametrize(
    "wrong",
    [{"name": ""}, {"name": None}, {"name": "x" * 201}, {"name": 1}, {"environment": "prod"}, {"tier": "gold"},
     {"id": "ws_mine"}, {"is_home": True}, {"agency_id": "agency_x"}],
    ids=str,
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name(house: House, wrong: dict[str, Any]) -> None:
    before = house.sql("SELECT count(*) FROM workspaces")
    assert wrong_fields(create(house, **wrong)) == set(wrong)
    assert house.sql("SELECT count(*) FROM workspaces") == before


# Settings


SETTINGS: dict[str, tuple[list[Any], list[Any]]] = {
    "name": (["A", "Ä" * 200], ["", "x" * 201, 1, None]),
    "tier": (["free", "professional", "business", "enterprise"], ["gold", "", 1, None]),
    "minute_limit": ([100, 2_147_483_647, None], [0, -1, 2_147_483_648, "9", 1.5, True]),
    "day_limit": ([100, 2_147_483_647, None], [0, -1, 2_147_483_648, "9", 1.5, True]),
    "reopen_window_days": ([0, 3650], [-1, 3651, "9", 1.5, True, None]),
    "auto_close_days": ([1, 3650, None], [0, -1, 3651, "9", 1.5, True]),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_kept_in_bounds_and_refused_by_name_out_of_them(house: House, name: str) -> None:
    workspace = made(house)
    good, bad = SETTINGS[name]
    for value in good:
        assert changed(house, workspace, **{name: value})[name] == value
    before = read(house, workspace)
    for value in bad:
        assert wrong_fields(patch(house, workspace, **{name: value})) == {name}, value
    assert read(house, workspace) == before


@pytest.mark.parametrize("name", ["environment", "is_home", "id", "agency_id", "created_at", "unknown"])
def test_what_a_workspace_is_cannot_be_changed(house: House, name: str) -> None:
    workspace = made(house)
    assert wrong_fields(patch(house, workspace, **{name: workspace.get(name, 1)})) == {name}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_fields_left_out_stay(house: House, method: str) -> None:
    workspace = made(house)
    house.clock.advance(hours=1)
    client, path = house.client(house.cast.admin), f"/v1/workspaces/{workspace['id']}"
    found = client.request(method, path, json={"name": "Renamed", "auto_close_days": 7}).json()["data"]
    assert found == {**workspace, "name": "Renamed", "auto_close_days": 7, "updated_at": found["updated_at"]}
    assert found["updated_at"] > workspace["updated_at"]
    assert client.request(method, path, json={}).json()["data"] == found


def test_the_brand_is_merged_and_null_clears(house: House) -> None:
    workspace = made(house)
    brand = {"display_name": "Initech Help", "logo_url": "https://initech.example/logo.svg", "colour": "#1a6fB5"}
    assert changed(house, workspace, branding=brand)["branding"] == {**brand, "website": None}
    found = changed(house, workspace, branding={"colour": None, "website": "https://initech.example"})["branding"]
    assert found == {**brand, "colour": None, "website": "https://initech.example"}
    assert changed(house, workspace, branding={})["branding"] == found
    assert changed(house, workspace, name="Still branded")["branding"] == found


@pytest.mark.parametrize(
    ("field", "value"),
    [("colour", "red"), ("colour", "#12345"), ("colour", "#1234567"), ("colour", "#12345g"), ("colour", "#123456\n"),
     ("logo_url", "http://x.example/a.png"), ("logo_url", "javascript:alert(1)"), ("logo_url", ""),
     ("logo_url", "https://" + "x" * 500), ("website", "ftp://x.example"), ("display_name", ""),
     ("display_name", "x" * 101), ("font", "Comic"), ("display_name", 1)],
)  # fmt: skip
def test_a_wrong_brand_is_refused_by_name(house: House, field: str, value: Any) -> None:
    workspace = made(house)
    assert wrong_fields(patch(house, workspace, branding={field: value})) == {f"branding.{field}"}
    assert wrong_fields(patch(house, workspace, branding=value)) == {"branding"}


def test_the_name_may_hold_any_sign(house: House) -> None:
    workspace = made(house)
    good, bad = strings_between(1, 200)
    for value in good:
        assert changed(house, workspace, name=value)["name"] == value
    headers = {"Content-Type": "application/json"}
    for value in bad:
        path = f"/v1/workspaces/{workspace['id']}"
        answer = house.client(house.cast.admin).patch(path, content=raw({"name": value}), headers=headers)
        assert wrong_fields(answer) == {"name"}, value


def test_limits_hold_for_the_clients_keys(house: House) -> None:
    workspace = made(house)
    client = house.client(key_of(house, workspace))
    assert client.get("/v1/tickets").headers["x-ratelimit-limit"] == "2147483647"
    changed(house, workspace, minute_limit=3)
    fresh = house.client(key_of(house, workspace))
    assert [fresh.get("/v1/tickets").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    house.clock.advance(minutes=1)
    assert fresh.get("/v1/tickets").headers["x-ratelimit-remaining"] == "2"


def test_the_reopen_window_holds_for_the_workspace_alone(house: House) -> None:
    workspace = made(house)
    changed(house, workspace, reopen_window_days=1)
    contact = "contact_sam_taylor"
    client = house.client(key_of(house, workspace, "tickets:read", "tickets:write", "contacts:write"))
    client.post("/v1/contacts", json={"id": contact, "name": "Sam"})
    theirs = client.post("/v1/tickets", json={"subject": "a", "description": "b"}).json()["data"]
    client.put(f"/v1/tickets/{theirs['id']}/close")
    ours = close(house, house.ticket())
    house.clock.advance(days=2)
    body = {"body": "Again", "contact_id": contact}
    late = client.post(f"/v1/tickets/{theirs['id']}/comments", json=body).json()["data"]
    assert late["ticket_id"] != theirs["id"]
    house.client(house.cast.admin).post(f"/v1/tickets/{ours['id']}/comments", json=body)
    assert get(house, ours)["status"] == "reopened"


# Lists


def test_the_list_is_of_the_whole_agency_oldest_first(house: House) -> None:
    newest = made(house, name="Newest")
    client = house.client(house.cast.admin)
    found = client.get("/v1/workspaces", params={"per_page": 100}).json()
    ids = [workspace["id"] for workspace in found["data"]]
    assert found["meta"]["total"] == len(ids)
    assert {house.cast.workspace_id, house.cast.test_workspace_id, house.cast.stranger_workspace_id} <= set(ids)
    assert [workspace["is_home"] for workspace in found["data"]].count(True) == 1
    created = [workspace["created_at"] for workspace in found["data"]]
    assert created == sorted(created)
    numbers = range(1, -(-len(ids) // 2) + 2)
    pages = [client.get("/v1/workspaces", params={"page": n, "per_page": 2}).json() for n in numbers]
    assert [workspace["id"] for page in pages for workspace in page["data"]] == ids
    assert newest["id"] in ids
    assert wrong_fields(client.get("/v1/workspaces", params={"page": 0, "per_page": 101})) == {"page", "per_page"}


# Who may


def test_only_the_home_workspaces_keys_with_the_scope_may(house: House) -> None:
    workspace = made(house)
    paths = ["/v1/workspaces", f"/v1/workspaces/{workspace['id']}", f"/v1/workspaces/{workspace['id']}/keys"]
    for key in (house.cast.stranger, house.cast.test_key, house.cast.agent_key, mint(house, "workspaces:write")):
        for path in paths:
            forbidden(house.client(key).get(path), "workspaces:read")
    for key in (house.cast.stranger, house.cast.reader):
        forbidden(create(house, key), "workspaces:write")
        forbidden(patch(house, workspace, key, name="x"), "workspaces:write")
        answer = house.client(key).post(paths[2], json={"name": "x", "scopes": ["tickets:read"]})
        forbidden(answer, "workspaces:write")
    assert read(house, workspace) == workspace


@pytest.mark.parametrize("scope", ["workspaces:read", "workspaces:write"])
def test_a_clients_key_cannot_hold_the_agencys_scopes(house: House, scope: str) -> None:
    workspace = made(house)
    body = {"name": "Too much", "scopes": ["tickets:read", scope]}
    answer = house.client(house.cast.admin).post(f"/v1/workspaces/{workspace['id']}/keys", json=body)
    assert wrong_fields(answer) == {"scopes"}


def test_the_agency_reads_no_ticket_of_a_client(house: House) -> None:
    client = house.client(key_of(house, made(house)))
    ticket = client.post("/v1/tickets", json={"subject": "Theirs alone", "description": "x"}).json()["data"]
    admin = house.client(house.cast.admin)
    missing_ticket(admin.get(f"/v1/tickets/{ticket['id']}"))
    missing_ticket(admin.put(f"/v1/tickets/{ticket['id']}/close"))
    assert admin.get("/v1/tickets", params={"search": "theirs alone"}).json()["meta"]["total"] == 0


def test_another_agencys_workspace_is_not_found(house: House) -> None:
    async def found_other(tx: Tx) -> str:
        await store.insert_agency(tx, "agency_rival", "Rival")
        return (await service.create(tx, "agency_rival", WorkspaceIn(name="Rival Client"))).id

    rival = house.run(found_other)
    client = house.client(house.cast.admin)
    key = {"name": "x", "scopes": ["tickets:read"]}
    for answer in (
        client.get(f"/v1/workspaces/{rival}"),
        client.patch(f"/v1/workspaces/{rival}", json={"name": "Taken"}),
        client.get(f"/v1/workspaces/{rival}/keys"),
        client.post(f"/v1/workspaces/{rival}/keys", json=key),
        client.post(f"/v1/workspaces/{rival}/keys/key_x/revoke"),
        client.post(f"/v1/workspaces/{rival}/keys/key_x/rotate"),
        client.get("/v1/workspaces/ws_nothing"),
    ):
        problem(answer, 404, "not_found", "workspace_not_found")
    assert rival not in client.get("/v1/workspaces", params={"per_page": 100}).text
    assert house.sql("SELECT name FROM workspaces WHERE id = %s", (rival,)) == [("Rival Client",)]
