"""A folder whose manifest fits and whose rows the API would never have taken is refused by file, line and field.

The database would store each of them, and calls would fail ever after.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import House

from ticketry.transfer.folders.models import MANIFEST, TABLES, WORKSPACE
from ticketry.transfer.folders.rows import ROWS

from .moving import bring, export, key_of, lines, run
from .test_folders import changed, manifest_with, refusal, refused, reseal


@pytest.fixture(scope="module")
def whole(house: House, files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with a row in every file that has rules here."""
    client = house.client(house.cast.admin)
    ticket = house.ticket(custom_fields={"n": [1]}, metadata={"seen": None}, tags=["a"])
    for name in ("close", "reopen"):
        assert client.put(f"/v1/tickets/{ticket['id']}/{name}").status_code == 200
    client.put("/v1/mail/settings", json={"sender_name": "Acme", "switches": {"received": False}})
    client.put("/v1/mail/templates/received", json={"subject": "Got it", "text": "Got it", "html": "<p>Got it</p>"})
    client.post("/v1/sla/calendars", json={"name": "Office", "opening_hours": "Mo-Fr 09:00-17:00"})
    client.post("/v1/sla/policies", json={"name": "Gold", "targets": {"1": {"response": 5, "resolution": 60}}})
    leaving = client.post("/v1/contacts", json={"name": "Leaving"}).json()["data"]["id"]
    assert client.delete(f"/v1/contacts/{leaving}", params={"confirm": "true"}).status_code == 200
    folder = tmp_path_factory.mktemp("whole") / "out"
    export(house, files, house.cast.workspace_id, folder)
    for table in ROWS:
        assert lines(folder, table), table
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def deep(levels: int) -> Any:
    """A list in a list in a list."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("table", "fields", "said"),
    [
        ("workspaces", {"branding": "blue"}, "branding: Input should be an object"),
        ("workspaces", {"branding": {"evil": "x"}}, "branding.evil: Extra inputs are not permitted"),
        ("workspaces", {"branding": {"logo_url": "https://" + "x" * 3_000_000}}, "branding.logo_url: String should"),
        ("workspaces", {"branding": {"colour": 1}}, "branding.colour: Input should be a valid string"),
        ("workspaces", {"tier": "golden"}, "tier: Input should be 'free'"),
        ("workspaces", {"minute_limit": 0}, "minute_limit: Input should be greater than or equal to 1"),
        ("workspaces", {"retention_months": "abc"}, "retention_months: Input should be a valid integer"),
        ("workspaces", {"reopen_window_days": None}, "reopen_window_days: Input should be a valid integer"),
        ("users", {"email": "no address"}, "email: is no mail address"),
        ("users", {"email": "a@example.com\nBcc: b@example.com"}, "email: is no mail address"),
        ("contacts", {"tags": [["a"], ["b"]]}, "tags.0: Input should be a valid string"),
        ("contacts", {"tags": ["x" * 51]}, "tags.0: String should have at most 50 characters"),
        ("contacts", {"email": "no address"}, "email: is no mail address"),
        ("contacts", {"former": {"phone": ["+("]}}, "former.phone.0: String should match"),
        ("contacts", {"former": {"name": ["x"] * 21}}, "former.name: List should have at most 20 items"),
        ("contacts", {"former": {"mood": ["x"]}}, "former.mood: Extra inputs are not permitted"),
        ("contacts", {"name": "Zed", "erased_at": "2025-01-01T00:00:00Z"}, "erased_at: an erased contact still has"),
        ("sla_calendars", {"opening_hours": "sometimes"}, "opening_hours: "),
        ("sla_calendars", {"time_zone": "Mars/Olympus"}, "time_zone: "),
        ("sla_calendars", {"country": "germany"}, "country: String should match pattern"),
        ("sla_calendars", {"closed_days": [["2025-01-01"]]}, "closed_days.0: Input should be a valid date"),
        ("sla_policy_versions", {"targets": []}, "targets: Input should be an object"),
        ("sla_policy_versions", {"targets": {"9": {}}}, "targets: knows the priorities 1 to 4 only"),
        ("sla_policy_versions", {"conditions": {"mood": ["bad"]}}, "conditions.mood: Extra inputs are not permitted"),
        ("sla_policy_versions", {"escalations": {}}, "escalations: Input should be a valid array"),
        ("sla_policy_versions", {"opening_hours": "sometimes"}, "opening_hours: "),
        ("tickets", {"number": 10**17 + 1}, "number: Input should be less than or equal to"),
        ("tickets", {"version": 2**31 - 1}, "version: Input should be less than or equal to"),
        ("tickets", {"tags": [["a"], ["b"]]}, "tags.0: Input should be a valid string"),
        ("tickets", {"custom_fields": [1]}, "custom_fields: Input should be an object"),
        ("tickets", {"custom_fields": {"a": deep(30)}}, "custom_fields: must not be nested deeper than 20 levels"),
        ("tickets", {"custom_fields": {"a": "x" * 200_000}}, "custom_fields: must be at most 163840 bytes as JSON"),
        ("tickets", {"custom_fields": {"a": 10**50}}, "custom_fields: must not hold a number that is out of range"),
        ("tickets", {"metadata": "x"}, "metadata: Input should be an object"),
        ("resolutions", {"actor_type": "ghost"}, "actor_type: Input should be 'user'"),
        ("events", {"type": "ticket.exploded"}, "type: Input should be 'ticket.created'"),
        ("events", {"data": "x"}, "data: Input should be an object"),
        ("events", {"data": []}, "data: Input should be an object"),
        ("events", {"data": {"changes": []}}, "data.changes: Input should be an object"),
        ("erasures", {"finished_at": None, "sought": {}, "stage": "tickets"}, "finished_at: must be an RFC 3339"),
        ("erasures", {"counts": []}, "counts: Input should be an object"),
        ("mail_settings", {"kinds_off": ["all"]}, "kinds_off.0: Input should be 'received'"),
        ("mail_settings", {"reply_to": "a@example.com\r\nX: y"}, "reply_to: is no mail address"),
        ("mail_templates", {"kind": "spam"}, "kind: Input should be 'received'"),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_what_the_api_would_not_take_is_refused(
    house: House, files: Path, folder: Path, table: str, fields: dict[str, Any], said: str
) -> None:
    changed(folder, table, 1, **fields)
    told = refused(house, files, folder)
    assert told.startswith(f"{table}.ndjson line 1: {said}"), told[:300]


def rewritten(folder: Path, table: str, change: Callable[[list[Any]], list[Any]]) -> None:
    """Changes the rows of a file."""
    rows = change(lines(folder, table))
    reseal(folder, table, b"".join(json.dumps(one).encode() + b"\n" for one in rows))


def default_with(**fields: Any) -> Callable[[list[Any]], list[Any]]:
    """Other values for the default policy."""
    return lambda rows: [{**row, **fields} if row["id"] == "sla_default" else row for row in rows]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: [row for row in rows if row["id"] != "sla_default"], ": id: there is no sla_default"),
        (default_with(active=False), "active: the default policy is always active"),
        (default_with(position=7), "position: the default policy is tried last"),
        (default_with(version=7), "version: there is no 7 in sla_policy_versions.ndjson"),
    ],
)  # fmt: skip
def test_new_tickets_always_find_a_policy(
    house: House, files: Path, folder: Path, change: Callable[[list[Any]], list[Any]], said: str
) -> None:
    rewritten(folder, "sla_policies", change)
    told = refused(house, files, folder)
    assert told.startswith("sla_policies.ndjson"), told
    assert said in told


@pytest.mark.parametrize("number", [2**63 - 1, 10**17 + 1, -1])
def test_the_next_number_can_always_be_given(house: House, files: Path, folder: Path, number: int) -> None:
    manifest_with(folder, lambda manifest: manifest.update(last_number=number))
    assert refused(house, files, folder).startswith("manifest.json: last_number: Input should be")


@pytest.mark.parametrize(
    ("columns", "said"),
    [([], "List should have at least 1 item"), (["id", "name", "id"], "names id twice")],
)  # fmt: skip
def test_columns_are_named_once(house: House, files: Path, folder: Path, columns: list[str], said: str) -> None:
    manifest_with(folder, lambda manifest: manifest["tables"]["users"].update(columns=columns))
    assert refused(house, files, folder).startswith(f"manifest.json: tables.users.columns: {said}")


def test_json_that_is_too_deep_is_named(house: House, files: Path, folder: Path) -> None:
    rows = (folder / "users.ndjson").read_bytes().count(b"\n")
    with (folder / "users.ndjson").open("ab") as out:
        out.write(b"[" * 100_000 + b"]" * 100_000 + b"\n")
    reseal(folder, "users")
    told = refused(house, files, folder)
    assert told.startswith(f"users.ndjson line {rows + 1}: stack depth limit exceeded"), told


def test_mail_settings_are_not_mixed(house: House, files: Path, folder: Path) -> None:
    admin = house.client(house.cast.admin)
    made = admin.post("/v1/workspaces", json={"name": "Mailing"}).json()["data"]["id"]
    assert house.client(key_of(house, made)).put("/v1/mail/settings", json={"enabled": False}).status_code == 200
    told = refusal(run(house, files, "import", folder, "--workspace", made))
    assert "holds mail settings: import into a new one" in told


def test_a_high_number_is_followed_by_the_next(house: House, files: Path, folder: Path) -> None:
    manifest_with(folder, lambda manifest: manifest.update(last_number=10**17))
    new = bring(house, files, folder, "High")
    assert house.sql(f"SELECT nextval('numbers.\"{new}\"')") == [(10**17 + 1,)]


def test_a_column_that_is_not_there_is_not_asked_for(house: House, files: Path, folder: Path) -> None:
    """As in a folder that an older program wrote."""
    manifest_with(folder, lambda manifest: manifest["tables"]["tickets"]["columns"].remove("metadata"))
    rewritten(folder, "tickets", lambda rows: [{k: v for k, v in row.items() if k != "metadata"} for row in rows])
    manifest_with(folder, lambda manifest: manifest["tables"][WORKSPACE]["columns"].remove("branding"))
    rewritten(folder, WORKSPACE, lambda rows: [{k: v for k, v in row.items() if k != "branding"} for row in rows])
    new = bring(house, files, folder, "Older")
    assert set(house.sql("SELECT metadata::text FROM tickets WHERE workspace_id = %s", (new,))) == {("{}",)}


def test_only_tables_that_are_taken_have_rules(whole: Path) -> None:
    assert ROWS.keys() <= {WORKSPACE, *(table.name for table in TABLES)}
    columns = {name: entry["columns"] for name, entry in json.loads((whole / MANIFEST).read_text())["tables"].items()}
    for table, row in ROWS.items():
        assert row.model_fields.keys() <= set(columns[table]), table
