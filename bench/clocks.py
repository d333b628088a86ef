"""The SLA clock: `bench/clock.py`, in a process of its own."""

import subprocess
import sys
from pathlib import Path

from bench.report import Section
from bench.session import Session

FILE = Path(__file__).with_name("clock.py")


def clock(session: Session) -> Section:
    """What it prints."""
    task = session.progress.add_task("the SLA clock", total=None)
    done = subprocess.run([sys.executable, str(FILE)], capture_output=True, text=True, timeout=300, check=False)
    session.progress.remove_task(task)
    if not done.stdout:
        raise SystemExit(f"{FILE} failed: {done.stderr}")
    return Section("clock", "One ticket's SLA clock", notes=["```text", done.stdout.rstrip(), "```"])
