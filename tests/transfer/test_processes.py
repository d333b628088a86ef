"""The commands as processes: killed in the middle, on a terminal, beside an erasure, and how much memory they take."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from conftest import House
from process.program import PATIENCE, TICKETRY, environment, eventually, kill

from .moving import bring, export, run
from .test_folders import everything_stored, refusal

MEMORY = 40 * 1024
"""KiB by which the memory of a command may differ, whatever it moves; the larger workspace has 70 MB more."""


@pytest.fixture(scope="module")
def house(house: House) -> House:
    ticket = house.ticket()
    house.client(house.cast.admin).post(f"/v1/tickets/{ticket['id']}/comments", json={"body": "Said"})
    return house


def begun(house: House, files: Path, *words: str | Path, errors: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """A command that was started."""
    given = [TICKETRY, *map(str, words), "--database-url", house.database_url]
    env = {**environment(), "TICKETRY_FILES_DIR": str(files), "TERM": "xterm"}
    return subprocess.Popen(given, env=env, stdout=subprocess.DEVNULL, stderr=errors)


@contextmanager
def held_up(house: House, table: str) -> Iterator[None]:
    """Whoever comes to this table waits."""
    with psycopg.connect(house.database_url) as conn:
        conn.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
        conn.rollback()


def waiting(house: House) -> bool:
    """Whether somebody does."""
    query = """SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE d.datname = current_database() AND NOT l.granted"""
    return bool(house.sql(query))


def test_a_killed_export_leaves_nothing_after_the_next(house: House, files: Path, tmp_path: Path) -> None:
    with held_up(house, "comments"):
        process = begun(house, files, "export", tmp_path / "out", "--workspace", house.cast.workspace_id)
        assert eventually(lambda: waiting(house), PATIENCE)
        kill(process.pid)
        process.wait(PATIENCE)
    (left,) = tmp_path.iterdir()
    assert left.match(".out.*.partial")
    export(house, files, house.cast.workspace_id, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_killed_import_leaves_nothing(house: House, files: Path, tmp_path: Path) -> None:
    export(house, files, house.cast.workspace_id, tmp_path / "out")
    before = everything_stored(house, files)
    with held_up(house, "comments"):
        process = begun(house, files, "import", tmp_path / "out", "--new", "Killed")
        assert eventually(lambda: waiting(house), PATIENCE)
        kill(process.pid)
        process.wait(PATIENCE)
    assert eventually(lambda: everything_stored(house, files) == before, PATIENCE)
    bring(house, files, tmp_path / "out", "Killed")


def test_a_full_disk_leaves_the_older_export_as_it_was(house: House, files: Path, tiny_disk: Path) -> None:
    out, filler = tiny_disk / "out", tiny_disk / "filler"
    export(house, files, house.cast.workspace_id, out)
    before = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with suppress(OSError), filler.open("wb", buffering=0) as full:
        while full.write(b"x" * 4096):
            pass
    said = refusal(run(house, files, "export", out, "--workspace", house.cast.workspace_id))
    assert f"cannot write {out}: No space left on device" in said
    assert sorted(tiny_disk.iterdir()) == [filler, out]
    assert {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    filler.unlink()
    export(house, files, house.cast.workspace_id, out)


def test_progress_is_shown_on_a_terminal(house: House, files: Path, tmp_path: Path) -> None:
    terminal, end = os.openpty()
    process = begun(house, files, "export", tmp_path / "out", "--workspace", house.cast.workspace_id, errors=end)
    os.close(end)
    said = b""
    with suppress(OSError):  # so a terminal ends whose programs have ended
        while block := os.read(terminal, 65_536):
            said += block
    os.close(terminal)
    assert process.wait(PATIENCE) == 0
    assert b"Exporting" in said
    assert "━".encode() in said
    assert b" is in " in said


def test_nothing_is_exported_while_an_erasure_runs(house: House, files: Path, tmp_path: Path) -> None:
    house.sql(
        """INSERT INTO erasures (workspace_id, id, kind, closed_before, stage, sought, actor_type, actor_id, actor_name,
               started_at) VALUES (%s, 'erasure_x', 'retention', now(), 'tickets', '{}', 'system', 'x', 'x', now())""",
        (house.cast.workspace_id,),
    )
    said = refusal(run(house, files, "export", tmp_path / "out", "--workspace", house.cast.workspace_id))
    house.sql("DELETE FROM erasures WHERE id = 'erasure_x'")
    assert "erasure_x is still erasing words" in said
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_workspace(house: House, files: Path, tmp_path: Path) -> None:
    """Out and in again."""
    peaks = []
    for workspace, many in ((house.cast.stranger_workspace_id, 2_000), (house.cast.workspace_id, 20_000)):
        house.sql(
            """INSERT INTO tickets (workspace_id, id, number, subject, description, priority, status, created_at,
                   updated_at, sla_since)
               SELECT %(ws)s, 'ticket_' || n, 100 + n, 'Ticket ' || n, repeat(repeat('x', 1000) || ' ', 4), 3, 'open',
                   '2025-01-01T00:00:00Z', '2025-01-01T00:00:00Z', '2025-01-01T00:00:00Z'
               FROM generate_series(1, %(many)s) n""",
            {"ws": workspace, "many": many},
        )
        for words in (("export", tmp_path / f"{many}", "--workspace", workspace),
                      ("import", tmp_path / f"{many}", "--new", f"Moved {many}")):  # fmt: skip
            process = begun(house, files, *words)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0
            peaks.append(used.ru_maxrss)
    assert abs(peaks[2] - peaks[0]) < MEMORY, peaks
    assert abs(peaks[3] - peaks[1]) < MEMORY, peaks
