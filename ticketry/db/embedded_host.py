"""What the embedded database needs of the machine: a user, permissions, locks, processes."""

import fcntl
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ticketry.core.errors import OperatorError

SYSTEM_USER = "ticketry-postgres"


@dataclass(frozen=True)
class Owner:
    """The system user the server runs as when we are root, which PostgreSQL refuses to be."""

    uid: int
    gid: int


@contextmanager
def folder_errors(folder: Path) -> Iterator[None]:
    """Turn whatever the file system refuses into one clear line."""
    try:
        yield
    except (NotADirectoryError, FileExistsError) as error:
        raise OperatorError(f"cannot use the data folder {folder}: {error.filename} is in the way") from error
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise OperatorError(f"cannot use the data folder {folder}: {error.strerror}{place}") from error


def make_data_dir(folder: Path) -> None:
    """Make the folder, closed to others; below root the server's user must be able to pass through."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, exist_ok=True)


def open_private(path: Path, mode: str) -> IO[bytes]:
    """Open or create a file of the data folder, for the folder's owner alone.

    Below root the folder may be another user's: the file becomes theirs, a link they put there is refused.
    Python closes the file in programs it starts, so the server never holds a lock on it.
    """
    with_owner = os.geteuid() == 0

    def opener(name: str, flags: int) -> int:
        handle = os.open(name, flags | os.O_NOFOLLOW, 0o600)
        if with_owner:
            os.fchown(handle, path.parent.stat().st_uid, -1)
        return handle

    return open(path, mode, opener=opener)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with open_private(path, "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def owner_of(cluster: Path) -> Owner | None:
    """Whom to run the server as: None for ourselves; below root the cluster's owner, or our system user."""
    found = cluster.stat() if cluster.exists() else None
    if os.geteuid() != 0:
        if found and found.st_uid != os.geteuid():
            raise OperatorError(f"{cluster} belongs to another user; run as that user")
        return None
    # A cluster that its user made without root stays that user's, or a single `sudo` would take it away.
    if found and found.st_uid != 0 and (cluster / "PG_VERSION").exists():
        return Owner(found.st_uid, found.st_gid)
    user = _system_user()
    return Owner(user.pw_uid, user.pw_gid)


def _system_user() -> pwd.struct_passwd:
    """The system user for the server, created if needed: no password, no home, no shell."""
    shell = shutil.which("nologin", path="/usr/sbin:/sbin:/usr/bin") or "/bin/false"
    create = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir=/nonexistent"]
    for attempt in (True, False):
        try:
            return pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            program = shutil.which(create[0], path="/usr/sbin:/sbin:/usr/bin")
            if attempt and program:
                command = [program, *create[1:], f"--shell={shell}", SYSTEM_USER]
                subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    raise OperatorError(f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} cannot be created")


def claim(cluster: Path, owner: Owner | None) -> None:
    """Give the server's user a cluster that root holds, as after a restore of the folder from a backup."""
    if owner is None or cluster.stat().st_uid == owner.uid:
        return
    for folder, folders, files in os.walk(cluster):
        for name in (".", *folders, *files):
            os.chown(os.path.join(folder, name), owner.uid, owner.gid, follow_symlinks=False)


def add_mode(path: Path, bits: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & bits != bits:
        path.chmod(mode | bits)


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def command_line(pid: int) -> str:
    """What a living process was started with, its words apart by spaces; empty when it is gone."""
    if not os.path.exists("/proc/self/cmdline"):
        done = subprocess.run(["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False)  # noqa: S603
        return os.fsdecode(done.stdout)
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""
