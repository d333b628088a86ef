"""The same file store on an S3-compatible server, which runs as a process of its own."""

import asyncio
import contextlib
import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from attachments.uploads import by_hand, get, part, send, upload, with_files
from conftest import House, MovedClock, serve
from kit import problem

from ticketry.attachments import jobs
from ticketry.attachments.files import Files, open_files
from ticketry.db.pool import Pool
from ticketry.settings import load

BUCKET = "ticketry-files"
CREDENTIALS = {"s3_access_key_id": "access", "s3_secret_access_key": "secret", "s3_region": "us-east-1"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of an S3 server with an empty bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.TransportError):
                made = httpx.put(f"{address}/{BUCKET}")
                assert made.status_code == 200, made.text
                break
            assert process.poll() is None, "the S3 server did not start"
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def cloud(house: House, endpoint: str) -> Iterator[House]:
    """A server of the same database that keeps its files in the bucket."""
    options = {**CREDENTIALS, "s3_bucket": BUCKET, "s3_endpoint": endpoint, "files_dir": None}
    for url in serve(house.database_url, house.clock, **options):
        other = House(url, house.database_url, house.clock, house.cast)
        yield other
        other.close()


def objects(endpoint: str) -> str:
    return httpx.get(f"{endpoint}/{BUCKET}").text


def unfinished(endpoint: str) -> bool:
    return "<Upload>" in httpx.get(f"{endpoint}/{BUCKET}?uploads").text


@pytest.mark.parametrize("size", [0, 5, 5_242_880, 12_000_000])
def test_a_file_comes_back_from_the_bucket(cloud: House, endpoint: str, size: int) -> None:
    content = bytes(n * 7 % 251 for n in range(1000)) * (size // 1000 + 1)
    made = upload(cloud, content[:size], "../../a name.bin")
    assert made["sha256"] == hashlib.sha256(content[:size]).hexdigest()
    assert f"<Key>{cloud.cast.workspace_id}/{made['id']}</Key>" in objects(endpoint)
    assert "a name" not in objects(endpoint)
    assert get(cloud, made).content == content[:size]
    assert not unfinished(endpoint)


def test_a_part_comes_from_the_bucket(cloud: House) -> None:
    made = upload(cloud, b"0123456789")
    for asked, content in (("bytes=2-4", b"234"), ("bytes=-3", b"789"), ("bytes=5-", b"56789")):
        answer = get(cloud, made, Range=asked)
        assert (answer.status_code, answer.content) == (206, content)


def test_a_deleted_file_leaves_the_bucket(cloud: House, endpoint: str) -> None:
    made = upload(cloud)
    assert cloud.client(cloud.cast.admin).delete(f"/v1/attachments/{made['id']}").status_code == 200
    eventually_gone(endpoint, made["id"])


def eventually_gone(endpoint: str, word: str) -> None:
    deadline = time.monotonic() + 20
    while word in objects(endpoint):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_upload_that_breaks_off_leaves_nothing_in_the_bucket(cloud: House, endpoint: str) -> None:
    before = objects(endpoint).count("<Key>")
    with by_hand(cloud, {"Content-Length": "20000000"}) as line:
        line.sendall(part(b"x" * 12_000_000))
        deadline = time.monotonic() + 20
        while not unfinished(endpoint):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    deadline = time.monotonic() + 20
    while unfinished(endpoint) or cloud.sql("SELECT FROM attachments WHERE state <> 'kept'"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert objects(endpoint).count("<Key>") == before


@pytest.mark.parametrize(
    "wrong", [{"s3_bucket": "no-such-bucket"}, {"s3_endpoint": "http://127.0.0.1:9"}], ids=["no bucket", "nobody there"]
)
def test_a_store_that_does_not_answer_is_told(house: House, endpoint: str, wrong: dict[str, Any]) -> None:
    options = {**CREDENTIALS, "s3_bucket": BUCKET, "s3_endpoint": endpoint, "files_dir": None, **wrong}
    for url in serve(house.database_url, MovedClock(), **options):
        with contextlib.closing(House(url, house.database_url, house.clock, house.cast)) as other:
            answer = send(other, b"words")
            error = problem(answer, 503, "api_error", "storage_unavailable")
            assert answer.headers["retry-after"] == str(error["retry_after"])
            assert "secret" not in answer.text


def test_a_bucket_that_goes_takes_no_file_with_it(house: House, cloud: House, endpoint: str) -> None:
    """Only that a file is not there means that it is gone: a bucket may come back."""
    settings = load({**CREDENTIALS, "s3_bucket": "another", "s3_endpoint": endpoint}, {})
    assert httpx.put(f"{endpoint}/another").status_code == 200
    options = {**CREDENTIALS, "s3_bucket": "another", "s3_endpoint": endpoint, "files_dir": None}
    for url in serve(house.database_url, house.clock, **options):
        with contextlib.closing(House(url, house.database_url, house.clock, house.cast)) as other:
            made = upload(other)
            asyncio.run(open_files(settings).delete(f"{house.cast.workspace_id}/{made['id']}"))
            problem(get(other, made), 404, "not_found", "attachment_not_found")
            assert httpx.delete(f"{endpoint}/another").status_code == 204
            problem(get(other, made), 503, "api_error", "storage_unavailable")
            assert other.client(house.cast.admin).delete(f"/v1/attachments/{made['id']}").status_code == 200

            async def purged(pool: Pool, _: Files) -> int:
                return await jobs.purge(pool, house.clock, settings)

            assert with_files(house, purged) == 0
            assert house.sql("SELECT state FROM attachments WHERE id = %s", [made["id"]]) == [("dropping",)]
            assert httpx.put(f"{endpoint}/another").status_code == 200
            assert with_files(house, purged) >= 1
            assert house.sql("SELECT state FROM attachments WHERE id = %s", [made["id"]]) == []
