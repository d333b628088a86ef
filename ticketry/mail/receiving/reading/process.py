"""Has a mail read in a process of its own, so that whatever a mail does to its reader, nobody else notices.

The process gets no environment and no open file, so many seconds and so much memory. If it ends badly, what the headers
say is still known: the reader writes that first.
"""

import asyncio
import hashlib
import subprocess
import sys
from pathlib import Path

import structlog

from ticketry.mail.receiving.reading.read_mail import RAW, READ, ReadMail

log = structlog.get_logger()

READER = "ticketry.mail.receiving.reading.reader"
"""Named, not imported: what it needs to read mails is large, and only its own process needs it."""
CPU_SECONDS = 30
WALL_SECONDS = 90
MEMORY = 1536 * 1024 * 1024
AT_ONCE = 2
"""Mails that one process of ours has read at a time; others wait their turn."""


class Readers:
    """The turns in which mails are read, one for each event loop."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def read(self, folder: Path) -> ReadMail:
        """What is understood of the mail `raw` in `folder`; its files stand there afterwards (see `reader`)."""
        async with self._turns:
            ended = await asyncio.to_thread(_run, folder)
        try:
            mail = ReadMail.from_json((folder / READ).read_bytes())
        except (OSError, ValueError):
            mail = ReadMail(problem="the program that reads mails ended before it began")
            mail.fingerprint = hashlib.sha256((folder / RAW).read_bytes()).hexdigest()
        if ended is not None:
            log.warning("reading a mail ended badly", reason=ended, message_id=mail.message_id)
        return mail


def _run(folder: Path) -> str | None:
    """None if it went well, else how it ended."""
    command = [sys.executable, "-I", "-m", READER, str(folder), str(CPU_SECONDS), str(MEMORY)]
    try:
        done = subprocess.run(  # noqa: S603 - the command is ours; the mail is in a file
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={},
            cwd=folder, timeout=WALL_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"it took more than {WALL_SECONDS} s"
    if done.returncode == 0:
        return None
    last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    return f"exit code {done.returncode}: {''.join(last)[:200]}"
