"""A workspace that was exported and imported is the same workspace, whatever lives its tickets had.

What differs: the workspace's id and name, its keys, and `is_home`. Nothing else that the API says.
"""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conftest import House, copy_database
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_model import A_LIFE, STEP, Player, new_world

from ticketry.db.pool import Tx, make_pool, unit
from ticketry.feed import service as feed
from ticketry.feed.models import Settled
from ticketry.tickets.promises import jobs
from ticketry.tickets.search.store import fold_counts

from .moving import bring, everything, export, furnished, key_of, lines, pages, run, same


def settle(house: House) -> list[str]:
    """One round of everything that works in the background; the events that the relay handed on."""
    told: list[str] = []

    async def listen(tx: Tx, events: Sequence[Settled]) -> None:
        told.extend(event.id for event in events)

    async def work() -> None:
        async with make_pool(house.database_url, 2) as pool:
            await jobs.ring_alarms(pool, house.clock)
            async with unit(pool, house.clock()) as tx:
                await fold_counts(tx)
            found: int | None = 1
            while found:
                async with unit(pool, house.clock()) as tx:
                    found = await feed.hand_on(tx, [listen])

    asyncio.run(work())
    return told


def furnish(house: House, key: str) -> None:
    """Promises, a calendar, more people, and files: what the model's programs do not touch."""
    client = house.client(key)

    def post(path: str, **body: Any) -> Any:
        answer = client.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    calendar = post("/v1/sla/calendars", name="Office", opening_hours="Mo-Fr 09:00-17:00; PH off",
                    time_zone="Europe/Berlin", country="DE", closed_days=["2025-12-24"])["id"]  # fmt: skip
    targets = {"1": {"response": 5, "resolution": 60}}
    policy = post("/v1/sla/policies", name="Gold", targets=targets, calendar_id=calendar,
                  conditions={"category": ["fruit"]})  # fmt: skip
    assert client.put(f"/v1/sla/policies/{policy['id']}", json={"pause_on_third_party": True}).status_code == 200
    post("/v1/contacts", id="contact_x", name="Zoë \"Q\" O'Neil\n", email="Z@example.com", phone="+4930123456",
         company="=A1", external_id="\\N", tags=["é", "\x01"])  # fmt: skip
    assert client.patch("/v1/contacts/contact_x", json={"company": None}).status_code == 200
    upload = client.post("/v1/attachments", files={"file": ("a b.txt", b"hello \x00\xff" * 9_000, "text/plain")})
    other = client.post("/v1/attachments", files={"file": ("one.txt", b"1", "text/plain")})
    loose = client.post("/v1/attachments", files={"file": ("loose.txt", b"loose", "text/plain")})
    assert loose.status_code == 201
    ids = [answer.json()["data"]["id"] for answer in (upload, other)]
    ticket = post("/v1/tickets", subject="Red apple \\ \u2028 😀", description='"quoted"\r\n\tand \\n \x7f',
                  category="fruit",
                  attachment_ids=ids[:1], contact_id="contact_x", due_date="2025-03-01T00:00:00Z", tags=["a"],
                  custom_fields={"n": 10**30, "x": 1.50, "deep": [{"a": None}]}, metadata={"k": True})  # fmt: skip
    post(f"/v1/tickets/{ticket['id']}/comments", body="With a file", attachment_ids=ids[1:])


