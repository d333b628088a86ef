"""Exports of every ticket by HTTP, and a whole workspace out into a folder and in again."""

import http.client
import tempfile
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from bench import machine
from bench.house import House
from bench.report import Section, Table, verdict
from bench.server import Served, ticketry
from bench.session import Session

RATE, MEMORY = 20_000, 150
BLOCK = 65_536


class Sent(NamedTuple):
    """One export: tickets announced, lines and bytes that came, seconds, the server's peak memory and CPU seconds."""

    total: int
    lines: int
    size: int
    first: float
    seconds: float
    memory: float
    api_cpu: float


def _get(served: Served, house: House, query: str) -> Sent:
    address = urlsplit(served.url)
    conn = http.client.HTTPConnection(address.hostname or "", address.port, timeout=600)
    cpu, begun = served.cpu(), time.perf_counter()
    conn.request("GET", f"/v1/tickets/export?{query}", headers={"Authorization": f"Bearer {house.key}"})
    answer = conn.getresponse()
    if answer.status != 200:
        raise SystemExit(f"export answered {answer.status}: {answer.read(500)!r}")
    lines = size = 0
    first = 0.0
    while block := answer.read(BLOCK):
        first = first or time.perf_counter() - begun
        lines += block.count(b"\n")
        size += len(block)
    seconds = time.perf_counter() - begun
    conn.close()
    total = int(answer.getheader("X-Total-Count") or 0)
    return Sent(total, lines, size, first, seconds, machine.peak_megabytes(served.process.pid), served.cpu() - cpu)


def _row(name: str, sent: Sent, before: float) -> tuple[str, ...]:
    rate = sent.total / sent.seconds
    whole = sent.lines >= sent.total
    return (
        name,
        f"{sent.total:,}" + ("" if whole else " (SHORT)"),
        f"{sent.size / 1e6:,.0f}",
        f"{sent.first * 1000:.0f}",
        f"{sent.seconds:.1f}",
        f"{rate:,.0f} {verdict(whole and rate >= RATE)}",
        f"{before:.0f} → {sent.memory:.0f} {verdict(sent.memory < MEMORY)}",
        f"{sent.api_cpu / sent.seconds:.0%}",
    )


def _calls(session: Session, house: House) -> Table:
    table = Table((
        "Call", "Tickets", "MB", "First block ms", "Seconds", f"Tickets a second (aim ≥ {RATE:,})",
        f"Peak memory of the server, MB (aim < {MEMORY})", "API process busy",
    ))  # fmt: skip
    queries = {
        "NDJSON": "format=ndjson",
        "CSV": "format=csv",
        "NDJSON, sla_breach=true": "sla_breach=true",
        "NDJSON, by priority": "sort_by=priority",
        "NDJSON, one tag": "tags=tag-00",
    }
    with house.serve("--no-worker") as served:
        served.get("/v1/tickets", house.key)
        before = served.memory()
        for name, query in session.progress.track(queries.items(), description="exports by HTTP"):
            table.rows.append(_row(name, _get(served, house, query), before))
    return table


def _folder(session: Session, house: House) -> Table:
    """By the commands, on a database that is up: what a person waits for."""
    table = Table(("Command", "Rows", "MB", "Seconds", "Rows a second"))
    task = session.progress.add_task("a folder out and in", total=2)
    with tempfile.TemporaryDirectory(prefix="ticketry-bench-") as place, house.serve("--no-worker"):
        folder, data = Path(place) / "out", ("--data-dir", str(house.data_dir))
        for words in (("export", str(folder), "--quiet", *data), ("import", str(folder), "--new", "Copy", "-q", *data)):
            begun = time.perf_counter()
            ticketry(*words, patience=7_200)
            seconds = time.perf_counter() - begun
            files = [path for path in folder.iterdir() if path.suffix == ".ndjson"]
            rows = sum(path.read_bytes().count(b"\n") for path in files)
            size = sum(path.stat().st_size for path in files) / 1e6
            table.rows.append((words[0], f"{rows:,}", f"{size:,.0f}", f"{seconds:.1f}", f"{rows / seconds:,.0f}"))
            session.progress.advance(task)
    session.progress.remove_task(task)
    return table


def export(session: Session) -> Section:
    """Everything of the large installation, several ways."""
    tables = [_calls(session, house := session.large), _folder(session, house)]
    notes = ["One client that reads as fast as it can. The command's seconds hold its start; import's, all triggers."]
    return Section("export", f"Export: {session.tickets:,} tickets", tables, notes)
