"""The timer: what nobody attached and what never ended goes after a day; a crash in between is made good."""

import contextlib
import errno
import signal
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attachments.uploads import by_hand, get, left, part, send, upload, with_files
from conftest import House, MovedClock, serve
from kit import problem

from ticketry.attachments import files, jobs, service
from ticketry.attachments.files import MARK, Files
from ticketry.attachments.store import Place
from ticketry.core.actor import system
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


def test_a_file_whose_commit_lost_its_answer_stays(house: House) -> None:
    """Whoever finishes it may not learn that it is there: giving it up then must not take it from others."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"words"

    async def work(pool: Pool, files: Files) -> tuple[str, str]:
        ids = []
        for finished in (True, False):
            actor = system(house.cast.workspace_id)
            received = await service.receive(pool, house.clock, actor, files, "a.txt", None, pieces())
            if finished:
                async with unit(pool, house.clock()) as tx:
                    await service.finish(tx, received)
            await service.discard(pool, house.clock, files, received)
            ids.append(received.place.id)
        return ids[0], ids[1]

    there, gone = with_files(house, work)
    assert get(house, {"id": there}).content == b"words"
    assert house.client(house.cast.admin).delete(f"/v1/attachments/{there}").status_code == 200
    assert gone not in known(house)
    assert not on_disk(house, {"id": gone})


@pytest.mark.parametrize("commits", [True, False])
def test_an_announced_file_goes_unless_its_transaction_commits(house: House, commits: bool) -> None:
    """While the transaction lives, the timer leaves the file alone, however long it takes."""
    place = Place("ws_not_there_yet", "att_imported")

    async def pieces() -> AsyncIterator[bytes]:
        yield b"words"

    async def work(pool: Pool, files: Files) -> tuple[int, int]:
        with contextlib.suppress(ConnectionError):
            async with unit(pool, house.clock()) as tx:
                await service.announce(pool, tx, place)
                await files.write(service.path_of(place), pieces())
                during = await service.sweep_abandoned(pool, house.clock, files)
                if not commits:
                    raise ConnectionError
        return during, await service.sweep_abandoned(pool, house.clock, files)

    assert with_files(house, work) == (0, 0 if commits else 1)
    assert (house.files / service.path_of(place)).exists() is commits
    (house.files / service.path_of(place)).unlink(missing_ok=True)


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


def test_a_disk_that_is_away_is_not_taken_for_an_empty_store(house: House) -> None:
    """Nothing counts as deleted, nothing is written beside it, and when it is back all goes on."""
    used, loose = upload(house), upload(house)
    house.ticket(attachment_ids=[used["id"]])
    client, away = house.client(house.cast.admin), house.files.with_name(house.files.name + "-away")
    house.files.rename(away)
    house.files.mkdir()  # what the disk was mounted on
    try:
        assert client.delete(f"/v1/attachments/{loose['id']}").status_code == 200
        with pytest.raises(TicketryError, match="cannot be reached"):
            purge(house)
        assert known(house)[loose["id"]] == "dropping"
        for answer in (get(house, used), send(house)):
            problem(answer, 503, "api_error", "storage_unavailable")
        for url in serve(house.database_url, house.clock, files_dir=house.files):  # started while it is away
            with contextlib.closing(House(url, house.database_url, house.clock, house.cast, house.files)) as other:
                problem(send(other), 503, "api_error", "storage_unavailable")
        assert left(house)[1] == []
    finally:
        house.files.rmdir()
        away.rename(house.files)
    assert purge(house) >= 1
    assert loose["id"] not in known(house)
    assert get(house, used).content == b"words"


def test_a_disk_that_fails_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made = upload(house)

    def stale(*_: object) -> bool:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(files, "_is_marked", stale)
    problem(send(house), 503, "api_error", "storage_unavailable")
    monkeypatch.undo()
    assert house.client(house.cast.admin).delete(f"/v1/attachments/{made['id']}").status_code == 200


def test_files_from_before_there_was_a_mark_go_on(house: House) -> None:
    made = upload(house)
    (house.files / MARK).unlink()
    assert get(house, made).content == b"words"
    assert house.client(house.cast.admin).delete(f"/v1/attachments/{made['id']}").status_code == 200
    deadline = time.monotonic() + 10
    while made["id"] in known(house):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not on_disk(house, made)
    assert not (house.files / MARK).exists()
    again = upload(house)
    assert (house.files / MARK).exists()
    assert house.client(house.cast.admin).delete(f"/v1/attachments/{again['id']}").status_code == 200


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
    (folder / "files").mkdir(parents=True)
    (folder / "files" / MARK).touch()  # says that the files of the others, elsewhere in this test, are not awaited here
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
