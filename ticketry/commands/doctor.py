"""`ticketry doctor`: is everything there that a server needs?"""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import typer
from psycopg.rows import TupleRow
from rich.console import Console
from rich.table import Table
from rich.text import Text

import ticketry
from ticketry.attachments.files import open_files
from ticketry.commands import show
from ticketry.commands.database import existing
from ticketry.core.errors import OperatorError, TicketryError
from ticketry.db.migrate import SchemaState, schema_state
from ticketry.settings import Settings

LEAST_VERSION = 16  # of PostgreSQL
MOST_SKEW = 5.0  # seconds between this machine's clock and the database's
LEAST_DISK = 1_000_000_000  # bytes free
AUTOGROUP = Path("/proc/sys/kernel/sched_autogroup_enabled")  # of Linux


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is well, and what was seen."""

    subject: str
    well: bool
    seen: str


def run(settings: Settings) -> None:
    """Shows what was found; exit code 1 if anything is wrong."""
    findings = [Finding("Ticketry", True, f"version {ticketry.__version__}, Python {sys.version.split()[0]}")]
    findings += _of_disk(settings)
    findings += _of_database(settings)
    findings += _of_scheduler(settings)
    findings.append(_of_files(settings))
    _show(findings)
    if not all(finding.well for finding in findings):
        raise typer.Exit(1)


def _show(findings: list[Finding]) -> None:
    rows = [(finding.subject, "ok" if finding.well else "WRONG", finding.seen) for finding in findings]
    if not sys.stdout.isatty():
        show.table(("what", "state", "found"), rows)
        return
    drawn = Table("What", "State", "Found", title="Ticketry doctor", title_justify="left")
    for subject, state, seen in rows:
        drawn.add_row(subject, Text(state, style="green" if state == "ok" else "bold red"), Text(seen))
    Console().print(drawn)


def _of_disk(settings: Settings) -> Iterator[Finding]:
    if settings.database_url is not None:
        return
    folder = settings.data_dir.expanduser().absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    yield Finding("Free disk", free >= LEAST_DISK, f"{free / 1e9:.1f} GB for {folder}")
    if not os.access(there, os.W_OK):
        yield Finding("Data folder", False, f"{there} cannot be written to")


def _of_scheduler(settings: Settings) -> Iterator[Finding]:
    """A hint, nothing wrong: with it single statements of a busy embedded database stand still for a while."""
    if settings.database_url is None and AUTOGROUP.exists():
        hint = "groups sessions: under load waits are longer, see docs/operations.md"
        yield Finding("Scheduler", True, hint if AUTOGROUP.read_text().strip() == "1" else "one group for all")


def _of_files(settings: Settings) -> Finding:
    """Whether attachments can be kept: a small file is written, read and deleted."""
    if settings.s3_bucket is None and settings.files_dir is None:
        return Finding("File store", True, "not set: uploads are refused (TICKETRY_FILES_DIR or TICKETRY_S3_BUCKET)")
    where = f"bucket {settings.s3_bucket}" if settings.s3_bucket else str(settings.files_dir)
    if settings.s3_bucket is None and settings.files_dir is not None and not settings.files_dir.expanduser().exists():
        return Finding("File store", True, f"{where} (made with the first upload)")
    try:
        asyncio.run(open_files(settings).check())
    except (TicketryError, OSError) as error:
        cause = str(error.__cause__ or error).splitlines()[0]
        return Finding("File store", False, f"{where}: {cause}")
    return Finding("File store", True, f"{where} can be written to")


def _of_database(settings: Settings) -> Iterator[Finding]:
    try:
        with existing(settings) as url:
            yield from _of_server(url)
    except OperatorError as error:
        yield Finding("Database", False, str(error))


def _of_server(url: str) -> Iterator[Finding]:
    state = asyncio.run(schema_state(url))  # tells in one line, without the password, why a server cannot be reached
    try:
        with psycopg.connect(url, autocommit=True) as conn:
            yield _of_version(conn)
            yield _of_schema(state)
            yield _of_clock(conn)
    except psycopg.Error as error:
        yield Finding("Database", False, " ".join(str(error).split()))


def _of_version(conn: psycopg.Connection[TupleRow]) -> Finding:
    version = conn.info.server_version
    return Finding("Database", version >= LEAST_VERSION * 10_000, f"PostgreSQL {version // 10_000}.{version % 10_000}")


def _of_schema(state: SchemaState) -> Finding:
    if state.unknown:
        return Finding("Migrations", False, f"newer than this program: {', '.join(state.unknown)}")
    if state.pending:
        return Finding("Migrations", False, f"missing: {', '.join(state.pending)}; run `ticketry migrate`")
    return Finding("Migrations", True, f"all {len(state.applied)} applied")


def _of_clock(conn: psycopg.Connection[TupleRow]) -> Finding:
    before = time.time()
    row = conn.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    assert row is not None
    skew = row[0] - (before + time.time()) / 2
    return Finding(
        "Clock", abs(skew) <= MOST_SKEW, f"the database's is {abs(skew):.2f} s {'ahead' if skew > 0 else 'behind'}"
    )
