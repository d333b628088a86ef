"""The machine that measures, in words; and what processes use of it."""

import os
import platform
import re
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import ticketry

TICK = os.sysconf("SC_CLK_TCK")


def _first(path: str, pattern: str) -> str:
    found = re.search(pattern, Path(path).read_text(), re.MULTILINE)
    return found[1] if found else "unknown"


def _commit() -> str:
    words = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _autogroup() -> str:
    """Whether the kernel groups sessions, which makes waits of a busy database longer (see docs/operations.md)."""
    with suppress(OSError):
        state = Path("/proc/sys/kernel/sched_autogroup_enabled").read_text().strip()
        return f" (autogroup {'on' if state == '1' else 'off'})"
    return ""


def described(postgres: str, wrk: str) -> str:
    """CPU, cores, memory, kernel and versions, in a line."""
    gigabytes = int(_first("/proc/meminfo", r"MemTotal:\s+(\d+)")) / 1024 / 1024
    processor = _first("/proc/cpuinfo", r"model name\s*: (.*)")
    return (
        f"{processor}, {len(os.sched_getaffinity(0))} cores, {gigabytes:.0f} GB, "
        f"Linux {platform.release()}{_autogroup()}, Python {platform.python_version()}, PostgreSQL {postgres}, "
        f"wrk {wrk}, Ticketry {ticketry.__version__} ({_commit()})"
    )


def load_note() -> str:
    """The load of the machine before we begin; a busy one says little about absolute figures."""
    load = os.getloadavg()[0]
    busy = " — **the machine was busy with other work: trust the ratios, not the absolute figures**"
    return f"load before {load:.1f}{busy if load > 0.7 else ''}"


def now() -> str:
    """The moment of a run."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _numbers(pid: int | str) -> list[str]:
    """The fields of /proc/<pid>/stat from the third (state) on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pid: int, *, with_ended: bool = False) -> float:
    """CPU time of a process; `with_ended` adds that of its children which are gone."""
    fields = _numbers(pid)
    return sum(map(int, fields[11 : 15 if with_ended else 13])) / TICK


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and int(_numbers(entry.name)[1]) == parent:
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def family_seconds(pid: int) -> float:
    """CPU time of a process and its children, ended ones included."""
    total = cpu_seconds(pid, with_ended=True)
    for child in _children(pid):
        with suppress(FileNotFoundError):  # it ends at this very moment
            total += cpu_seconds(child)
    return total


def resident_megabytes(pid: int) -> float:
    """Resident memory of a process."""
    return int(_first(f"/proc/{pid}/status", r"VmRSS:\s+(\d+)")) / 1024


def peak_megabytes(pid: int, *, anew: bool = False) -> float:
    """The most resident memory that a process has had; `anew` counts from now on."""
    if anew:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    return int(_first(f"/proc/{pid}/status", r"VmHWM:\s+(\d+)")) / 1024
