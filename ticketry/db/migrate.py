"""Bring a database to this program's schema: our numbered SQL files, and the job queue's own.

yoyo-migrations reads the folder, orders it and keeps the record (`_yoyo_migration`). Three things are done
around it, because a process may be killed at any point:

- an advisory lock keeps others out, and goes with its connection; yoyo's lock is a row, which would stay;
- a migration and its record are one transaction; yoyo commits them one after the other;
- a file goes to the server whole, which knows better than a splitter where a function's body ends.

A file that must run outside a transaction (CREATE INDEX CONCURRENTLY) says `-- transactional: false` in its
first line; yoyo then runs its statements one by one, so each must bear being run again.
"""

import glob
import importlib.metadata
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from procrastinate.schema import SchemaManager
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import tuple_row
from yoyo import internalmigrations, read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI
from yoyo.migrations import Migration, default_migration_table

from ticketry.core.errors import OperatorError

MIGRATIONS = Path(__file__).parent / "migrations"
QUEUE = "procrastinate"  # recorded when the queue's whole schema was created; later files are "procrastinate-…"
LOCK = 7_205_759_403_792_801  # the advisory lock's number: any, as long as nobody else uses it
LOCK_PATIENCE = 900  # seconds to wait for another process that is migrating
CONNECT_TIMEOUT = 10  # seconds, unless the URL names its own
BAD_URL = (
    "the database URL cannot be read: write postgresql://user:password@host:5432/database, "
    "with special characters of the password percent-encoded"
)


@dataclass(frozen=True)
class SchemaState:
    """Migrations by name: recorded in the database, still missing in it, and recorded but not known to us."""

    applied: list[str]
    pending: list[str]
    unknown: list[str]

    @property
    def current(self) -> bool:
        """Whether program and database fit."""
        return not self.pending and not self.unknown


