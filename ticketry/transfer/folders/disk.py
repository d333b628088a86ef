"""The folder itself: written beside its place and put there when it is whole; read only if it is what it says."""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from tempfile import mkdtemp
from typing import Self

from pydantic_core import from_json

from ticketry.core.errors import OperatorError
from ticketry.transfer.folders import rules
from ticketry.transfer.folders.models import ATTACHMENTS, FILES, MANIFEST, Entry, Manifest

BLOCK = 1_048_576
_OURS = "ticketry-"
"""Is part of the names of folders that an export makes for a time, so that no other is taken for one."""


class Writing:
    """A file being written: how long it is and its SHA-256."""

    def __init__(self, path: Path) -> None:
        self.bytes = 0
        self.rows = 0
        self._digest = hashlib.sha256()
        path.parent.mkdir(exist_ok=True)
        self._out = path.open("xb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self._out:
            if error[0] is None:
                self._out.flush()
                os.fsync(self._out.fileno())

    def write(self, block: bytes) -> int:
        """Appends whole lines; how many."""
        rows = block.count(b"\n")
        self._out.write(block)
        self._digest.update(block)
        self.bytes += len(block)
        self.rows += rows
        return rows

    @property
    def sha256(self) -> str:
        """Of all that was written, in hexadecimal."""
        return self._digest.hexdigest()


@contextmanager
def draft(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` which takes its place when the block ends well, and is gone when it does not.

    Raises `OperatorError` at once if something lies there that is no export of ours. What exports left that were killed
    is cleared away.
    """
    folder = Path(os.path.realpath(folder))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(folder)
        _check_free(folder)
        with _beside(folder) as beside:
            yield beside
            _put(beside, folder)
    except OSError as error:
        raise OperatorError(f"cannot write {folder}: {error.strerror or error}") from error


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A new folder, held as long as somebody writes it."""
    beside = Path(mkdtemp(prefix=f".{folder.name}.{_OURS}", suffix=".partial", dir=folder.parent))
    try:
        with _held(beside):
            if not beside.exists():  # another export took it for left behind before it was held
                raise OperatorError(f"another export to {folder} has just begun: try again")
            yield beside
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """A lock that ends with the process, however that ends: ids of processes are given again, and differ by container.

    False if another has it, or where the file system knows no locks: what the dead left there stays.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        held = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            held = False
        yield held
    finally:
        os.close(handle)


def _clear_leftovers(folder: Path) -> None:
    """Half exports of processes that are gone; a whole one that was about to be replaced is put back."""
    name = re.compile(rf"\.{re.escape(folder.name)}\.{_OURS}[a-z0-9_]{{8}}\.(partial|old)", re.ASCII)
    for left in folder.parent.glob(".*"):
        if not name.fullmatch(left.name):
            continue
        with suppress(OSError), _held(left) as dead:
            if dead and left.suffix == ".old" and not folder.exists():
                left.rename(folder)
            elif dead:
                shutil.rmtree(left, ignore_errors=True)


def _check_free(folder: Path) -> None:
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir():
        raise OperatorError(f"{folder} is no folder")
    try:
        manifest = read_manifest(folder) if (folder / MANIFEST).exists() else None
    except OperatorError:
        manifest = None
    if strange := rules.foreign(_kinds(folder), manifest) or _strange_files(folder):
        raise OperatorError(f"{folder} holds {strange[0]}, which is not part of an export: name an empty folder")


def _kinds(folder: Path) -> dict[str, str]:
    """What lies in a folder, by name: `file`, `folder`, or `other`, as links are."""
    found = {}
    for path in folder.iterdir():
        mode = path.lstat().st_mode
        found[path.name] = "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"
    return found


def _strange_files(folder: Path) -> list[str]:
    """What lies among the files of attachments and is none that the export names; all of it if that cannot be read."""
    if not (folder / FILES).exists():
        return []
    left = _kinds(folder / FILES)
    with suppress(OSError, ValueError), opened(folder / ATTACHMENTS) as rows:
        for row in map(from_json, rows):
            if isinstance(row, dict) and left.get(str(row.get("id"))) == "file":
                del left[str(row["id"])]
    return sorted(f"{FILES}/{name}" for name in left)


def _put(beside: Path, folder: Path) -> None:
    _settle(beside)
    if not folder.exists():
        beside.rename(folder)
        _settle(folder.parent)
        return
    _check_free(folder)  # somebody may have put something into it in the meantime
    old = beside.with_suffix(".old")
    with _held(folder):
        folder.rename(old)
        beside.rename(folder)
        _settle(folder.parent)
        shutil.rmtree(old, ignore_errors=True)


def _settle(folder: Path) -> None:
    """Waits until the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Says what the folder holds."""
    with Writing(folder / MANIFEST) as out:
        out.write(manifest.model_dump_json(indent=2).encode() + b"\n")


def opened(path: Path) -> BufferedReader:
    """A file of the folder, to be read. Raises `OSError`, also for a link, a pipe or a device: they may have no end."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(errno.EINVAL, "is no regular file")
    return path.open("rb")


def read_manifest(folder: Path) -> Manifest:
    """What a folder says that it holds. Raises `OperatorError`."""
    try:
        with opened(folder / MANIFEST) as file:
            return rules.read_manifest(file.read().decode())
    except FileNotFoundError:
        raise OperatorError(f"{folder} is no export: it has no {MANIFEST}") from None
    except OSError as error:
        raise OperatorError(f"{folder / MANIFEST}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise OperatorError(f"{folder / MANIFEST}: {error}") from None


def check_file(path: Path, entry: Entry) -> None:
    """Raises `OperatorError` unless a file is byte for byte what the manifest says."""
    try:
        with opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size != entry.bytes:
                said = f"{size} bytes, and {MANIFEST} says {entry.bytes}: the folder is damaged"
                raise OperatorError(f"{path.name}: {said}")
            told = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise OperatorError(f"{path.name}: {error.strerror or error}") from None
    if told != entry.sha256:
        raise OperatorError(f"{path.name}: its SHA-256 is not what {MANIFEST} says: the folder is damaged")


async def blocks(path: Path) -> AsyncIterator[bytes]:
    """The bytes of a file."""
    with opened(path) as file:
        while block := file.read(BLOCK):
            yield block
