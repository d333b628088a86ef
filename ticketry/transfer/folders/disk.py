"""The folder itself: written beside its place and put there when it is whole; read only if it is what it says."""

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Self

from ticketry.core.errors import OperatorError
from ticketry.transfer.folders import rules
from ticketry.transfer.folders.models import FILES, MANIFEST, Entry, Manifest

BLOCK = 1_048_576


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
        if error[0] is None:
            self._out.flush()
            os.fsync(self._out.fileno())
        self._out.close()

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
    folder = folder.resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(folder)
        _check_free(folder)
        with _locked_draft(folder) as beside:
            yield beside
            _put(beside, folder)
    except OSError as error:
        raise OperatorError(f"cannot write {folder}: {error.strerror or error}") from error


@contextmanager
def _locked_draft(folder: Path) -> Iterator[Path]:
    """A new folder, locked as long as somebody writes it: a process id would be another one's in another container."""
    beside = Path(mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    handle = os.open(beside, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield beside
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        os.close(handle)


def _check_free(folder: Path) -> None:
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir():
        raise OperatorError(f"{folder} is no folder")
    names = [entry.name for entry in folder.iterdir()]
    try:
        manifest = read_manifest(folder) if MANIFEST in names else None
    except OperatorError:
        manifest = None
    strange = rules.foreign(names, manifest)
    if not strange and FILES in names and (folder / FILES).is_dir():
        strange = [
            f"{FILES}/{name}" for name in sorted({e.name for e in (folder / FILES).iterdir()} - _attached(folder))
        ]
    if strange:
        raise OperatorError(f"{folder} holds {strange[0]}, which is not part of an export: name an empty folder")


def _attached(folder: Path) -> set[str]:
    """The ids of the attachments that an export tells of; none if that cannot be read."""
    try:
        with (folder / "attachments.ndjson").open("rb") as lines:
            return {str(json.loads(line)["id"]) for line in lines}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _clear_leftovers(folder: Path) -> None:
    """Half exports that nobody writes any more; a whole one that was about to be replaced is put back."""
    ours = re.compile(rf"\.{re.escape(folder.name)}\.\w+\.(partial|old)", re.ASCII)
    for left in sorted(path for path in folder.parent.iterdir() if ours.fullmatch(path.name)):
        if _is_being_written(left.with_suffix(".partial")):
            continue
        if left.suffix == ".old" and not folder.exists():
            left.rename(folder)
        else:
            shutil.rmtree(left, ignore_errors=True)


def _is_being_written(beside: Path) -> bool:
    """Whether a living process holds the lock of a draft."""
    try:
        handle = os.open(beside, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _put(beside: Path, folder: Path) -> None:
    _settle(beside)
    old = beside.with_suffix(".old")
    if folder.exists():
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


def read_manifest(folder: Path) -> Manifest:
    """What a folder says that it holds. Raises `OperatorError`."""
    try:
        return rules.read_manifest((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OperatorError(f"{folder} is no export: it has no {MANIFEST}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{folder / MANIFEST}: {error}") from None


def check_file(path: Path, entry: Entry) -> None:
    """Raises `OperatorError` unless a file is byte for byte what the manifest says."""
    try:
        size = path.stat().st_size
        if size != entry.bytes:
            raise OperatorError(f"{path.name}: {size} bytes, and {MANIFEST} says {entry.bytes}: the folder is damaged")
        with path.open("rb") as file:
            told = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise OperatorError(f"{path.name}: {error.strerror or error}") from None
    if told != entry.sha256:
        raise OperatorError(f"{path.name}: its SHA-256 is not what {MANIFEST} says: the folder is damaged")


async def blocks(path: Path) -> AsyncIterator[bytes]:
    """The bytes of a file."""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block
