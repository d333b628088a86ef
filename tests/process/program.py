"""The program as its users run it: real processes, started, signalled and killed."""

import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from psycopg.conninfo import make_conninfo

TICKETRY = str(Path(sys.executable).parent / "ticketry")
PATIENCE = 60  # seconds: the machine may be busy


def environment() -> dict[str, str]:
    """Ours, without what the person who runs the tests may have: settings of Ticketry, and the program on the path."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("TICKETRY_")}
    folders = [folder for folder in given["PATH"].split(os.pathsep) if folder != os.path.dirname(TICKETRY)]
    return {**given, "PATH": os.pathsep.join(folders)}


def ticketry(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [TICKETRY, *words], capture_output=True, text=True, timeout=PATIENCE, env=environment(), check=False
    )


class Served:
    """A running `ticketry serve`."""

    def __init__(self, *words: str) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by clean_up
        self.process = subprocess.Popen(
            [TICKETRY, "serve", "--port", "0", *words],
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment(),
        )
        self.url = ""

    def ready(self) -> "Served":
        """Waits for the line that names the address."""
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.process.stdout, selectors.EVENT_READ)
            assert waiting.select(PATIENCE), self.told()
        line = self.process.stdout.readline()
        assert re.fullmatch(r"ready http://127\.0\.0\.1:\d+\n", line), (line, self.told())
        self.url = line.split()[1]
        return self

    def told(self) -> str:
        """What it wrote to standard error so far."""
        self.errors.seek(0)
        return self.errors.read()

    def key(self) -> str:
        """The key that the first start shows."""
        found = re.search(r"^ +(sk_live_\w+)$", self.told(), re.M)
        assert found, self.told()
        return found[1]

    def client(self, key: str, **options: Any) -> httpx.Client:
        """A client that sends `key` with every request."""
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=30, verify=False, **options
        )

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process that was started."""
        self.process.send_signal(number)

    def stopped(self) -> int:
        """Waits for the end; the exit code. Standard output must hold nothing beside the ready line."""
        code = self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        assert self.process.stdout.read() == ""
        return code

    def children(self) -> list[int]:
        """Process ids of its API processes."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(word) for word in found.split() if "ticketry.commands.child" in words_of(int(word))]

    def clean_up(self) -> None:
        """Ends it, however the test went."""
        with contextlib.suppress(subprocess.TimeoutExpired, ProcessLookupError):
            self.process.terminate()
            self.process.wait(PATIENCE)
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()


def words_of(pid: int) -> str:
    """What a living process was started with; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def postgres_of(data_dir: Path) -> list[int]:
    """The embedded server's processes: the postmaster first, then its children."""
    try:
        pid = int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
        if not words_of(pid):
            return []
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *(int(child) for child in children)]
    except (FileNotFoundError, IndexError):
        return []


def embedded_url(data_dir: Path) -> str:
    """How to reach the embedded database from outside of the program."""
    return make_conninfo("", host=str(data_dir / "postgres"), port=5432, user="ticketry", dbname="ticketry")


def eventually(holds: Any, seconds: float = 10) -> bool:
    """Whether `holds()` comes true in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def kill(*pids: int) -> None:
    """SIGKILL, to processes that we started."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
