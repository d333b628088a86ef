"""Where the bytes lie: a folder of this machine, or any S3-compatible store. Nothing here knows the database."""

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from ticketry.core.errors import TicketryError
from ticketry.settings import Settings

READ_PART = 262_144
LOCAL_PART = 1_048_576
S3_PART = 5_242_880
"""Bytes read, and written, at a time; S3 takes no smaller part."""
MARK = ".ticketry-files"
"""Stands in a folder that files lie in. Where it is missing, the disk is away, and no file counts as gone."""
_MEANING = (
    "Ticketry keeps files here. Without this file it takes the disk for absent, and neither writes nor deletes.\n"
)
_OURS = "ws_*"
"""What the folders of files are called that were there before there was a mark."""
_ABSENT = "<Code>NoSuchKey</Code>"
"""What S3 says if a file is not there; that a bucket is not there looks the same otherwise."""
_FULL = ("(os error 28)", "(os error 122)", "(os error 27)")
"""No space, no quota, or larger than this process may write."""
_PATIENCE = timedelta(seconds=30)
_RETRIES = 3


def storage_full() -> TicketryError:
    """There is no room for the file."""
    return TicketryError("storage_full", "The server has no room left for this file")


def storage_unavailable() -> TicketryError:
    """The file store does not answer, or not as it should."""
    return TicketryError("storage_unavailable", "The file store cannot be reached at the moment", retry_after=5)


def storage_not_set() -> TicketryError:
    """Nobody has said where files are to lie."""
    message = "This server keeps no files: set TICKETRY_FILES_DIR or TICKETRY_S3_BUCKET"
    return TicketryError("storage_not_set", message)


def _told(error: BaseError | OSError) -> TicketryError:
    return storage_full() if any(sign in str(error) for sign in _FULL) else storage_unavailable()


