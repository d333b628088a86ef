"""Folders that are damaged, changed, foreign or half there are refused by file, line and field; nothing is stored."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import House
from kit import close
from typer.testing import Result

from ticketry.db.pool import Tx
from ticketry.transfer.folders import service, store
from ticketry.transfer.folders.models import MANIFEST, TABLES

from .moving import bring, export, lines, run

NOT_TAKEN = {
    "file_announcements": "files of imports that go on, or died",
    "api_keys": "secret",
    "idempotent_answers": "what callers were answered, for a day",
    "idempotent_parts": "what callers were answered, for a day",
    "ticket_words": "made from tickets",
    "vocabulary": "made from tickets",
    "ticket_counts": "made from tickets",
    "ticket_rollups": "made from tickets",
    "ticket_count_changes": "made from tickets",
    "ticket_marks": "made from tickets",
    "ticket_spans": "made from tickets",
    "ticket_mark_changes": "made from tickets",
    "erasure_words": "empty, but while an erasure runs",
    "event_openings": "empty, but within a statement of an erasure",
    "event_erasures": "the events themselves are taken as they are now",
    "feed_cursors": "how far this installation is",
    "webhook_endpoints": "secret; programs that listen to this installation",
    "webhook_deliveries": "what this installation sent",
    "webhook_attempts": "what this installation sent",
    "mail_messages": "what this installation sent",
    "mail_attempts": "what this installation sent",
    "inbound_mails": "what this installation received; what became of it is in tickets and comments",
    "inbound_raws": "what this installation received",
    "inbound_failures": "what this installation received",
}
"""Tables of workspaces that stay, each with its reason. A new table belongs here or in TABLES."""


@pytest.fixture(scope="module")
def whole(house: House, files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with something in every file."""
    client = house.client(house.cast.admin)
    upload = client.post("/v1/attachments", files={"file": ("a.txt", b"a file", "text/plain")}).json()["data"]["id"]
    for n in range(4):
        ticket = house.ticket(subject=f"Ticket {n}", contact_id=house.cast.customer_id, assigned_to=house.cast.agent_id)
        client.post(f"/v1/tickets/{ticket['id']}/comments", json={"body": "Said"})
    client.post(f"/v1/tickets/{ticket['id']}/comments", json={"body": "Filed", "attachment_ids": [upload]})
    close(house, ticket)
    client.post(f"/v1/tickets/{ticket['id']}/links", json={"type": "related_to", "ticket_id": "TICK-1"})
    client.put("/v1/mail/settings", json={"sender_name": "Acme"})
    client.put("/v1/mail/templates/received", json={"subject": "Got it", "text": "Got it", "html": "<p>Got it</p>"})
    leaving = client.post("/v1/contacts", json={"name": "Leaving"}).json()["data"]["id"]
    client.post("/v1/tickets", json={"subject": "Mine", "description": "Mine", "contact_id": leaving})
    assert client.delete(f"/v1/contacts/{leaving}", params={"confirm": "true"}).status_code == 200
    client.post("/v1/sla/calendars", json={"name": "Office", "opening_hours": "24/7"})
    client.post("/v1/sla/policies", json={"name": "Gold", "targets": {"1": {"response": 5, "resolution": 60}}})
    folder = tmp_path_factory.mktemp("whole") / "out"
    export(house, files, house.cast.workspace_id, folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def refusal(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.removeprefix("ticketry: ").strip()


_tables: list[str] = []


def tables(house: House) -> list[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' UNION ALL SELECT 'pg_sequences'"
    _tables[:] = _tables or [row[0] for row in house.sql(query)]
    return _tables


def everything_stored(house: House, files: Path) -> Any:
    """How much there is of everything."""
    counts = house.sql(" UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in tables(house)))
    return counts, sorted(str(path) for path in files.rglob("*") if path.is_file())


def refused(house: House, files: Path, folder: Path) -> str:
    """What an import of this folder says; nothing is stored."""
    before = everything_stored(house, files)
    said = refusal(run(house, files, "import", folder, "--new", "Refused"))
    assert everything_stored(house, files) == before
    return said


def reseal(folder: Path, table: str, content: bytes | None = None) -> None:
    """Makes the manifest agree with a file that was changed by hand."""
    path = folder / f"{table}.ndjson"
    if content is not None:
        path.write_bytes(content)
    manifest = json.loads((folder / MANIFEST).read_text())
    data = path.read_bytes()
    manifest["tables"][table] |= {
        "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "rows": data.count(b"\n"),
    }  # fmt: skip
    (folder / MANIFEST).write_text(json.dumps(manifest))


def changed(folder: Path, table: str, line: int, **fields: Any) -> None:
    """Changes fields of a line; `...` takes one away."""
    rows = lines(folder, table)
    row = {**rows[line - 1], **fields}
    rows[line - 1] = {name: value for name, value in row.items() if value is not ...}
    reseal(folder, table, b"".join(json.dumps(one).encode() + b"\n" for one in rows))


def manifest_with(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_the_copy_as_it_is_comes_in(house: House, files: Path, folder: Path) -> None:
    new = bring(house, files, folder, "Copy")
    assert house.sql("SELECT count(*) FROM tickets WHERE workspace_id = %s", (new,)) == [(5,)]
    assert (files / new).is_dir()


@pytest.mark.parametrize("table", ["workspaces", *(table.name for table in TABLES)])
def test_a_changed_byte_is_seen(house: House, files: Path, folder: Path, table: str) -> None:
    path = folder / f"{table}.ndjson"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert refused(house, files, folder) == (
        f"{table}.ndjson: its SHA-256 is not what manifest.json says: the folder is damaged"
    )


@pytest.mark.parametrize("table", ["tickets", "events"])
def test_a_file_that_is_short_or_missing_is_seen(house: House, files: Path, folder: Path, table: str) -> None:
    path = folder / f"{table}.ndjson"
    path.write_bytes(path.read_bytes()[:-3])
    assert "bytes, and manifest.json says" in refused(house, files, folder)
    path.unlink()
    assert refused(house, files, folder) == f"{table}.ndjson: No such file or directory"


def test_an_attachment_that_is_changed_or_missing_is_seen(house: House, files: Path, folder: Path) -> None:
    (path,) = (folder / "files").iterdir()
    path.write_bytes(b"A file")
    assert refused(house, files, folder).startswith(f"files/{path.name}: is not what attachments.ndjson says")
    path.unlink()
    assert refused(house, files, folder) == f"files/{path.name}: No such file or directory"


@pytest.mark.parametrize(
    ("table", "line", "fields", "said"),
    [
        ("tickets", 2, {"subject": None}, "subject: null value in column"),
        ("tickets", 3, {"subject": "x" * 201}, "subject: value for domain ticket_subject"),
        ("tickets", 3, {"priority": 9}, "priority: value for domain priority"),
        ("tickets", 4, {"priority": "high"}, 'priority: invalid input syntax for type smallint: "high"'),
        ("tickets", 4, {"created_at": "yesterday"}, "created_at: yesterday is no instant"),
        ("tickets", 4, {"due_date": "infinity"}, "due_date: infinity is no instant"),
        ("tickets", 1, {"id": "x" * 65}, "id: value for domain identifier violates"),
        ("tickets", 2, {"number": 1}, "number: duplicate key value"),
        ("tickets", 2, {"contact_id": "contact_nobody"}, "contact_id: insert or update on table"),
        ("tickets", 2, {"assigned_to": "user_nobody"}, "assigned_to: insert or update on table"),
        ("tickets", 2, {"follow_up_of": "ticket_nobody"}, "follow_up_of: there is no ticket_nobody in tickets.ndjson"),
        ("tickets", 2, {"tags": "a"}, "tags: Input should be a valid array"),
        ("tickets", 2, {"category": ...}, "category: is missing"),
        ("tickets", 2, {"surprise": 1}, "surprise: is no field of it"),
        ("tickets", 1, {"workspace_id": "ws_other"}, "workspace_id: is no field of it"),
        ("comments", 2, {"ticket_id": "ticket_nobody"}, "ticket_id: insert or update on table"),
        ("comments", 1, {"visibility": "secret"}, "visibility: new row for relation"),
        ("events", 3, {"actor_type": "ghost"}, "actor_type: new row for relation"),
        ("users", 1, {"role": "king"}, "role: new row for relation"),
        ("users", 2, {"email": "BOB_Jones@example.com"}, "email: duplicate key value"),
        ("contacts", 2, {"phone": "none"}, "phone: new row for relation"),
        ("attachments", 1, {"id": "../../etc"}, "id: new row for relation"),
        ("resolutions", 1, {"cycle": 0}, "cycle: value for domain numbered"),
        ("sla_calendars", 1, {"closed_days": ["never"]}, "closed_days.0: must be a day"),
        ("sla_policy_versions", 1, {"calendar_id": "cal_nobody"}, "calendar_id: insert or update on table"),
        ("workspaces", 1, {"reopen_window_days": -1}, "reopen_window_days: Input should be greater"),
        ("workspaces", 1, {"branding": {"evil": "x"}}, "branding.evil: "),
        ("workspaces", 1, {"branding": {"logo_url": "https://x.example/" + "x" * 3_000_000}}, "branding.logo_url: "),
        ("tickets", 2, {"custom_fields": [1]}, "custom_fields: Input should be an object"),
        ("tickets", 2, {"metadata": "x"}, "metadata: Input should be an object"),
        ("events", 1, {"data": "x"}, "data: Input should be an object"),
        ("workspaces", 1, {"name": ...}, "name: is missing"),
        ("workspaces", 1, {"updated_at": "infinity"}, "updated_at: must be an RFC 3339 instant"),
        ("workspaces", 1, {"created_at": "now"}, "created_at: must be an RFC 3339 instant"),
        ("workspaces", 1, {"environment": "dead"}, "environment: Input should be"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_stored_is_named_with_file_line_and_field(
    house: House, files: Path, folder: Path, table: str, line: int, fields: dict[str, Any], said: str
) -> None:
    changed(folder, table, line, **fields)
    told = refused(house, files, folder)
    assert told.startswith(f"{table}.ndjson line {line}: {said}"), told


@pytest.mark.parametrize(
    ("line", "said"),
    [(b"{", "invalid input syntax for type json"), (b"[]", "is no object"), (b"1", "is no object"), (b"", "null value"),
     (b"\xff", "invalid byte sequence"), (b'{"a": "\x01"}', ""), (b'{"id": "\\u0000"}', "unsupported Unicode escape")],
)  # fmt: skip
def test_a_line_that_is_no_object_is_named(house: House, files: Path, folder: Path, line: bytes, said: str) -> None:
    path = folder / "tickets.ndjson"
    content = path.read_bytes().splitlines(keepends=True)
    content[1] = line + b"\n"
    reseal(folder, "tickets", b"".join(content))
    told = refused(house, files, folder)
    assert told.startswith("tickets.ndjson line 2: ") or (said == "" and told.startswith("tickets.ndjson")), told
    assert said in told


def test_a_mistake_far_down_is_found_among_many(
    house: House, files: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LINES_AT_ONCE", 40)
    rows = lines(folder, "contacts")[:1]
    many = [{**rows[0], "id": f"contact_{n}", "email": None, "erased_at": None} for n in range(100)]
    many[76]["name"] = ""
    reseal(folder, "contacts", b"".join(json.dumps(one).encode() + b"\n" for one in [*rows, *many]))
    assert refused(house, files, folder).startswith("contacts.ndjson line 78: name: new row for relation")


def test_tickets_may_point_forwards(house: House, files: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LINES_AT_ONCE", 1)
    ids = [row["id"] for row in lines(folder, "tickets")]
    changed(folder, "tickets", 1, follow_up_of=ids[3])
    new = bring(house, files, folder, "Forwards")
    query = "SELECT follow_up_of FROM tickets WHERE workspace_id = %s AND id = %s"
    assert house.sql(query, (new, ids[0])) == [(ids[3],)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.update(format=2), "manifest.json: format 2 is not known to this program, which reads format 1"),
        (lambda m: m.update(surprise=1), "manifest.json: surprise: Extra inputs are not permitted"),
        (lambda m: m.pop("last_number"), "manifest.json: last_number: Field required"),
        (lambda m: m["tables"].pop("events"), "manifest.json: tables: events is missing"),
        (lambda m: m["tables"].update({"../x": m["tables"]["events"]}), "manifest.json: tables: ../x is not known"),
        (lambda m: m["tables"]["events"].update(rows=1), "lines, and manifest.json says 1"),
        (lambda m: m["tables"]["users"]["columns"].append("iq"), "manifest.json: users: this program knows no iq"),
        (lambda m: m["tables"]["users"]["columns"].append("x; DROP TABLE"), "manifest.json: users: this program knows"),
    ],
)  # fmt: skip
def test_a_manifest_that_is_not_understood_is_refused(
    house: House, files: Path, folder: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    manifest_with(folder, change)
    assert said in refused(house, files, folder)


def test_what_is_no_export_is_refused(house: House, files: Path, tmp_path: Path) -> None:
    assert "is no export: it has no manifest.json" in refused(house, files, tmp_path)
    assert "is no export: it has no manifest.json" in refused(house, files, tmp_path / "nowhere")
    (tmp_path / MANIFEST).write_bytes(b"\xff{")
    assert MANIFEST in refused(house, files, tmp_path)
    (tmp_path / MANIFEST).write_text("{}")
    assert "manifest.json: format: Field required" in refused(house, files, tmp_path)


def test_a_workspace_in_use_is_left_alone(house: House, files: Path, whole: Path) -> None:
    before = everything_stored(house, files)
    for workspace in (house.cast.workspace_id, house.cast.stranger_workspace_id):
        said = refusal(run(house, files, "import", whole, "--workspace", workspace))
        assert "import into a new one (--new NAME)" in said
    for words in ([], ["--workspace", "x", "--new", "y"]):
        assert "name either a workspace" in refusal(run(house, files, "import", whole, *words))
    assert "no workspace has the id or name" in refusal(run(house, files, "import", whole, "--workspace", "nobody"))
    assert everything_stored(house, files) == before


def test_an_empty_workspace_takes_a_folder_and_keeps_its_name(house: House, files: Path, whole: Path) -> None:
    admin = house.client(house.cast.admin)
    made = admin.post("/v1/workspaces", json={"name": "Vacant", "environment": "test"}).json()["data"]
    result = run(house, files, "import", whole, "--workspace", "Vacant")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == made["id"]
    assert "Workspace Vacant holds 5 tickets, 5 comments" in result.stderr
    kept = admin.get(f"/v1/workspaces/{made['id']}").json()["data"]
    assert (kept["name"], kept["environment"], kept["created_at"]) == ("Vacant", "test", made["created_at"])
    assert "holds tickets" in refusal(run(house, files, "import", whole, "--workspace", "Vacant"))


def test_a_folder_appears_whole_or_not_at_all(
    house: House, files: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(files, tmp_path / "lost")
    for path in (tmp_path / "lost" / house.cast.workspace_id).iterdir():
        path.unlink()
    said = refusal(run(house, tmp_path / "lost", "export", tmp_path / "out"))
    assert "is not in the file store" in said
    assert [path.name for path in tmp_path.iterdir()] == ["lost"]


def test_only_its_own_folder_is_written_over(house: House, files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    export(house, files, house.cast.workspace_id, folder)
    first = {path.name for path in folder.iterdir()}
    house.ticket(subject="One more")
    export(house, files, house.cast.workspace_id, folder)
    assert {path.name for path in folder.iterdir()} == first
    assert lines(folder, "tickets")[-1]["subject"] == "One more"
    (folder / "notes.txt").write_text("mine")
    said = refusal(run(house, files, "export", folder))
    assert "holds notes.txt, which is not part of an export" in said
    assert (folder / "notes.txt").read_text() == "mine"
    (tmp_path / "file").write_text("x")
    assert "is no folder" in refusal(run(house, files, "export", tmp_path / "file"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]


def test_what_an_export_says_to_people(house: House, files: Path, tmp_path: Path) -> None:
    result = run(house, files, "export", tmp_path / "out", "--workspace", house.cast.stranger_workspace_id)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert (
        result.stderr
        == f"Workspace Globex is in {tmp_path / 'out'}: 0 tickets, 0 comments, 0 events, 1 contacts, 1 users.\n"
    )


def test_every_table_of_a_workspace_is_taken_or_stays_for_a_reason(house: House) -> None:
    found = house.sql(
        """SELECT table_name FROM information_schema.columns
           WHERE table_schema = 'public' AND column_name = 'workspace_id'"""
    )
    taken = {table.name for table in TABLES}
    unknown = {name for (name,) in found} - taken - NOT_TAKEN.keys()
    assert not unknown, f"name {unknown} in TABLES (transfer/folders/models.py) or in NOT_TAKEN (here)"


def test_no_column_that_is_taken_sounds_like_a_secret(house: House) -> None:
    async def names(tx: Tx) -> list[str]:
        found = [name for table in TABLES for name in await store.columns(tx, table)]
        return found + await store.workspace_columns(tx)

    for name in house.run(names):
        assert not any(word in name for word in ("secret", "password", "token", "hash", "key")), name
