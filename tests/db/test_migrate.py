"""Migrations on a real database: applied once, whole or not at all, by one process at a time."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from procrastinate.schema import SchemaManager
from psycopg.conninfo import conninfo_to_dict

from ticketry.core.errors import OperatorError
from ticketry.db.embedded import embedded
from ticketry.db.migrate import LOCK, migrate, pending, schema_state, unknown

FUNCTION = """
-- A body with everything a splitter of statements stumbles over.
CREATE FUNCTION double(n int) RETURNS int LANGUAGE plpgsql AS $body$
DECLARE answer int := 0;
BEGIN
    IF n > 0 THEN answer := CASE WHEN n % 2 = 0 THEN n * 2 ELSE n + n END; END IF;
    RETURN answer; -- 100% sure; really
END $body$;
SELECT double(3);
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    base = Path(tempfile.mkdtemp(prefix="tk"))
    with embedded(base) as uri:
        yield uri
    shutil.rmtree(base)


@pytest.fixture
def url(server: str) -> Iterator[str]:
    """A new, empty database."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE fresh")
        yield server.replace("/ticketry?", "/fresh?")
        connection.execute("DROP DATABASE fresh WITH (FORCE)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two migrations, in a folder whose name a file pattern would not match."""
    where = tmp_path / "a[b]*"
    where.mkdir()
    (where / "0001_first.sql").write_text("CREATE TABLE first (id int); INSERT INTO first VALUES (1);")
    (where / "0002_second.sql").write_text(FUNCTION)
    return where


