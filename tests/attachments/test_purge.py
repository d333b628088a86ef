"""The timer: what nobody attached and what never ended goes after a day; a crash in between is made good."""

import contextlib
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attachments.uploads import by_hand, get, left, part, upload, with_files
from conftest import House, MovedClock
from kit import problem

from ticketry.attachments import jobs, service
from ticketry.attachments.files import Files
from ticketry.core.errors import TicketryError
from ticketry.db.pool import Pool, unit
from ticketry.settings import load


def purge(house: House) -> int:
    found: int = with_files(house, lambda pool, files: service.purge(pool, house.clock, files))
    return found


def known(house: House) -> dict[str, str]:
    return dict(left(house)[0])


def on_disk(house: House, made: dict[str, Any]) -> bool:
    return (house.files / house.cast.workspace_id / made["id"]).exists()


def test_what_nobody_attached_goes_after_a_day(house: House) -> None:
    loose, used = upload(house), upload(house)
    house.ticket(attachment_ids=[used["id"]])
    house.clock.advance(hours=24)
    purge(house)
    assert known(house)[loose["id"]] == "kept"
    house.clock.advance(seconds=1)
    assert purge(house) == 1
    assert loose["id"] not in known(house)
    assert not on_disk(house, loose)
    problem(get(house, loose), 404, "not_found", "attachment_not_found")
    house.clock.advance(days=400)
    assert purge(house) == 0
    assert get(house, used).content == b"words"


def test_an_upload_that_never_ended_goes_too(house: House) -> None:
    with contextlib.ExitStack() as stack:
        line = stack.enter_context(by_hand(house, {"Content-Length": "4000000"}))
        line.sendall(part(b"x" * 2_000_000))
        deadline = time.monotonic() + 10
        while not any("#" in path for path in left(house)[1]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        house.clock.advance(days=2)
        assert purge(house) == 1
        assert "uploading" not in known(house).values()
        line.sendall(b"x" * 1_999_900 + b"\r\n--the-boundary--\r\n")
    deadline = time.monotonic() + 10
    while any("#" in path for path in left(house)[1]):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_crash_between_file_and_row_is_made_good(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row is marked first, then the file goes, then the row: at no point is a file shown that is not there."""
    made = upload(house)
    house.clock.advance(days=2)

    async def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(service.store, "gone", dies)
        with pytest.raises(KeyboardInterrupt):
            purge(house)
    assert not on_disk(house, made)
    assert known(house)[made["id"]] == "dropping"
    problem(get(house, made), 404, "not_found", "attachment_not_found")
    assert purge(house) == 1
    assert made["id"] not in known(house)


def test_a_store_that_is_away_loses_no_track(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made = upload(house)
    house.clock.advance(days=2)

    async def away(*_: Any) -> None:
        raise TicketryError("storage_unavailable", "away")

    def run() -> int:
        settings = load({"files_dir": house.files}, {})
        found: int = with_files(house, lambda pool, files: jobs.purge(pool, house.clock, settings))
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Files, "delete", away)
        assert run() == 0
    assert known(house)[made["id"]] == "dropping"
    assert run() == 1


def test_a_file_that_is_being_attached_is_not_purged(house: House) -> None:
    made = upload(house)
    house.clock.advance(days=2)

    async def race(pool: Pool, files: Files) -> int:
        async with unit(pool, house.clock()) as tx:
            await service.pick(tx, house.cast.workspace_id, [made["id"]])
            return await service.purge(pool, house.clock, files)

    assert with_files(house, race) == 0
    assert get(house, made).content == b"words"
    purge(house)


def test_erased_files_leave_their_figures(house: House) -> None:
    sam = house.cast.customer_id
    on_ticket, of_sam, loose, other = (
        upload(house, name="Sam Taylor.txt"), upload(house, name="Sam.txt", contact_id=sam),
        upload(house, name="Sam 2.txt", contact_id=sam), upload(house, name="other.txt"),
    )  # fmt: skip
    ticket = house.ticket(contact_id=sam, attachment_ids=[on_ticket["id"], of_sam["id"]])
    house.ticket(attachment_ids=[other["id"]])

    async def work(pool: Pool, files: Files) -> tuple[int, int]:
        async with unit(pool, house.clock()) as tx:
            marked = await service.erase(tx, house.cast.workspace_id, ticket_ids=[ticket["id"]], contact_ids=[sam])
        return marked, await service.sweep(pool, house.clock, files)

    assert with_files(house, work) == (3, 3)
    for gone in (on_ticket, of_sam, loose):
        assert not on_disk(house, gone)
        problem(get(house, gone), 404, "not_found", "attachment_not_found")
    assert loose["id"] not in known(house)
    shown = house.client(house.cast.reader).get(f"/v1/tickets/{ticket['id']}/attachments").json()["data"]
    assert [(one["id"], one["name"], one["size"], one["sha256"], one["claimed_type"]) for one in shown] == [
        (on_ticket["id"], "erased", 5, None, None), (of_sam["id"], "erased", 5, None, None),
    ]  # fmt: skip
    assert get(house, other).content == b"words"
    assert with_files(house, work) == (0, 0)
    assert "Sam" not in str(house.sql("SELECT * FROM attachments"))


def test_a_server_that_is_killed_leaves_nothing_for_ever(house: House, start: Any, folder: Path) -> None:
    served = start("--data-dir", str(folder), "--database-url", house.database_url, "--no-worker").ready()
    killed = House(served.url, house.database_url, MovedClock(), house.cast, folder / "files")
    whole = upload(killed, b"whole", "whole.txt")
    with by_hand(killed, {"Content-Length": "9000000"}) as line:
        line.sendall(part(b"x" * 3_000_000))
        deadline = time.monotonic() + 10
        while not any("#" in path for path in left(killed)[1]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        served.signal(signal.SIGKILL)
        served.stopped()
    killed.close()
    ((half, _),) = [row for row in left(killed)[0] if row[1] == "uploading"]
    assert any(half in path for path in left(killed)[1])
    (row,) = house.sql("SELECT max(created_at) FROM attachments")
    clock = MovedClock(row[0] + timedelta(days=2))

    again = start("--data-dir", str(folder), "--database-url", house.database_url, "--no-worker").ready()
    alive = House(again.url, house.database_url, clock, house.cast, folder / "files")
    assert get(alive, whole).content == b"whole"
    alive.ticket(attachment_ids=[whole["id"]])
    alive.close()
    assert with_files(house, lambda pool, files: service.purge(pool, clock, files), folder / "files") >= 1
    rows, files = left(alive)
    assert half not in dict(rows)
    assert files == [f"{house.cast.workspace_id}/{whole['id']}"]
