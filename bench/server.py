"""The program under test, started as its users start it."""

import os
import selectors
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self
from urllib.request import Request, urlopen

from bench import machine

TICKETRY = str(Path(sys.executable).parent / "ticketry")
PATIENCE = 120


def environment() -> dict[str, str]:
    """Ours, without settings of Ticketry that the person who measures may have."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TICKETRY_")}


def ticketry(*words: str, patience: float = PATIENCE) -> str:
    """What a command prints. It may take so many seconds."""
    done = subprocess.run([TICKETRY, *words], capture_output=True, text=True, timeout=patience, env=environment())
    if done.returncode:
        raise SystemExit(f"ticketry {words[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


class Served:
    """A running `ticketry serve` on a data folder. `startup` is how long it took to be ready, in seconds."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        words = [TICKETRY, "serve", "--data-dir", str(data_dir), "--port", "0", *options]
        begun = time.perf_counter()
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=environment())
        try:
            self.url = self._ready()
        except BaseException:
            self.stop()
            raise
        self.startup = time.perf_counter() - begun

    def _ready(self) -> str:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if waiting.select(PATIENCE) else ""
        if not line.startswith("ready http"):
            raise SystemExit(f"the server did not become ready: {line}{self.told()}")
        return line.split()[1]

    def told(self) -> str:
        """What it wrote to standard error."""
        self.errors.seek(0)
        return self.errors.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends it in order; by force if it does not."""
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()

    def memory(self) -> float:
        """Resident megabytes of the API process."""
        return machine.resident_megabytes(self.process.pid)

    def cpu(self) -> float:
        """CPU seconds that the API process has used."""
        return machine.cpu_seconds(self.process.pid)

    def database_cpu(self) -> float:
        """CPU seconds that the database has used."""
        lines = (self.data_dir / "postgres" / "postmaster.pid").read_text().split()
        return machine.family_seconds(int(lines[0]))

    def get(self, path: str, key: str) -> bytes:
        """One answer; an exception unless it is 200."""
        asked = Request(self.url + path, headers={"Authorization": f"Bearer {key}"})
        with urlopen(asked, timeout=60) as answer:
            found: bytes = answer.read()
            return found
