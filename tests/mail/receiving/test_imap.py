"""The mailbox, against a real IMAP server in a process of its own."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from imaplib import IMAP4
from pathlib import Path
from typing import Any, TypeVar

import pytest
from conftest import House
from imap_tools import BaseMailBox, MailBoxUnencrypted

from ticketry.core.errors import OperatorError
from ticketry.db.pool import unit
from ticketry.mail.receiving import intake, jobs, mailbox, store
from ticketry.mail.receiving.mailbox import Address, Mailbox
from ticketry.settings import load
from ticketry.web.resources import Resources, make_resources

from . import mails
from .post import comments, counted, reference

T = TypeVar("T")
USER, PASSWORD = "support", "s3cret pass"


@contextlib.contextmanager
def running(*security: str) -> Iterator[int]:
    """The port of a pymap with an empty mailbox."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    program = str(Path(sys.executable).parent / "pymap")
    command = [program, "--no-service", "admin", "--host", "127.0.0.1", "--port", str(number), *security, "dict"]
    command += ["--demo-user", USER, "--demo-password", PASSWORD]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", number)) == 0:
                    break
            time.sleep(0.05)
        yield number
        server.terminate()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A running pymap without TLS."""
    with running("--no-tls") as number:
        yield number


@pytest.fixture
def box(port: int) -> Iterator[BaseMailBox]:
    """The mailbox as a person sees it, emptied."""
    with MailBoxUnencrypted("127.0.0.1", port, timeout=10).login(USER, PASSWORD) as opened:
        names = {folder.name for folder in opened.folder.list()}
        for name in {"INBOX", "Done"} - names:
            opened.folder.create(name)
        for name in ("Done", "INBOX"):
            opened.folder.set(name)
            opened.delete(opened.uids())
        yield opened


@pytest.fixture
def options(house: House, port: int) -> dict[str, Any]:
    return {
        "database_url": house.database_url, "files_dir": house.files, "imap_host": "127.0.0.1", "imap_port": port,
        "imap_tls": "none", "imap_user": USER, "imap_password": PASSWORD, "imap_interval": 1,
    }  # fmt: skip


def run(house: House, options: dict[str, Any], work: Callable[[Resources], Coroutine[Any, Any, T]]) -> T:
    """The result of work in a process' surroundings."""

    async def inside() -> T:
        resources = make_resources(load(options, {}), house.clock)
        async with resources.pool:
            return await work(resources)

    return asyncio.run(inside())


def poll(house: House, options: dict[str, Any]) -> int:
    """How many mails one look took in."""
    address = Address.of(load(options, {}))
    assert address is not None
    return run(house, options, lambda resources: jobs.poll(resources, address))


def seen(box: BaseMailBox) -> list[bool]:
    box.folder.set("INBOX")
    return ["\\Seen" in message.flags for message in box.fetch(mark_seen=False)]


def failures(house: House) -> list[tuple[int, str]]:
    return [(row[0], row[1]) for row in house.sql("SELECT failures, words FROM inbound_failures ORDER BY uid")]


def test_new_mail_is_taken_in_and_marked(house: House, box: BaseMailBox, options: dict[str, Any]) -> None:
    ticket = house.ticket(contact_id=house.cast.customer_id)
    line = f"In-Reply-To: {reference(house, ticket['id'])}"
    box.append(mails.simple("From the mailbox", line, message_id=mails.fresh()))
    box.append(mails.simple("Another", message_id=mails.fresh()))
    assert poll(house, options) == 2
    assert seen(box) == [True, True]
    assert [one["body"] for one in comments(house, ticket["id"])] == ["From the mailbox"]
    before = counted(house)
    assert poll(house, options) == 0
    assert counted(house) == before
    [last] = house.client(house.cast.admin).get("/v1/inbound/emails", params={"per_page": 1}).json()["data"]
    assert last["source"] == "imap"


def test_mail_is_moved_away_where_the_operator_wants_it(
    house: House, box: BaseMailBox, options: dict[str, Any]
) -> None:
    box.append(mails.simple("Move me", message_id=mails.fresh()))
    box.append(mails.simple("Looked at by somebody", message_id=mails.fresh()), flag_set="\\Seen")
    assert poll(house, {**options, "imap_move_to": "Done"}) == 2
    assert poll(house, {**options, "imap_move_to": "Done"}) == 0
    box.folder.set("Done")
    assert len(box.uids()) == 2


