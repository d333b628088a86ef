"""Uploads that mean harm: too large, wrong lengths, broken off, bombs, and a disk without room. Nothing is left."""

import contextlib
import io
import shutil
import socket
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from attachments.uploads import CLOSING, FORM, by_hand, form, get, left, part, post, send, upload
from conftest import House, MovedClock, serve
from kit import in_chunks, problem

from ticketry.web import multipart, streams

LIMIT = 200_000


@pytest.fixture(scope="module")
def small(house: House) -> Iterator[House]:
    """A server that takes small files only, on the same database and folder."""
    for url in serve(house.database_url, house.clock, files_dir=house.files, upload_limit=LIMIT):
        other = House(url, house.database_url, house.clock, house.cast, house.files)
        yield other
        other.close()


@pytest.fixture(autouse=True)
def nothing_left(house: House) -> Iterator[None]:
    """After every attack that was refused, there is neither a row nor a file more."""
    before = left(house)
    yield
    deadline, quiet = time.monotonic() + 10, 0
    while quiet < 3 and time.monotonic() < deadline:  # what hung up may only now be noticed
        quiet = quiet + 1 if left(house) == before else 0
        time.sleep(0.05)
    assert left(house) == before


def forget(house: House, made: dict[str, Any]) -> None:
    assert house.client(house.cast.admin).delete(f"/v1/attachments/{made['id']}").status_code == 200


def test_the_limit_is_met_to_the_byte(small: House) -> None:
    made = upload(small, b"x" * LIMIT)
    assert made["size"] == LIMIT
    forget(small, made)
    for body in (form(part(b"x" * (LIMIT + 1))), in_chunks(form(part(b"x" * (LIMIT + 1))))):
        error = problem(post(small, body), 413, "invalid_request", "body_too_large")
        assert error["limit"] == LIMIT
        assert str(LIMIT) in error["message"]


def test_the_default_limit_is_25_mebibytes(house: House) -> None:
    made = upload(house, b"x" * 26_214_400)
    forget(house, made)
    assert problem(send(house, b"x" * 26_214_401), 413, "invalid_request", "body_too_large")["limit"] == 26_214_400


def answer_of(line: socket.socket) -> bytes:
    told = b""
    line.settimeout(20)
    with contextlib.suppress(ConnectionError):
        while b"\r\n\r\n" not in told or b"}" not in told:
            more = line.recv(65_536)
            if not more:
                break
            told += more
    return told


def test_a_length_beyond_the_limit_is_refused_before_a_byte_comes(small: House) -> None:
    for length in (LIMIT + 200_000, 10**12, 10**30):
        with by_hand(small, {"Content-Length": str(length)}) as line:
            assert answer_of(line).startswith(b"HTTP/1.1 413 " if length < 10**18 else b"HTTP/1.1 4")