def _value(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[call-overload]
        return row[0] if row else None


def test_applies_once_and_in_order(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        names = ["procrastinate", "0001_first", "0002_second"]
        assert pending(connection, folder) == names
        assert migrate(url, folder) == names
        assert (pending(connection, folder), unknown(connection, folder)) == ([], [])
    assert migrate(url, folder) == []
    (folder / "0003_third.sql").write_text("ALTER TABLE first ADD name text")
    assert migrate(url, folder) == ["0003_third"]
    assert _value(url, "SELECT double(4)") == 8
    assert capsys.readouterr().out == ""


def test_state_is_told(url: str, folder: Path) -> None:
    before = asyncio.run(schema_state(url, folder))
    assert (before.applied, before.pending, before.current) == (
        [],
        ["procrastinate", "0001_first", "0002_second"],
        False,
    )
    migrate(url, folder)
    after = asyncio.run(schema_state(url, folder))
    assert (after.pending, after.unknown, after.current) == ([], [], True)
    assert "0002_second" in after.applied


def test_failing_migration_leaves_nothing(url: str, folder: Path) -> None:
    broken = folder / "0003_third.sql"
    broken.write_text("CREATE TABLE third (id int);\nINSERT INTO third VALUES (1);\nSELECT nonsense FROM third;\n")
    with pytest.raises(OperatorError, match=r'0003_third failed at line 3: column "nonsense" does not exist'):
        migrate(url, folder)
    assert _value(url, "SELECT to_regclass('third')") is None
    assert _value(url, "SELECT count(*) FROM first") == 1
    broken.write_text("CREATE TABLE third (id int)")
    assert migrate(url, folder) == ["0003_third"]


def test_newer_database_is_refused(url: str, folder: Path) -> None:
    migrate(url, folder)
    (folder / "0002_second.sql").unlink()
    (folder / "0003_third.sql").write_text("CREATE TABLE third (id int)")
    with pytest.raises(OperatorError, match="newer than this program, which does not know 0002_second"):
        migrate(url, folder)
    assert asyncio.run(schema_state(url, folder)).unknown == ["0002_second"]
    assert _value(url, "SELECT to_regclass('third')") is None


def test_processes_at_once(url: str, folder: Path) -> None:
    (folder / "0003_slow.sql").write_text("CREATE TABLE slow (id int); SELECT pg_sleep(0.5);")
    (folder / "0004_index.sql").write_text(
        "-- transactional: false\nDROP INDEX IF EXISTS slow_id;\nCREATE INDEX CONCURRENTLY slow_id ON slow (id);"
    )
    script = (
        "import sys; from pathlib import Path; from ticketry.db.migrate import migrate;"
        "print(len(migrate(sys.argv[1], Path(sys.argv[2]))))"
    )
    command = [sys.executable, "-c", script, url, str(folder)]
    programs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    done = [program.communicate()[0].strip() for program in programs]
    assert [program.returncode for program in programs] == [0, 0, 0]
    assert sorted(done) == ["0", "0", "5"]
    assert _value(url, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


def test_killed_process_blocks_nobody(url: str, folder: Path) -> None:
    """Killed inside a migration, and with a lock row of yoyo's left by one killed earlier still."""
    slow = folder / "0003_slow.sql"
    slow.write_text("CREATE TABLE slow (id int); SELECT pg_sleep(60);")
    script = "import sys; from pathlib import Path; from ticketry.db.migrate import migrate;"
    script += "migrate(sys.argv[1], Path(sys.argv[2]))"
    with subprocess.Popen([sys.executable, "-c", script, url, str(folder)]) as program:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        while not _value(url, waiting):
            assert program.poll() is None
        program.kill()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO yoyo_lock VALUES (1, now(), 4711)")
        # The server learns only at the end of the statement that its client is gone.
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        assert connection.execute("SELECT to_regclass('slow')").fetchone() == (None,)
    slow.write_text("CREATE TABLE slow (id int)")
    assert migrate(url, folder) == ["0003_slow"]


def test_waits_for_the_lock_of_another(url: str, folder: Path) -> None:
    with psycopg.connect(url, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        command = "import sys; from pathlib import Path; from ticketry.db.migrate import migrate;"
        command += "migrate(sys.argv[1], Path(sys.argv[2]))"
        with subprocess.Popen([sys.executable, "-c", command, url, str(folder)]) as program:
            with pytest.raises(subprocess.TimeoutExpired):
                program.wait(1)
            assert _value(url, "SELECT to_regclass('first')") is None
            holder.close()
            assert program.wait(30) == 0


def test_queue_is_brought_up_from_an_older_version(url: str, folder: Path) -> None:
    """A database that the oldest version made goes through every file, and ends with the newest schema."""
    files = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    early = [one for one in files if one.name < "03.00.00"]
    migrate(url, folder)
    newest = _queue_shape(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        for one in early:
            connection.execute(one.read_bytes())
    _record(url, ["procrastinate", *(f"procrastinate-{one.stem}" for one in early)])
    applied = migrate(url, folder)
    late = [f"procrastinate-{one.stem}" for one in files if one not in early]
    assert applied == [*late, "0001_first", "0002_second"]
    assert _queue_shape(url) == newest
    comment = _value(url, "SELECT obj_description('procrastinate_jobs'::regclass)")
    assert str(comment).startswith("procrastinate 3.")


def _record(url: str, names: list[str]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE _yoyo_migration (migration_hash varchar(64) PRIMARY KEY,"
            " migration_id varchar(255), applied_at_utc timestamp)"
        )
        connection.execute("CREATE TABLE _yoyo_version (version int PRIMARY KEY, installed_at_utc timestamp)")
        connection.execute("INSERT INTO _yoyo_version VALUES (2, now())")
        for name in names:
            connection.execute(
                "INSERT INTO _yoyo_migration VALUES (encode(sha256(%s::text::bytea), 'hex'), %s, now())",
                [name, name],
            )


def _queue_shape(url: str) -> object:
    """The queue's columns and functions; the order of columns does differ between the two ways."""
    return _value(
        url,
        "SELECT array_agg(what ORDER BY what) FROM ("
        " SELECT table_name || '.' || column_name || ' ' || data_type AS what FROM information_schema.columns"
        " WHERE table_name LIKE 'procrastinate%' UNION"
        " SELECT oid::regprocedure::text FROM pg_proc WHERE proname LIKE 'procrastinate%') AS shape",
    )


def test_queue_of_somebody_else_is_refused(url: str, folder: Path) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE procrastinate_jobs (id int)")
    with pytest.raises(OperatorError, match="a database of its own"):
        migrate(url, folder)


@pytest.mark.parametrize(
    "bad",
    [
        "postgresql://u:s3cr%t@localhost/x",
        "postgresql://u:a@s3cret@localhost/x",
        "postgresql://u:1/s3cret@localhost/x",
        "postgresql://u:s3cret/b@localhost/x",
        "postgresql://u:s3cret@127.0.0.1:1/x",
        "host=127.0.0.1 port=1 user=u password=s3cret dbname=x",
        "host=/nowhere/at/all password='s3cret",
        "mysql://u:s3cret@localhost/x",
    ],
)
def test_unreachable_database_is_one_line_without_the_password(bad: str, folder: Path) -> None:
    for call in (lambda: migrate(bad, folder), lambda: asyncio.run(schema_state(bad, folder))):
        with pytest.raises(OperatorError) as caught:
            call()
        assert "\n" not in str(caught.value)
        assert "s3cr" not in str(caught.value)


def test_every_way_to_write_the_url(url: str, folder: Path) -> None:
    host = conninfo_to_dict(url)["host"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS odd")
        connection.execute("CREATE ROLE odd LOGIN SUPERUSER PASSWORD 'p@ss/w:rd %'")
    password = quote("p@ss/w:rd %", safe="")
    assert migrate(f"host={host} port=5432 dbname=fresh user=odd password='p@ss/w:rd %'", folder)
    for other in (
        f"postgres://odd:{password}@/fresh?host={host}&port=5432",
        f"postgresql://odd:{password}@{quote(str(host), safe='')}:5432/fresh?application_name=a%20b",
    ):
        assert migrate(other, folder) == []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("REASSIGN OWNED BY odd TO ticketry; DROP OWNED BY odd; DROP ROLE odd")