def test_a_crash_between_commit_and_mark_does_no_harm(
    house: House, box: BaseMailBox, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    box.append(mails.simple("Once", message_id=mails.fresh()))

    def die(self: Mailbox, uid: int) -> None:
        raise ConnectionResetError("the process died here")

    before = counted(house)[0]
    with monkeypatch.context() as patched:
        patched.setattr(Mailbox, "settle", die)
        with pytest.raises(ConnectionResetError):
            poll(house, options)
    assert seen(box) == [False]
    assert counted(house)[0] == before + 1
    house.clock.advance(minutes=2)
    assert poll(house, options) == 1
    assert seen(box) == [True]
    assert counted(house)[0] == before + 1


def test_a_mail_that_fails_is_left_and_holds_up_no_other(
    house: House, box: BaseMailBox, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again ever later, and at last stored as it is."""
    for text in ("first", "poison", "last"):
        box.append(mails.simple(text, message_id=mails.fresh()))
    whole = intake.take_in

    async def take_in(*args: Any, misfit: str | None = None) -> Any:
        if misfit is None and b"poison" in (args[2].folder / "raw").read_bytes():
            raise ZeroDivisionError("a fault of ours")
        return await whole(*args, misfit=misfit)

    monkeypatch.setattr(intake, "take_in", take_in)
    assert poll(house, options) == 2
    assert seen(box) == [True, False, True]
    assert failures(house) == [(1, "a fault of ours")]
    assert poll(house, options) == 0
    assert failures(house) == [(1, "a fault of ours")], "its time has not come"
    for _ in range(2, jobs.MOST_FAILURES + 1):
        house.clock.advance(hours=1)
        assert poll(house, options) == 0
    house.clock.advance(hours=1)
    assert poll(house, options) == 1
    assert seen(box) == [True, True, True]
    assert failures(house) == []
    [told] = house.client(house.cast.admin).get("/v1/inbound/emails", params={"per_page": 1}).json()["data"]
    assert told["problem"] == f"it could not be taken in {jobs.MOST_FAILURES} times"
    assert told["outcome"] == "ticket"


@pytest.mark.parametrize("headers", [True, False], ids=["but for its headers", "at all"])
@pytest.mark.parametrize("trouble", [mailbox.FetchFailed("NO"), IMAP4.abort("EOF")], ids=["refuses", "hangs up"])
def test_a_mail_that_the_server_cannot_give_becomes_a_ticket(
    house: House, box: BaseMailBox, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, trouble: Exception,
    headers: bool,
) -> None:  # fmt: skip
    """It is asked for so often, holds up no other, and then what can be had of it is taken in."""
    for subject in ("Broken", "Whole"):
        box.append(mails.simple("Text", subject=subject, message_id=mails.fresh()))
    broken, _ = box.uids()

    def without(name: str) -> Callable[[Mailbox, int], bytes | None]:
        whole: Callable[[Mailbox, int], bytes | None] = getattr(Mailbox, name)

        def fails(self: Mailbox, uid: int) -> bytes | None:
            if uid == int(broken):
                raise trouble
            return whole(self, uid)

        return fails

    for name in ("fetch",) if headers else ("fetch", "head"):
        monkeypatch.setattr(Mailbox, name, without(name))

    def look() -> None:
        with contextlib.suppress(IMAP4.abort):
            poll(house, options)

    look()
    look()
    assert seen(box) == [False, True]
    looks = 0
    while seen(box) == [False, True]:
        house.clock.advance(hours=1)
        look()
        looks += 1
        assert looks < 12
    assert failures(house) == []
    [told] = house.client(house.cast.admin).get("/v1/inbound/emails", params={"per_page": 1}).json()["data"]
    assert told["outcome"] == "ticket"
    if headers:
        assert told["subject"] == "Broken"
        assert "only its headers" in told["problem"]
    else:
        assert told["subject"].startswith(f"Mail {broken} of {USER}@127.0.0.1/INBOX")
        assert "did not give it" in told["problem"]


def test_what_the_database_refuses_is_not_held_against_the_mail(
    house: House, box: BaseMailBox, options: dict[str, Any]
) -> None:
    box.append(mails.simple("patient", message_id=mails.fresh()))
    house.sql("ALTER TABLE attachments RENAME TO attachments_away")
    blocked = Path(str(options["files_dir"])) / "a file"
    blocked.write_text("where a folder should be")
    try:
        assert poll(house, {**options, "files_dir": blocked}) == 0
    finally:
        house.sql("ALTER TABLE attachments_away RENAME TO attachments")
    [(count, words)] = failures(house)
    assert count == 0
    assert "file store" in words
    house.clock.advance(minutes=2)
    assert poll(house, options) == 1
    assert failures(house) == []


def test_a_mail_that_is_too_large_becomes_a_ticket_of_its_headers(
    house: House, box: BaseMailBox, options: dict[str, Any]
) -> None:
    box.append(mails.simple("x" * 100_000, subject="Huge", message_id=mails.fresh()))
    assert poll(house, {**options, "mail_limit": 65_536}) == 1
    assert seen(box) == [True]
    [told] = house.client(house.cast.admin).get("/v1/inbound/emails", params={"per_page": 1}).json()["data"]
    assert told["subject"] == "Huge"
    assert "only its headers were fetched" in told["problem"]


def test_only_one_of_several_workers_looks(house: House, box: BaseMailBox, options: dict[str, Any]) -> None:
    box.append(mails.simple("For one", message_id=mails.fresh()))

    async def beside(resources: Resources) -> tuple[int, int]:
        address = Address.of(resources.settings)
        assert address is not None
        async with unit(resources.pool, resources.clock(), atomic=False) as other:
            assert await store.try_turn(other)
            meanwhile = await jobs.poll(resources, address)
            await store.end_turn(other)
        return meanwhile, await jobs.poll(resources, address)

    assert run(house, options, beside) == (0, 1)


def test_another_workspace_may_get_the_mail(house: House, box: BaseMailBox, options: dict[str, Any]) -> None:
    box.append(mails.simple("Theirs", subject="Theirs", message_id=mails.fresh()))
    assert poll(house, {**options, "imap_workspace": house.cast.stranger_workspace_id}) == 1
    [told] = house.client(house.cast.stranger).get("/v1/inbound/emails").json()["data"]
    assert told["subject"] == "Theirs"


def test_the_watch_goes_on_after_a_failure_and_ends_when_told(
    house: House, box: BaseMailBox, options: dict[str, Any]
) -> None:
    before = counted(house)[0]

    async def watch(resources: Resources) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(jobs.watch(resources), 1)

    run(house, {**options, "imap_password": "wrong"}, watch)
    assert counted(house)[0] == before
    box.append(mails.simple("Watched", message_id=mails.fresh()))

    async def until_taken(resources: Resources) -> None:
        watching = asyncio.create_task(jobs.watch(resources))
        while counted(house)[0] == before:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.1)
        watching.cancel()
        await asyncio.wait({watching}, timeout=10)
        assert watching.done()

    run(house, options, until_taken)


def test_a_server_that_falls_silent_does_not_hold_up_the_end(
    house: House, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "TIMEOUT", 2)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        silent = {**options, "imap_port": mute.getsockname()[1]}

        async def watch(resources: Resources) -> float:
            watching = asyncio.create_task(jobs.watch(resources))
            await asyncio.sleep(0.5)
            began = time.monotonic()
            watching.cancel()
            await asyncio.wait({watching})
            return time.monotonic() - began

        assert run(house, silent, watch) < 5


def test_half_of_the_settings_is_refused() -> None:
    with pytest.raises(OperatorError, match="imap_user"):
        Address.of(load({"imap_host": "mail.example"}, {}))
    assert Address.of(load({}, {})) is None


def test_old_mails_are_deleted(house: House, box: BaseMailBox, options: dict[str, Any]) -> None:
    box.append(mails.simple("Forget me", sender="Old <old@x.example>", message_id=mails.fresh()))
    assert poll(house, {**options, "mail_keep_days": 5}) == 1
    [told] = house.client(house.cast.admin).get("/v1/inbound/emails", params={"per_page": 1}).json()["data"]
    file = house.files / house.cast.workspace_id / told["id"]
    assert file.is_file()
    house.clock.advance(days=4)
    run(house, options, jobs.purge)
    assert file.is_file()
    house.clock.advance(days=2)
    run(house, options, jobs.purge)
    assert not file.exists()
    client = house.client(house.cast.admin)
    left = client.get(f"/v1/inbound/emails/{told['id']}").json()["data"]
    assert left["raw_until"] is None
    assert client.get(f"/v1/inbound/emails/{told['id']}/raw").status_code == 404


@pytest.mark.process
def test_workers_that_are_killed_lose_and_double_nothing(
    house: House, box: BaseMailBox, options: dict[str, Any]
) -> None:
    """Real workers, killed with SIGKILL while they take mail in; the last one is asked to end, and does."""
    box.append(mails.simple("First", message_id=mails.fresh()))
    for n in range(8):
        box.append(mails.simple(f"Mail {n}", subject="Killed", message_id=mails.fresh()))
    env = {f"TICKETRY_{name.upper()}": str(value) for name, value in options.items()}
    command = [str(Path(sys.executable).parent / "ticketry"), "worker"]
    before = counted(house)[0]

    def started(until: int) -> subprocess.Popen[bytes]:
        worker = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while counted(house)[0] < before + until:
            assert worker.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return worker

    for until in (2, 4):
        with started(until) as worker:
            worker.kill()
    with started(9) as worker:
        while not all(seen(box)):
            time.sleep(0.1)
        worker.terminate()
        assert worker.wait(30) == 0
    assert seen(box) == [True] * 9
    assert counted(house)[0] == before + 9
    assert house.sql("SELECT count(DISTINCT description) FROM tickets WHERE subject = 'Killed'") == [(8,)]