def migrate(database_url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing, in order, and return its names; none when the database is up to date.

    Waits while another process migrates. OperatorError when the database cannot be reached, is newer than
    this program, or a migration fails: the failed one then leaves nothing behind, those before it stay.
    """
    with _connected(database_url) as backend, _alone(backend.connection):
        state = _compare(_recorded(backend.connection), folder)
        if state.unknown:
            raise OperatorError(
                f"the database is newer than this program, which does not know {', '.join(state.unknown)}: "
                "install the version of Ticketry that made it, or load a backup"
            )
        if state.pending:
            _prepare_record(backend)
            _apply_queue(backend, state.pending)
            _apply_own(backend, state.pending, folder)
        _note_server(backend.connection)
        return state.pending


def _note_server(conn: psycopg.Connection[Any]) -> None:
    """Let the feed go on behind its old events when the database was loaded into another server."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        if cursor.execute("SELECT to_regproc('feed_rebase') IS NOT NULL").fetchone() == (True,):
            cursor.execute("SELECT feed_rebase()")
    conn.commit()


def pending(conn: psycopg.Connection[Any], folder: Path = MIGRATIONS) -> list[str]:
    """Migrations of this program that the database lacks, in order."""
    return _compare(_recorded(conn), folder).pending


def unknown(conn: psycopg.Connection[Any], folder: Path = MIGRATIONS) -> list[str]:
    """Migrations recorded in the database that this program does not have: the database is newer."""
    return _compare(_recorded(conn), folder).unknown


async def schema_state(database_url: str, folder: Path = MIGRATIONS) -> SchemaState:
    """How database and program fit, over a connection of its own. OperatorError when there is none."""
    conninfo = _conninfo(database_url)
    try:
        async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as conn:
            return await schema_state_of(conn, folder)
    except psycopg.Error as error:
        raise OperatorError(_unreachable(conninfo, error)) from error


async def schema_state_of(conn: psycopg.AsyncConnection[Any], folder: Path = MIGRATIONS) -> SchemaState:
    """How the connected database and the program fit; two small reads."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [default_migration_table])
        if (await cursor.fetchone()) != (True,):
            return _compare([], folder)
        await cursor.execute(_RECORDED)
        return _compare([row[0] for row in await cursor.fetchall()], folder)


# ---- what there is


_RECORDED = f"SELECT migration_id FROM {default_migration_table} ORDER BY applied_at_utc, migration_id"


def _recorded(conn: psycopg.Connection[Any]) -> list[str]:
    with conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [default_migration_table])
        if cursor.fetchone() != (True,):
            return []
        return [row[0] for row in cursor.execute(_RECORDED).fetchall()]


def _compare(recorded: list[str], folder: Path) -> SchemaState:
    """The queue's migrations count as ours; a database without the queue gets it whole, as one step."""
    queue = [QUEUE, *(name for name, _ in _queue_files())]
    own = sorted(path.stem for path in folder.glob("*.sql") if not path.name.endswith(".rollback.sql"))
    done = set(recorded)
    missing = [name for name in queue if name not in done] if QUEUE in done else [QUEUE]
    return SchemaState(
        applied=recorded,
        pending=missing + [name for name in own if name not in done],
        unknown=[name for name in recorded if name not in {*queue, *own}],
    )


def _queue_files() -> list[tuple[str, Path]]:
    """The queue's own migrations since its first version, in its order: pre (01…) before post (50…)."""
    paths = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    return [(f"{QUEUE}-{path.stem}", path) for path in paths]


# ---- doing it


def _prepare_record(backend: Any) -> None:
    """Create yoyo's tables if they are missing or old. We are alone: a lock row is a dead process's."""
    if internalmigrations.needs_upgrading(backend):
        backend.create_lock_table()
        backend.break_lock()
        backend.ensure_internal_schema_updated()


def _apply_queue(backend: Any, names: list[str]) -> None:
    """Create the queue, or bring it from the version recorded to the one installed."""
    files = _queue_files()
    if QUEUE in names:
        _refuse_foreign_queue(backend)
        everything = [_migration(QUEUE), *(_migration(name) for name, _ in files)]
        _apply_text(backend, QUEUE, SchemaManager.get_schema() + _version_note(), everything)
        return
    for name, path in files:
        if name in names:
            text = path.read_text(encoding="utf-8") + _version_note()
            _apply_text(backend, name, text, [_migration(name)])


def _refuse_foreign_queue(backend: Any) -> None:
    found = backend.connection.execute("SELECT to_regclass('procrastinate_jobs') IS NOT NULL").fetchone()
    if found == (True,):
        raise OperatorError(
            "the database already has a procrastinate queue that Ticketry did not make: "
            "give Ticketry a database of its own"
        )


def _version_note() -> str:
    """SQL that leaves the queue's version where an operator sees it (`\\dt+`), in the same transaction."""
    version = importlib.metadata.version("procrastinate").replace("'", "")
    return f"\n;COMMENT ON TABLE procrastinate_jobs IS 'procrastinate {version}';"


def _apply_own(backend: Any, names: list[str], folder: Path) -> None:
    wanted = set(names)
    found = read_migrations(glob.escape(str(folder)))
    for migration in backend.to_apply(found.filter(lambda one: one.id in wanted)):
        if migration.use_transactions:
            text = Path(migration.path).read_text(encoding="utf-8")
            _apply_text(backend, migration.id, text, [migration])
        else:
            _apply_steps(backend, migration)


def _apply_text(backend: Any, name: str, text: str, records: list[Any]) -> None:
    """Run the text and write its records, all or nothing."""
    try:
        with backend.transaction():
            backend.cursor().execute(text)
            _mark(backend, records)
    except psycopg.Error as error:
        raise OperatorError(_failure(name, text, error)) from error


def _apply_steps(backend: Any, migration: Any) -> None:
    try:
        migration.process_steps(backend, "apply")
        with backend.transaction():
            _mark(backend, [migration])
    except psycopg.Error as error:
        raise OperatorError(_failure(migration.id, "", error)) from error


def _mark(backend: Any, migrations: list[Any]) -> None:
    # No entry in yoyo's log: it asks for the user's name and the machine's full name, where a container with
    # an arbitrary user id fails, and a machine without DNS pauses for seconds.
    for migration in migrations:
        backend.mark_one(migration, log=False)


def _migration(name: str) -> Any:
    return Migration(name, "", "")


def _failure(name: str, text: str, error: psycopg.Error) -> str:
    """One line: which migration, where in it, why."""
    position = error.diag.statement_position
    line = f" at line {text[: int(position)].count(chr(10)) + 1}" if position and text else ""
    return f"migration {name} failed{line}: {error.diag.message_primary or _one_line(error)}"


# ---- connecting


@contextmanager
def _connected(database_url: str) -> Iterator[Any]:
    """yoyo's backend on the database. It takes the parameters one by one, so no URL is taken apart twice."""
    conninfo = _conninfo(database_url)
    parameters = conninfo_to_dict(conninfo)
    database = parameters.pop("dbname", None)
    uri = DatabaseURI("postgresql+psycopg", None, None, None, None, database, parameters)
    try:
        with PostgresqlPsycopgBackend(uri, default_migration_table) as backend:
            # A role's limit for requests must not cut off a migration of a large table.
            backend.connection.execute("SET statement_timeout = 0")
            yield backend
    except psycopg.Error as error:
        raise OperatorError(_unreachable(conninfo, error)) from error


@contextmanager
def _alone(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """Hold the advisory lock. It is asked for again and again: a statement that waits for it would hold a
    snapshot, which CREATE INDEX CONCURRENTLY of the other process waits for in turn.
    """
    deadline = time.monotonic() + LOCK_PATIENCE
    while conn.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone() != (True,):
        if time.monotonic() > deadline:
            raise OperatorError(f"another process has been migrating the database for {LOCK_PATIENCE} s")
        time.sleep(0.1)
    try:
        yield
    finally:
        if not conn.closed:
            conn.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def _conninfo(database_url: str) -> str:
    """The URL as libpq's own text, with a time limit. libpq's complaint would quote the password."""
    try:
        parameters = conninfo_to_dict(database_url)
        limit = {} if "connect_timeout" in parameters else {"connect_timeout": CONNECT_TIMEOUT}
        return make_conninfo(database_url, **limit)
    except psycopg.Error:
        raise OperatorError(BAD_URL) from None


def _unreachable(conninfo: str, error: psycopg.Error) -> str:
    """Why the database did not serve, in one line that holds no part of the password."""
    parameters = {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
    ports = parameters.get("port", "").replace(",", "")
    # An unencoded "@" or "/" in a password makes the rest of it look like a host, port or database.
    if "@" in parameters.get("host", "") + parameters.get("dbname", "") or not (ports.isdigit() or not ports):
        return BAD_URL
    text, password = _one_line(error), parameters.get("password")
    return "cannot use the database: " + (text.replace(password, "***") if password else text)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
