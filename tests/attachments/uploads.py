"""What the tests of attachments say: uploads, forms by hand, and what is left in the database and the file store."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from conftest import House

from ticketry.attachments.files import MARK, Files, open_files
from ticketry.db.pool import Pool, make_pool
from ticketry.settings import load

FIELDS = {
    "id", "name", "content_type", "claimed_type", "size", "sha256", "contact_id", "ticket_id", "comment_id",
    "visibility", "created_at",
}  # fmt: skip
BOUNDARY = "the-boundary"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
CLOSING = f"\r\n--{BOUNDARY}--\r\n".encode()


def send(
    house: House, content: bytes = b"words", name: str = "a.txt", kind: str = "text/plain", *, key: str | None = None,
    headers: dict[str, str] | None = None, **fields: str,
) -> httpx.Response:  # fmt: skip
    """An upload."""
    client = house.client(key or house.cast.admin)
    return client.post("/v1/attachments", files={"file": (name, content, kind)}, data=fields, headers=headers)


def upload(house: House, content: bytes = b"words", name: str = "a.txt", **more: Any) -> dict[str, Any]:
    """An upload that is taken."""
    answer = send(house, content, name, **more)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["data"]
    return made


def part(content: bytes, name: str = "file", filename: str | None = "a.txt", kind: str | None = None) -> bytes:
    """One part of a form, with the boundary before it."""
    told = f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
    head = f"--{BOUNDARY}\r\nContent-Disposition: {told}\r\n" + (f"Content-Type: {kind}\r\n" if kind else "")
    return head.encode() + b"\r\n" + content


def form(*parts: bytes) -> bytes:
    """A whole form."""
    return b"\r\n".join(parts) + CLOSING


def post(house: House, content: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    """A body written by hand."""
    return house.client(house.cast.admin).post("/v1/attachments", content=content, headers=headers or FORM)


def get(house: House, attachment: dict[str, Any], key: str | None = None, **headers: str) -> httpx.Response:
    """A download."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return house.client(key or house.cast.reader).get(f"/v1/attachments/{attachment['id']}", headers=sent)


def left(house: House) -> tuple[list[tuple[Any, ...]], list[str]]:
    """All rows by state, and all files, hidden and half ones too, but for the mark of the store."""
    rows = house.sql("SELECT id, state FROM attachments ORDER BY id")
    return rows, sorted(
        str(path.relative_to(house.files)) for path in house.files.rglob("*") if path.is_file() and path.name != MARK
    )


def with_files(
    house: House, work: Callable[[Pool, Files], Coroutine[Any, Any, Any]], folder: Path | None = None
) -> Any:
    """The result of `work` on the house's database and file store, for what no call can do."""

    async def inside() -> Any:
        pool = make_pool(house.database_url, 2)
        await pool.open()
        try:
            return await work(pool, open_files(load({"files_dir": folder or house.files}, {})))
        finally:
            await pool.close()

    return asyncio.run(inside())


@contextmanager
def by_hand(house: House, headers: dict[str, str]) -> Any:
    """A socket on which an upload has begun: its head is sent."""
    place = urlsplit(house.url)
    with socket.create_connection((place.hostname, place.port), timeout=30) as line:
        told = {"Host": "x", "Authorization": f"Bearer {house.cast.admin}", **FORM, **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        line.sendall(f"POST /v1/attachments HTTP/1.1\r\n{head}\r\n".encode())
        yield line
