"""The folder itself: written beside its place and put there when it is whole; read only if it is what it says."""

import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
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
    _clear_leftovers(folder)
    _check_free(folder)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True, mode=0o700)
        yield beside
        _put(beside, folder)
    except OSError as error:
        raise OperatorError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


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
    """Half exports of processes that are gone; a whole one that was about to be replaced is put back."""
    for left in folder.parent.glob(f".{escape(folder.name)}.*"):
        pid, _, kind = left.name.removeprefix(f".{folder.name}.").partition(".")
        if kind not in {"partial", "old"} or not pid.isdecimal() or Path(f"/proc/{pid}").exists():
            continue
        if kind == "old" and not folder.exists():
            left.rename(folder)
        else:
            shutil.rmtree(left, ignore_errors=True)


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
