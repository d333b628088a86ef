"""The embedded PostgreSQL: started, shared, killed and found again, always with a real server."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from ticketry.core.errors import OperatorError
from ticketry.db.embedded import EmbeddedServer, embedded

# A second program on the same folder: tells the URI, then stays until its input closes.
USER = """
import sys
from pathlib import Path
from ticketry.db.embedded import embedded
with embedded(Path(sys.argv[1])) as uri:
    print(uri, flush=True)
    sys.stdin.read()
"""

EXPECTED = {
    "listen_addresses": "",
    "server_encoding": "UTF8",
    "timezone": "UTC",
    "fsync": "on",
    "synchronous_commit": "on",
    "data_checksums": "on",
}


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: pytest takes the right to pass through its folders away again when another run starts.
    base = Path(tempfile.mkdtemp(prefix="tk"))
    yield base / "data"
    _kill_server(base / "data")
    shutil.rmtree(base)


def _postmaster(folder: Path) -> int | None:
    try:
        pid = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, 0)
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None
    return pid


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _kill_server(folder: Path, backends: bool = True) -> None:
    pid = _postmaster(folder)
    if pid is None or "postgres" not in Path(f"/proc/{pid}/cmdline").read_text():
        return
    for one in [pid, *(_children(pid) if backends else [])]:
        os.kill(one, signal.SIGKILL)


@contextmanager
def _other_program(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", USER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("postgresql://")
        try:
            yield process
        finally:
            process.kill()


def _write(uri: str) -> None:
    with psycopg.connect(uri) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")


def _read(uri: str) -> int:
    with psycopg.connect(uri) as connection:
        row = connection.execute("SELECT answer FROM kept").fetchone()
        return int(row[0]) if row else 0


def test_starts_keeps_data_and_stops(folder: Path) -> None:
    with embedded(folder) as uri:
        _write(uri)
        with psycopg.connect(uri) as connection:
            locale = "SELECT datlocale FROM pg_database WHERE datname = current_database()"
            assert connection.execute(locale).fetchone() == ("C.UTF-8",)
            shown = [connection.execute(f"SHOW {name}").fetchone() for name in EXPECTED]
            assert dict(zip(EXPECTED, (row[0] for row in shown if row), strict=True)) == EXPECTED
    assert _postmaster(folder) is None
    with embedded(folder) as uri:
        assert _read(uri) == 42


def test_is_closed_to_other_users(folder: Path) -> None:
    with embedded(folder):
        server = EmbeddedServer(folder)
        assert (folder / "postgres").stat().st_mode & 0o077 == 0
        assert folder.stat().st_mode & 0o066 == 0
        assert (folder / "postgres.log").stat().st_mode & 0o077 == 0
        if os.geteuid() == 0:
            command = [server.bin / "pg_isready", "-h", folder / "postgres", "-p", "5432"]
            stranger = subprocess.run(command, user=65534, group=65534, extra_groups=[], capture_output=True)
            assert stranger.returncode == 2


def test_server_is_out_of_reach_of_ctrl_c(folder: Path) -> None:
    with embedded(folder):
        pid = _postmaster(folder)
        assert pid is not None
        assert os.getsid(pid) != os.getsid(0)


def test_last_one_out_stops(folder: Path) -> None:
    with _other_program(folder) as other:
        with embedded(folder) as uri, embedded(folder) as again:
            assert uri == again
        assert _postmaster(folder) is not None
        other.communicate()
    assert _postmaster(folder) is None


def test_many_start_at_once(folder: Path) -> None:
    command = [sys.executable, "-c", USER, str(folder)]
    programs = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) for _ in range(4)]
    uris = {program.communicate()[0] for program in programs}
    assert len(uris) == 1
    assert [program.returncode for program in programs] == [0, 0, 0, 0]
    assert _postmaster(folder) is None


def test_orphan_is_adopted(folder: Path) -> None:
    with _other_program(folder) as other:
        pid = _postmaster(folder)
        other.kill()
        other.wait()
    assert _postmaster(folder) == pid
    with embedded(folder):
        assert _postmaster(folder) == pid
    assert _postmaster(folder) is None


def test_recovers_after_everything_was_killed(folder: Path) -> None:
    with _other_program(folder) as other, embedded(folder) as uri:
        _write(uri)
        other.kill()
        _kill_server(folder)
    with embedded(folder) as uri:
        assert _read(uri) == 42


def test_waits_for_processes_of_the_killed_server(folder: Path) -> None:
    with embedded(folder) as uri:
        _write(uri)
        pid = _postmaster(folder)
        assert pid is not None
        slow = _children(pid)[0]
        os.kill(slow, signal.SIGSTOP)
        _kill_server(folder, backends=False)
        threading.Timer(2, os.kill, (slow, signal.SIGCONT)).start()
        begin = time.monotonic()
        with embedded(folder) as again:
            assert _read(again) == 42
        assert time.monotonic() - begin > 1


def test_restarts_under_its_users(folder: Path) -> None:
    server = EmbeddedServer(folder)
    uri = server.enter()
    _write(uri)
    _kill_server(folder)
    assert server.ensure_running() == uri
    assert _read(uri) == 42
    server.leave()
    server.leave()
    assert _postmaster(folder) is None


def test_pid_of_a_killed_server_borne_by_another_program(folder: Path) -> None:
    pid_file = folder / "postgres" / "postmaster.pid"
    with embedded(folder) as uri:
        _write(uri)
        lines = pid_file.read_text().splitlines()
        owner = pid_file.stat()
        _kill_server(folder)
    user = owner.st_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "60"], user=user) as sleeper:
        pid_file.write_text("\n".join([str(sleeper.pid), *lines[1:], ""]))
        try:
            with embedded(folder) as uri:
                assert _read(uri) == 42
            assert sleeper.poll() is None
        finally:
            sleeper.kill()


@pytest.mark.parametrize("name", ["x" * 120, 'it\'s a $(folder), "odd" & ünusual'])
def test_path_that_no_socket_can_have(folder: Path, name: str) -> None:
    with embedded(folder / name) as uri:
        _write(uri)
        socket_dir = Path(psycopg.conninfo.conninfo_to_dict(uri)["host"] or "")
        assert socket_dir.stat().st_mode & 0o077 == 0
        assert socket_dir.stat().st_uid == (folder / name / "postgres").stat().st_uid
    with embedded(folder / name) as uri:
        assert _read(uri) == 42
    socket_dir.rmdir()


def test_socket_folder_of_somebody_else_is_refused(folder: Path) -> None:
    with embedded(folder / ("x" * 120)) as uri:
        socket_dir = Path(psycopg.conninfo.conninfo_to_dict(uri)["host"] or "")
    socket_dir.chmod(0o777)
    with pytest.raises(OperatorError, match="private folder"), embedded(folder / ("x" * 120)):
        pass
    socket_dir.rmdir()


def test_cluster_half_made_is_made_anew(folder: Path) -> None:
    (folder / "postgres.new" / "base").mkdir(parents=True)
    (folder / "postgres.new" / "PG_VERSION").write_text("18\n")
    with embedded(folder) as uri:
        _write(uri)
    assert not (folder / "postgres.new").exists()


@pytest.mark.parametrize("below", ["", "further/down"])
def test_file_in_place_of_the_folder(folder: Path, below: str) -> None:
    folder.write_text("")
    with pytest.raises(OperatorError, match="cannot use the data folder") as caught, embedded(folder / below):
        pass
    assert "\n" not in str(caught.value)


def test_cluster_of_another_major_version(folder: Path) -> None:
    with embedded(folder):
        pass
    (folder / "postgres" / "PG_VERSION").write_text("17\n")
    with (
        pytest.raises(OperatorError, match=r"made by PostgreSQL 17, this program brings 18"),
        embedded(folder),
    ):
        pass


def test_folder_with_something_else_in_it(folder: Path) -> None:
    (folder / "postgres").mkdir(parents=True)
    (folder / "postgres" / "letter.txt").write_text("dear")
    with pytest.raises(OperatorError, match="no PostgreSQL cluster"), embedded(folder):
        pass
    assert (folder / "postgres" / "letter.txt").exists()


def test_failed_start_tells_why(folder: Path) -> None:
    with embedded(folder):
        pass
    with (folder / "postgres" / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(OperatorError, match="did not start: ") as caught, embedded(folder):
        pass
    assert "\n" not in str(caught.value)
    assert "configuration" in str(caught.value)


def test_interrupted_start_leaves_no_server(folder: Path) -> None:
    """Ctrl-C while the server starts: whoever gets no URI owes nobody a running server."""
    with embedded(folder):
        pass
    command = [sys.executable, "-c", USER, str(folder)]
    for delay in (0.15, 0.2, 0.25, 0.3):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as one:
            time.sleep(delay)
            one.send_signal(signal.SIGINT)
            one.communicate(timeout=60)  # ends its input too: Python may lose the signal while it loads modules
        assert _postmaster(folder) is None