@settings(
    max_examples=6, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(program=st.lists(STEP, min_size=15, max_size=30))
@example(program=A_LIFE)
def test_every_answer_is_the_same(house: House, files: Path, tmp_path: Path, program: list[tuple[Any, ...]]) -> None:
    world = new_world(house)
    player = Player(world)
    player.create("one", {})
    player.create("two", {})
    for step in program:
        player.play(step)
    ((old,),) = house.sql("SELECT workspace_id FROM tickets WHERE id = %s", (world.rooms["one"].tickets[0].id,))
    admin = house.client(house.cast.admin)
    changes = {"reopen_window_days": 3, "auto_close_days": 9, "tier": "business", "branding": {"display_name": "É"}}
    assert admin.patch(f"/v1/workspaces/{old}", json=changes).status_code == 200
    old_key = key_of(house, old)
    furnish(house, old_key)
    settle(house)

    folder = tmp_path / "out"
    shutil.rmtree(folder, ignore_errors=True)
    export(house, files, old, folder)
    new = bring(house, files, folder, "Moved")
    new_key = key_of(house, new)
    events = [event["id"] for event in lines(folder, "events")]
    assert set(settle(house)).isdisjoint(events), "what happened before is nobody's news"
    same(everything(house, old_key), everything(house, new_key), {old: new})
    assert house.sql("SELECT former FROM contacts WHERE workspace_id = %s AND id = 'contact_x'", (new,)) == [
        ({"company": ["=A1"]},)
    ]
    shown = [admin.get(f"/v1/workspaces/{one}").json()["data"] for one in (old, new)]
    assert shown[1] == {**shown[0], "id": new, "name": "Moved"}

    live_on(house, {old: old_key, new: new_key})


def live_on(house: House, keys: dict[str, str]) -> None:
    """Time goes by and both do the same: the next number, alarms, breaches, closes by themselves."""
    numbers = []
    for key in keys.values():
        answer = house.client(key).post("/v1/tickets", json={"subject": "Next", "description": "x"})
        numbers.append(answer.json()["data"]["number"])
    assert numbers[0] == numbers[1]
    for hours in (2, 24 * 20):
        house.clock.advance(hours=hours)
        settle(house)
        seen = []
        for key in keys.values():
            tickets = pages(house.client(key), "/v1/tickets", sort_by="created_at", sort_order="asc")
            told = [
                [event["event_type"] for event in pages(house.client(key), f"/v1/tickets/{ticket['id']}/events")]
                for ticket in tickets
            ]
            seen.append((sorted((t["number"], str(t["sla"]), t["status"]) for t in tickets), sorted(map(str, told))))
        assert seen[0] == seen[1]


def test_derived_rows_are_right(house: House, files: Path, tmp_path: Path) -> None:
    """Words, vocabulary and counts are made anew: as they would be had the tickets been opened here."""
    old = house.cast.workspace_id
    for n in range(3):
        house.ticket(subject=f"Plum {n}", tags=["a"], category="fruit")
    export(house, files, old, tmp_path / "out")
    new = bring(house, files, tmp_path / "out", "Derived")
    settle(house)
    for query in (
        "SELECT word FROM vocabulary WHERE workspace_id = %s ORDER BY 1",
        "SELECT ticket_id, created_at, words, tags FROM ticket_words WHERE workspace_id = %s ORDER BY 1",
        """SELECT status, priority, category, assigned_to, missed, tickets FROM ticket_counts WHERE workspace_id = %s
           AND tickets <> 0 ORDER BY 1, 2, 3, 4, 5""",
        "SELECT facet, value, tickets FROM ticket_rollups WHERE workspace_id = %s AND tickets <> 0 ORDER BY 1, 2",
    ):
        rows = house.sql(query, (old,))
        assert rows
        assert rows == house.sql(query, (new,))
    replayed = run(house, files, "sla", "replay", "--workspace", new)
    assert replayed.exit_code == 0, replayed.output


def test_no_key_and_no_secret_leaves_the_house(house: House, files: Path, tmp_path: Path) -> None:
    house.ticket()
    folder = tmp_path / "out"
    export(house, files, house.cast.workspace_id, folder)
    whole = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    keys = house.sql("SELECT id, key_hash, key_hint FROM api_keys WHERE workspace_id = %s", (house.cast.workspace_id,))
    assert keys
    for _, key_hash, hint in keys:
        assert key_hash.hex().encode() not in whole
        assert hint.encode() not in whole
    for secret in (house.cast.admin, house.cast.agent_key, house.cast.reader):
        assert secret[:20].encode() not in whole


def test_nothing_of_another_workspace_is_taken(house: House, files: Path, tmp_path: Path) -> None:
    stranger = house.client(house.cast.stranger)
    theirs = stranger.post("/v1/tickets", json={"subject": "Zanzibar", "description": "Zanzibar"}).json()["data"]["id"]
    export(house, files, house.cast.workspace_id, tmp_path / "mine")
    export(house, files, house.cast.stranger_workspace_id, tmp_path / "theirs")
    for path in (tmp_path / "mine").iterdir():
        text = path.read_text()
        for foreign in ("Zanzibar", "Mallory", "Eve Stranger", theirs, house.cast.stranger_workspace_id):
            assert foreign not in text, (path, foreign)
    assert {row["id"] for row in lines(tmp_path / "theirs", "tickets")} == {theirs}


def test_into_another_database(house: House, files: Path, tmp_path: Path, server_url: str) -> None:
    """With its own agency, transactions and events."""
    ticket = house.ticket(subject="Wanderer")
    export(house, files, house.cast.workspace_id, tmp_path / "out")
    with furnished(copy_database(server_url), tmp_path / "files") as other:
        other.ticket()
        other.clock.now = house.clock.now
        new = bring(other, tmp_path / "files", tmp_path / "out", "Arrived")
        key = key_of(other, new)
        mine, theirs = everything(house, house.cast.admin), everything(other, key)
        same(
            {path: body for path, body in mine.items() if "/workspaces" not in path},
            {path: body for path, body in theirs.items() if "/workspaces" not in path},
            {house.cast.workspace_id: new},
        )
        assert other.client(key).get(f"/v1/tickets/{ticket['number']}").json()["data"]["subject"] == "Wanderer"