class Files:
    """A file store. A file is written whole or not at all, and is found under its path alone."""

    def __init__(self, store: ObjectStore, folder: Path | None, reserve: int = 0) -> None:
        self._store = store
        self._folder = folder
        self._reserve = reserve
        self._part = S3_PART if folder is None else LOCAL_PART
        self._read_part = LOCAL_PART if folder is None else READ_PART

    async def write(self, path: str, pieces: AsyncIterator[bytes]) -> None:
        """Stores a file, holding no more than a few parts of it in memory. The store must be `founded`.

        Whatever `pieces` raises is raised, and nothing is stored. Raises `storage_full` and `storage_unavailable`.
        """
        await self._check_founded()
        await self._write(path, pieces)

    async def _write(self, path: str, pieces: AsyncIterator[bytes]) -> None:
        parts = _parts(self._while_there_is_room(pieces), self._part)
        try:
            first = await anext(parts, b"")
            if len(first) < self._part:
                await obstore.put_async(self._store, path, first, use_multipart=False)
            else:
                whole = _after(first, parts)
                await obstore.put_async(self._store, path, whole, chunk_size=self._part, max_concurrency=1)
            if self._folder is not None:
                await asyncio.to_thread(_settle, self._folder, path)
        except (BaseError, OSError) as error:
            raise _told(error) from error

    async def _while_there_is_room(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same pieces. Raises `storage_full` when the disk has no more than the reserve left: whatever else lies on
        it, the database for instance, must be able to go on.
        """
        unlooked = self._part  # bytes since the last look
        async for piece in pieces:
            unlooked += len(piece)
            if self._folder is not None and unlooked >= self._part:
                unlooked = 0
                if (await asyncio.to_thread(shutil.disk_usage, self._folder)).free < self._reserve:
                    raise storage_full()
            yield piece

    async def read(self, path: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """The bytes of a file from `start` up to `end` (not included), in pieces.

        Whether the file is there is known when this returns. Each piece is a request of its own, so that a slow reader
        holds nothing open in the store. Raises `FileNotFoundError` and `storage_unavailable`.
        """
        first = await self._piece(path, start, end)
        return self._pieces(first, path, start, end)

    async def _piece(self, path: str, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        async with self._said():
            return bytes(
                await obstore.get_range_async(self._store, path, start=start, end=min(end, start + self._read_part))
            )

    async def _pieces(self, piece: bytes, path: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        while piece:
            yield piece
            start += len(piece)
            piece = await self._piece(path, start, end)

    async def delete(self, path: str) -> None:
        """Deletes a file, and what a process that died may have left of it. One that is not there is no error; that the
        whole store is away is: `storage_unavailable`.
        """
        with suppress(FileNotFoundError):
            async with self._said():
                await obstore.delete_async(self._store, path)
        if self._folder is not None:
            (self._folder / f"{path}#1").unlink(missing_ok=True)  # where a write lies until it is complete

    async def founded(self) -> bool:
        """Whether files lie here. Others made a bucket; of a folder its mark tells, or files older than marks."""
        try:
            return self._folder is None or await asyncio.to_thread(_is_marked, self._folder)
        except OSError as error:
            raise _told(error) from error

    async def found(self) -> None:
        """Makes an empty folder a file store. Raises `storage_full` and `storage_unavailable`."""
        if self._folder is not None:
            try:
                await asyncio.to_thread(_mark, self._folder)
            except OSError as error:
                raise _told(error) from error

    async def _check_founded(self) -> None:
        if not await self.founded():
            raise storage_unavailable()

    @asynccontextmanager
    async def _said(self) -> AsyncIterator[None]:
        """What goes wrong in the store, in our words; that a file alone is not there stays as it is."""
        try:
            yield
        except FileNotFoundError as error:
            if self._folder is None and _ABSENT not in str(error):
                raise storage_unavailable() from error
            await self._check_founded()
            raise
        except (BaseError, OSError) as error:
            raise _told(error) from error

    async def check(self) -> None:
        """Writes, reads and deletes a small file. Raises what goes wrong."""
        path = f"check-{os.getpid()}"
        await self._write(path, _after(b"Ticketry was here", None))
        async for _ in await self.read(path, 0, 1):
            pass
        await self.delete(path)


async def _parts(pieces: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """The same bytes in parts of at least `size`, but for the last."""
    part = bytearray()
    async for piece in pieces:
        part += piece
        if len(part) >= size:
            yield bytes(part)
            part.clear()
    if part:
        yield bytes(part)


async def _after(first: bytes, rest: AsyncIterator[bytes] | None) -> AsyncIterator[bytes]:
    yield first
    if rest is not None:
        async for part in rest:
            yield part


def _settle(folder: Path, path: str) -> None:
    """Waits until a file is on the disk under its name: its row must not outlive it, also when the power fails."""
    file = folder / path
    for place, flags in ((file, os.O_RDONLY), *((parent, os.O_DIRECTORY) for parent in {file.parent, folder})):
        handle = os.open(place, flags)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _is_marked(folder: Path) -> bool:
    if (folder / MARK).exists():
        return True
    if next(folder.glob(_OURS), None) is None:
        return False
    with suppress(OSError):  # a disk that takes nothing now can still be read
        _mark(folder)
    return True


def _mark(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / MARK).write_text(_MEANING, encoding="utf-8")
    _settle(folder, MARK)


@lru_cache(maxsize=8)
def open_files(settings: Settings) -> Files:
    """The file store that the settings name, not yet asked for anything. Raises `storage_not_set`."""
    if settings.s3_bucket is not None:
        return Files(_s3(settings), None)
    if settings.files_dir is None:
        raise storage_not_set()
    folder = settings.files_dir.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Files(LocalStore(prefix=folder), folder, settings.files_reserve)
    except (BaseError, OSError) as error:
        raise _told(error) from error


def _s3(settings: Settings) -> ObjectStore:
    given: dict[str, Any] = {
        "bucket": settings.s3_bucket,
        "endpoint": settings.s3_endpoint,
        "region": settings.s3_region,
        "access_key_id": settings.s3_access_key_id,
        "secret_access_key": settings.s3_secret_access_key,
    }
    return S3Store(
        **{name: value for name, value in given.items() if value is not None},
        virtual_hosted_style_request=False,
        client_options={"allow_http": (settings.s3_endpoint or "").startswith("http://"), "timeout": _PATIENCE},
        retry_config={"max_retries": _RETRIES, "retry_timeout": _PATIENCE},
    )
