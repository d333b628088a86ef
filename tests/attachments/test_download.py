"""GET /v1/attachments/{id}: the bytes, parts of them, and headers that make them harmless."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import structlog
from attachments.uploads import get, left, upload
from conftest import House
from hypothesis import given
from hypothesis import strategies as st
from kit import check_edge, forbidden, mint, problem

from ticketry.attachments.downloads import disposition, is_one_range, part
from ticketry.web import streams

DIGITS = b"0123456789"


@pytest.fixture(scope="module")
def digits(house: House) -> dict[str, Any]:
    return upload(house, DIGITS, "digits.txt")


def test_the_headers_of_a_download(house: House, digits: dict[str, Any]) -> None:
    answer = get(house, digits)
    assert (answer.status_code, answer.content) == (200, DIGITS)
    told = dict(answer.headers)
    expected = {
        "content-type": "text/plain; charset=utf-8",
        "content-length": "10",
        "content-disposition": 'attachment; filename="digits.txt"',
        "content-security-policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "cache-control": "private, no-cache",
        "accept-ranges": "bytes",
        "etag": f'"{digits["sha256"]}"',
    }
    assert {name: told.get(name) for name in expected} == expected
    for name in ("cache-control", "content-security-policy", "x-content-type-options", "x-request-id"):
        assert len(answer.headers.get_list(name)) == 1


def test_who_may_not(house: House, digits: dict[str, Any]) -> None:
    forbidden(get(house, digits, mint(house, "tickets:write")), "tickets:read")
    for key in (house.cast.stranger, house.cast.test_key):
        problem(get(house, digits, key), 404, "not_found", "attachment_not_found")
    for unknown in ("att_nobody", "x", "..%2f..%2fetc%2fpasswd", "%2e%2e", "a" * 64):
        answer = house.client(house.cast.reader).get(f"/v1/attachments/{unknown}")
        assert answer.status_code == 404, unknown
        check_edge(answer)


@pytest.mark.parametrize(
    ("asked", "content", "told"),
    [
        ("bytes=0-", DIGITS, "0-9/10"), ("bytes=0-9", DIGITS, "0-9/10"), ("bytes=0-999", DIGITS, "0-9/10"),
        ("bytes=2-4", b"234", "2-4/10"), ("bytes=9-9", b"9", "9-9/10"), ("bytes=5-", b"56789", "5-9/10"),
        ("bytes=-3", b"789", "7-9/10"), ("bytes=-99", DIGITS, "0-9/10"), ("BYTES = 1 - 2", b"12", "1-2/10"),
    ],
)  # fmt: skip
def test_a_part(house: House, digits: dict[str, Any], asked: str, content: bytes, told: str) -> None:
    answer = get(house, digits, Range=asked)
    assert (answer.status_code, answer.content) == (206, content)
    assert answer.headers["content-range"] == f"bytes {told}"
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=9999999999999999999-"])
def test_a_part_that_is_not_there(house: House, digits: dict[str, Any], asked: str) -> None:
    answer = get(house, digits, Range=asked)
    problem(answer, 416, "invalid_request", "range_not_satisfiable")
    assert answer.headers["content-range"] == "bytes */10"


@pytest.mark.parametrize(
    "asked", ["", "bytes", "bytes=", "bytes=-", "bytes=4-2", "bytes=a-b", "lines=0-1", "bytes=0-1,3-4", "bytes=+1-2"]
)
def test_what_is_no_part_is_the_whole(house: House, digits: dict[str, Any], asked: str) -> None:
    answer = get(house, digits, Range=asked)
    assert (answer.status_code, answer.content) == (200, DIGITS)
    assert "content-range" not in answer.headers


def test_a_part_only_of_the_same_bytes(house: House, digits: dict[str, Any]) -> None:
    same, other = f'"{digits["sha256"]}"', '"other"'
    assert get(house, digits, Range="bytes=0-1", If_Range=same).status_code == 206
    for condition in (other, f"W/{same}", "Wed, 15 Jan 2025 09:00:00 GMT"):
        answer = get(house, digits, Range="bytes=0-1", If_Range=condition)
        assert (answer.status_code, answer.content) == (200, DIGITS)


def test_the_same_bytes_need_not_come_again(house: House, digits: dict[str, Any]) -> None:
    etag = f'"{digits["sha256"]}"'
    for condition in (etag, f'"a", {etag}', f"W/{etag}", "*"):
        answer = get(house, digits, If_None_Match=condition)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
    assert get(house, digits, If_None_Match='"other"').status_code == 200


def test_nothing_of_an_empty_file(house: House) -> None:
    made = upload(house, b"")
    assert get(house, made).content == b""
    problem(get(house, made, Range="bytes=0-"), 416, "invalid_request", "range_not_satisfiable")


@given(
    first=st.integers(0, 30) | st.just(None), last=st.integers(0, 30) | st.just(None), size=st.integers(0, 20)
)  # fmt: skip
def test_any_range_is_what_python_cuts(first: int | None, last: int | None, size: int) -> None:
    asked = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    content = bytes(range(size))
    found = part(asked, size)
    if (first is None and last is None) or (first is not None and last is not None and last < first):
        assert found == (0, size)
        assert not is_one_range(asked)
        return
    end = None if last is None else last + 1
    expected = content[max(0, size - (last or 0)) :] if first is None else content[first:end]
    assert (b"" if found is None else content[found[0] : found[1]]) == expected
    assert (found is None) == (expected == b"")


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=255))
def test_any_name_is_one_safe_header(name: str) -> None:
    told = disposition(name)
    assert re.fullmatch(
        r'attachment; filename="[^"\\\x00-\x1f\x7f]+"(; filename\*=UTF-8\'\'[\w.%~-]+)?', told, re.ASCII
    )
    full = told.partition("filename*=UTF-8''")[2]
    assert (unquote(full) if full else told[len('attachment; filename="') : -1]) == name


HARMFUL = {
    "html": b"<!doctype html><script>alert(document.cookie)</script>",
    "html in capitals": b"\n\n <HTML><body onload=alert(1)>",
    "html after a comment": b"<!-- a\n comment --><script>alert(1)</script>",
    "html with a byte order mark": "\ufeff<html>".encode(),
    "html in UTF-16": "<html><script>alert(1)</script>".encode("utf-16"),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "svg in xml": b'<?xml version="1.0"?><!DOCTYPE svg PUBLIC "x" "y"><svg onload="alert(1)"></svg>',
    "xml with a style sheet": b'<?xml version="1.0"?><?xml-stylesheet href="x.xsl"?><a/>',
    "script": b"alert(document.domain)",
    "html in a picture": b"GIF89a\x01\x00\x01\x00/*<script>*/=alert(1)//",
    "flash": b"FWS\x09" + b"\x00" * 100,
    "program": b"MZ\x90\x00" + b"\x00" * 200,
    "shell": b"#!/bin/sh\nrm -rf /\n",
}


@pytest.mark.parametrize("what", HARMFUL)
@pytest.mark.parametrize("claimed", ["text/html", "image/svg+xml", "application/javascript", "image/png"])
def test_what_a_browser_could_run_comes_as_bytes_or_text(house: House, what: str, claimed: str) -> None:
    made = upload(house, HARMFUL[what], "page.html", kind=claimed)
    assert made["claimed_type"] == claimed
    answer = get(house, made)
    assert answer.content == HARMFUL[what]
    kind = answer.headers["content-type"]
    assert kind in {"application/octet-stream", "text/plain; charset=utf-8", "image/gif"}, kind
    assert (kind == "image/gif") == (what == "html in a picture")
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox;")


def test_a_file_that_somebody_took_off_the_disk_is_not_found(house: House) -> None:
    made = upload(house)
    (house.files / house.cast.workspace_id / made["id"]).unlink()
    problem(get(house, made), 404, "not_found", "attachment_not_found")
    assert made["id"] in {row[0] for row in left(house)[0]}


@pytest.fixture(scope="module")
def large(house: House) -> dict[str, Any]:
    """A file larger than all the buffers between the server and a client that takes nothing."""
    return upload(house, b"x" * 20_000_000, "large.bin")


@contextmanager
def begun(house: House, made: dict[str, Any]) -> Iterator[socket.socket]:
    """A download of which nothing but the first bytes are taken."""
    place = urlsplit(house.url)
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(20)
        line.connect((place.hostname, place.port))
        told = f"Host: x\r\nAuthorization: Bearer {house.cast.reader}\r\n\r\n"
        line.sendall(f"GET /v1/attachments/{made['id']} HTTP/1.1\r\n{told}".encode())
        assert line.recv(100).startswith(b"HTTP/1.1 200 ")
        yield line


def taken(line: socket.socket, at_a_time: int = 65_536, pause: float = 0) -> int:
    """How many bytes come until the connection ends."""
    total = 0
    with suppress(ConnectionError):
        while more := line.recv(at_a_time):
            total += len(more)
            time.sleep(pause)
    return total


def test_one_who_takes_nothing_is_cut_off(house: House, large: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PATIENCE", 0.3)
    with structlog.testing.capture_logs() as told, begun(house, large) as line:
        deadline = time.monotonic() + 20
        while not (said := [one for one in told if one["event"] == "answer cut off"]):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert taken(line) < 20_000_000
    assert [one["log_level"] for one in said] == ["warning"]


def test_one_who_takes_too_little_is_cut_off(
    house: House, large: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece is taken in time, and all of them would take long."""
    monkeypatch.setattr(streams, "PATIENCE", 0.5)
    monkeypatch.setattr(streams, "LEAST_RATE", 1e12)
    with begun(house, large) as line:
        assert taken(line, 100_000, 0.02) < 20_000_000


def test_one_who_is_slow_but_not_too_slow_gets_it_all(
    house: House, large: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes longer than patience lasts, but keeps the pace over the whole."""
    monkeypatch.setattr(streams, "PATIENCE", 1)
    total = 0
    with house.client(house.cast.reader).stream("GET", f"/v1/attachments/{large['id']}") as answer:
        for chunk in answer.iter_raw(200_000):
            total += len(chunk)
            time.sleep(0.02)
    assert total == 20_000_000


def test_a_file_that_goes_while_it_is_sent_is_cut_off(house: House) -> None:
    made = upload(house, b"x" * 20_000_000)
    with structlog.testing.capture_logs() as told, begun(house, made) as line:
        assert house.client(house.cast.admin).delete(f"/v1/attachments/{made['id']}").status_code == 200
        deadline = time.monotonic() + 20
        while (house.files / house.cast.workspace_id / made["id"]).exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert taken(line) < 20_000_000
    said = [one for one in told if one["event"] == "answer cut off"]
    assert len(said) == 1
    assert "exc_info" not in said[0]
    problem(get(house, made), 404, "not_found", "attachment_not_found")
