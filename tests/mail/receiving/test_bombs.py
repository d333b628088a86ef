"""Mails that are made to hurt: each is read or given up within bounds, and nobody else notices."""

import asyncio
import base64
import os
import resource
import tempfile
import time
from pathlib import Path

import pytest

from ticketry.mail.receiving.reading import process, reader
from ticketry.mail.receiving.reading.process import Readers
from ticketry.mail.receiving.reading.read_mail import ReadMail

HEAD = b"From: Sam <sam@example.com>\nSubject: A bomb\n"
NESTED = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(10_000))
PARTS = b'Content-Type: multipart/mixed; boundary="b"\n\n' + b"--b\n\nx\n" * 1_000_000
BOMBS = {
    "10,000 multiparts in one another": HEAD + NESTED,
    "a million headers": HEAD + b"X-A: b\n" * 1_000_000 + b"\nHi",
    "one header of 30 MB": b"Subject: A bomb\nFrom: " + b"," * 30_000_000 + b"\n\nHi",
    "a million parts": HEAD + PARTS,
    "38 MB in base64": HEAD + b"Content-Transfer-Encoding: base64\nContent-Type: application/zip\n\n"
    + base64.encodebytes(bytes(28_000_000)),
    "deep HTML": HEAD + b"Content-Type: text/html\n\n" + b"<div>" * 2_000_000 + b"end",
    "wide HTML": HEAD + b"Content-Type: text/html\n\n" + b"<table><tr><td>" * 200_000,
    "encoded words": b"From: a@b.example\nSubject: " + b"=?utf-8?q?" * 40_000 + b"\n\nHi",
    "one line of 20 MB": HEAD + b"\n" + b"x" * 20_000_000,
    "quotes": HEAD + b"\n" + b"> " * 25_000,
    "On": HEAD + b"\n" + b"On " * 18_000,
}  # fmt: skip
SECONDS = 45
"""What one may take, at most: twice what the costliest takes on a busy machine."""


def read(raw: bytes) -> tuple[ReadMail, float]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / reader.RAW).write_bytes(raw)
        began = time.monotonic()
        mail = asyncio.run(Readers().read(Path(folder)))
        return mail, time.monotonic() - began


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_bounded(name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mail, seconds = read(BOMBS[name])
    assert seconds < SECONDS
    assert mail.fingerprint
    assert mail.problem is not None or mail.text or mail.files
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 100_000_000, "the process that asked stays small"


def test_a_reader_that_uses_up_its_time_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "CPU_SECONDS", 1)
    monkeypatch.setattr(reader, "MOST_LINES_OF_PARTS", 10**9)  # only here: the child has its own
    mail, _ = read(HEAD + b'Content-Type: multipart/mixed; boundary="b"\n\n' + b"--b\n\nx\n" * 190_000)
    assert mail.problem == "reading it took more time or memory than it may take"
    assert (mail.from_address, mail.subject) == ("sam@example.com", "A bomb")


def test_a_reader_that_uses_up_its_memory_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MEMORY", 150 * 1024 * 1024)
    mail, _ = read(HEAD + b"\n" + b"word " * 6_000_000)
    assert mail.problem == "reading it took more time or memory than it may take"
    assert mail.subject == "A bomb"


def test_a_reader_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / reader.RAW)  # opening it waits for somebody who never writes
    monkeypatch.setattr(process, "WALL_SECONDS", 1)

    async def ask() -> str | None:
        return await asyncio.to_thread(process._run, tmp_path)

    assert asyncio.run(ask()) == "it took more than 1 s"


def test_the_event_loop_goes_on_while_a_bomb_is_read() -> None:
    async def work() -> tuple[ReadMail, float, int]:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / reader.RAW).write_bytes(BOMBS["On"])
            reading = asyncio.create_task(Readers().read(Path(folder)))
            longest, turns = 0.0, 0
            while not reading.done():
                began = time.monotonic()
                await asyncio.sleep(0)
                longest, turns = max(longest, time.monotonic() - began), turns + 1
            return await reading, longest, turns

    mail, longest, turns = asyncio.run(work())
    assert mail.problem is None
    assert turns > 1_000, "the loop turned all the while"
    assert longest < 2, "and was never held as long as the mail took"


def test_the_reader_knows_nothing_of_us(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TICKETRY_DATABASE_URL", "postgresql://secret")
    seen = {}

    def run(command: list[str], **options: object) -> None:
        seen.update(options)
        raise process.subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(process.subprocess, "run", run)
    process._run(tmp_path)
    assert seen["env"] == {}