def test_an_endless_body_is_refused_as_soon_as_it_is_too_long(small: House) -> None:
    with by_hand(small, {"Transfer-Encoding": "chunked"}) as line:
        head = part(b"")
        line.sendall(f"{len(head):x}\r\n".encode() + head + b"\r\n")
        for _ in range(50 * LIMIT // 10_000):
            line.sendall(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        assert answer_of(line).startswith(b"HTTP/1.1 413 ")


def test_the_connection_goes_on_after_a_refusal(small: House) -> None:
    with httpx.Client(base_url=small.url, headers={"Authorization": f"Bearer {small.cast.admin}"}) as client:
        for _ in range(3):
            refused = client.post("/v1/attachments", content=form(part(b"x" * (LIMIT + 1))), headers=FORM)
            problem(refused, 413, "invalid_request", "body_too_large")
            assert client.get("/v1/tickets").status_code == 200


def test_a_length_shorter_than_the_body(house: House) -> None:
    body = form(part(b"x" * 50_000))
    with by_hand(house, {"Content-Length": str(len(body) - 20_000)}) as line:
        line.sendall(body)
        told = answer_of(line)
    assert told.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("abrupt", [False, True])
@pytest.mark.parametrize("size", [100, 3_000_000])
def test_an_upload_that_breaks_off(house: House, size: int, abrupt: bool) -> None:
    body = form(part(b"x" * size))
    with by_hand(house, {"Content-Length": str(len(body) + (0 if abrupt else 1000))}) as line:
        line.sendall(body[: len(body) - 50])
        if abrupt:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif size > 1_000_000:
            wait_for_half_a_file(house)


def wait_for_half_a_file(house: House) -> None:
    deadline = time.monotonic() + 10
    while not any("#" in path for path in left(house)[1]):
        assert time.monotonic() < deadline, "nothing was written"
        time.sleep(0.01)


def test_half_a_file_is_seen_by_nobody(house: House) -> None:
    with by_hand(house, {"Content-Length": "4000000"}) as line:
        line.sendall(part(b"x" * 3_000_000))
        wait_for_half_a_file(house)
        ((upload_id, state),) = [row for row in left(house)[0] if row[1] == "uploading"]
        assert state == "uploading"
        problem(get(house, {"id": upload_id}), 404, "not_found", "attachment_not_found")
        details = house.client(house.cast.reader).get(f"/v1/attachments/{upload_id}/details")
        problem(details, 404, "not_found", "attachment_not_found")
        body = {"subject": "S", "description": "D", "attachment_ids": [upload_id]}
        assert house.client(house.cast.admin).post("/v1/tickets", json=body).status_code == 422


def test_one_who_falls_silent_is_answered(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PATIENCE", 0.3)
    with by_hand(house, {"Content-Length": "4000000"}) as line:
        line.sendall(part(b"x" * 2_000_000))
        told = answer_of(line)
    assert told.startswith(b"HTTP/1.1 408 ")
    assert b"upload_stalled" in told


def test_one_who_sends_too_little_is_answered(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something comes in time, again and again, and all of it would take days."""
    monkeypatch.setattr(streams, "PATIENCE", 0.5)
    monkeypatch.setattr(streams, "LEAST_SENT", 1e12)
    with by_hand(house, {"Content-Length": "4000000"}) as line:
        line.sendall(part(b"x" * 2_000))
        for _ in range(200):
            with contextlib.suppress(OSError):
                line.sendall(b"x")
            time.sleep(0.02)
        told = answer_of(line)
    assert told.startswith(b"HTTP/1.1 408 ")
    assert b"upload_stalled" in told


def test_uploads_at_once_are_bounded_and_no_workspace_takes_all(house: House) -> None:
    for url in serve(house.database_url, house.clock, files_dir=house.files, uploads_at_once=4):
        other = House(url, house.database_url, house.clock, house.cast, house.files)
        with contextlib.ExitStack() as stack:
            stack.callback(other.close)
            lines = stack.enter_context(contextlib.ExitStack())
            for _ in range(2):
                lines.enter_context(by_hand(other, {"Content-Length": "4000000"})).sendall(part(b"x" * 10))
            wait_for_uploads(other, 2)
            refused = send(other, b"x")
            error = problem(refused, 429, "rate_limit_error", "too_many_uploads")
            assert int(refused.headers["Retry-After"]) == error["retry_after"] > 0
            made = send(other, b"x", key=other.cast.stranger)
            assert made.status_code == 201
            place = f"/v1/attachments/{made.json()['data']['id']}"
            assert other.client(other.cast.stranger).delete(place).status_code == 200
            lines.close()
            forget(other, when_it_may(other))


def when_it_may(house: House) -> dict[str, Any]:
    """An upload that is taken as soon as others have ended."""
    deadline = time.monotonic() + 10
    while (answer := send(house, b"x")).status_code == 429:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    made: dict[str, Any] = answer.json()["data"]
    return made


def wait_for_uploads(house: House, count: int) -> None:
    deadline = time.monotonic() + 10
    while len([row for row in left(house)[0] if row[1] == "uploading"]) != count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_connection_to_the_database_is_held_while_bytes_come(house: House) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(15):  # more than the pool has
            line = stack.enter_context(by_hand(house, {"Content-Length": "4000000"}))
            line.sendall(part(b"x" * 10))
        wait_for_uploads(house, 15)
        assert house.client(house.cast.admin).get("/v1/tickets").status_code == 200


@pytest.mark.parametrize(
    "beside",
    [
        [part(b"x" * 140_000, "contact_id", None)],
        [part(b"x" * 5_000, f"f{n}", None) for n in range(40)],
        [part(b"", f"f{n}", None) for n in range(4000)],
        [part(b"x", f"{n}" * 60_000, None) for n in range(4)],
    ],
    ids=["one long field", "long fields", "many fields", "long names"],
)
def test_what_stands_beside_the_file_is_bounded(house: House, beside: list[bytes]) -> None:
    for parts in ([*beside, part(b"x")], [part(b"x"), *beside]):
        error = problem(post(house, form(*parts)), 413, "invalid_request", "body_too_large")
        assert error["limit"] == multipart.BESIDE
        assert "beside the file" in error["message"]


def test_what_comes_after_the_form_is_bounded(house: House) -> None:
    body = form(part(b"x")) + b"y" * 500_000
    problem(post(house, body), 413, "invalid_request", "body_too_large")
    problem(post(house, b"\r\n" * 100_000 + body), 413, "invalid_request", "body_too_large")


@pytest.mark.parametrize(
    "name",
    [
        "../" * 1000 + "etc/passwd",
        "a" * 5000,
        "😀" * 5000,
        "\\..\\" * 500,
        "x\x7f\x1b[2J",
        "con.txt",
        "%2e%2e%2f",
        "\x85",
    ],
    ids=["path", "long", "long emoji", "backslashes", "escape", "device", "encoded", "next line"],
)
def test_names_that_mean_harm(house: House, name: str) -> None:
    answer = post(house, form(part(b"here", filename=name)))
    made = answer.json()["data"]
    assert len(made["name"]) <= 255
    assert not set(made["name"]) & set("/\\\x7f\x1b\x85")
    download = get(house, made)
    assert download.content == b"here"
    assert download.headers["content-disposition"].startswith('attachment; filename="')
    assert (house.files / house.cast.workspace_id / made["id"]).read_bytes() == b"here"
    forget(house, made)


def zip_bomb() -> bytes:
    """A small archive that would unpack to 256 MB."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as zeros:
        for _ in range(256):
            zeros.write(bytes(1_000_000))
    return packed.getvalue()


def image_bomb() -> bytes:
    """A small picture that says it is 60,000 by 60,000."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(10_000_000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in parts)


@pytest.mark.parametrize(("bomb", "kind"), [(zip_bomb, "application/zip"), (image_bomb, "image/png")])
def test_a_bomb_is_never_unpacked(house: House, bomb: Any, kind: str) -> None:
    content = bomb()
    assert len(content) < 300_000
    tracemalloc.start()
    try:
        made = upload(house, content, "bomb")
        assert get(house, made).content == content
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (made["content_type"], made["size"]) == (kind, len(content))
    assert peak < 5_000_000, "something was unpacked"
    lies = house.files / house.cast.workspace_id / made["id"]
    assert lies.stat().st_size == len(content)
    forget(house, made)


def test_a_full_disk_is_told_and_keeps_nothing(house: House, tiny_disk: Path) -> None:
    for url in serve(house.database_url, MovedClock(), files_dir=tiny_disk, files_reserve=0):
        with contextlib.closing(House(url, house.database_url, house.clock, house.cast, tiny_disk)) as full:
            made = upload(full, b"x" * 500_000)
            before = left(full)
            for size in (1_048_576 + 700_000, 10_000_000):
                problem(send(full, b"y" * size), 507, "api_error", "storage_full")
                assert left(full) == before
            assert get(full, made).content == b"x" * 500_000
            forget(full, upload(full, b"small again" * 1000))
            forget(full, made)


def test_files_leave_room_for_the_database(house: House, tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    for reserve, status in ((free // 2, 201), (free * 2, 507)):
        folder = tmp_path / str(status)
        for url in serve(house.database_url, MovedClock(), files_dir=folder, files_reserve=reserve):
            with contextlib.closing(House(url, house.database_url, house.clock, house.cast, folder)) as tight:
                answer = send(tight, b"x" * 5_000_000)
                assert answer.status_code == status, answer.text
                if status == 201:
                    forget(tight, answer.json()["data"])
                else:
                    problem(answer, 507, "api_error", "storage_full")


def test_a_folder_that_cannot_be_written_to_is_told(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    for url in serve(house.database_url, MovedClock(), files_dir=folder):
        with contextlib.closing(House(url, house.database_url, house.clock, house.cast, folder)) as other:
            forget(other, upload(other))
            time.sleep(0.1)
            shutil.rmtree(folder)
            folder.write_text("no folder any more")
            problem(send(other), 503, "api_error", "storage_unavailable")
            assert not left(house)[0]
            folder.unlink()
            forget(other, upload(other))


def test_closing_boundary_is_needed_to_the_last_dash(house: House) -> None:
    for cut in range(3, len(CLOSING)):
        problem(post(house, form(part(b"x"))[:-cut]), 400, "invalid_request", "malformed_multipart")


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "x-zip"])
def test_a_file_that_is_encoded_is_not_stored_as_something_else(house: House, encoding: str) -> None:
    encoded = part(b"d29yZHM=").replace(b"\r\n\r\n", f"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode())
    error = problem(post(house, form(encoded)), 422, "validation_error", "invalid_parameters")
    assert [(one["field"], one["code"]) for one in error["errors"]] == [("file", "encoded")]
    plain = part(b"words").replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: Binary\r\n\r\n")
    forget(house, post(house, form(plain)).json()["data"])


def test_a_large_file_is_never_whole_in_memory(house: House) -> None:
    """Server and client together, the client sending it in pieces: all that Python holds."""
    pieces = (part(b""), *[b"x" * 100_000] * 250, CLOSING)
    tracemalloc.start()
    try:
        for url in serve(house.database_url, MovedClock(), files_dir=house.files):
            with contextlib.closing(House(url, house.database_url, house.clock, house.cast, house.files)) as other:
                made = post(other, iter(pieces)).json()["data"]
                forget(other, made)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert made["size"] == 25_000_000
    assert peak < 10_000_000
