"""Whom we call, and what they may do to us: attacks on the address, and receivers that misbehave."""

import asyncio
import gzip
import resource
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver
from conftest import House, serve
from webhooks.receiving import Receiver, Thread, deliveries, eventually, hook, settled, tried, well, working

from ticketry.core.clock import system_clock
from ticketry.settings import load
from ticketry.webhooks.sending.models import LINES, Outcome
from ticketry.webhooks.sending.sender import Sender

HEADERS = {"webhook-id": "evt_1"}


class Told(AbstractResolver):
    """A resolver that answers as it is told, one answer after the other, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
        self.asked += 1
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            {"hostname": host, "host": one, "port": port, "family": 10 if ":" in one else 2, "proto": 6, "flags": 0}
            for one in addresses
        ]

    async def close(self) -> None:
        pass


def post(url: str, resolver: AbstractResolver | None = None, times: int = 1, **options: Any) -> list[Outcome]:
    """What comes of calling `url` some times."""

    async def call() -> list[Outcome]:
        resolvers = dict.fromkeys(LINES, resolver) if resolver else None
        settings = load({"webhook_timeout": 1, **options}, {})
        async with Sender(settings, system_clock, resolvers) as sender:
            return [await sender.post("new", url, HEADERS, "{}") for _ in range(times)]

    return asyncio.run(call())


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_an_address_of_this_machine_is_never_reached(receiver: Receiver, host: str) -> None:
    """However it is written: the address that would be connected to is what counts."""
    (outcome,) = post(f"http://{host}:{receiver.port}/")
    assert outcome.error is not None
    assert outcome.error.startswith(("Not allowed: ", "DNS: ")), outcome.error
    assert receiver.received == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fe80::1"])
def test_a_name_that_leads_inside_is_refused(receiver: Receiver, address: str) -> None:
    (outcome,) = post(f"http://inside.example:{receiver.port}/", Told([address]))
    assert outcome.error is not None
    assert outcome.error.startswith(f"Not allowed: the address {address} "), outcome.error
    assert receiver.received == []


def test_a_name_that_changes_its_mind(receiver: Receiver) -> None:
    """DNS rebinding: public when first asked, this machine later. Without the check the receiver is reached."""
    url = f"http://rebound.example:{receiver.port}/"
    names = Told(["192.0.0.9"], ["127.0.0.1"])
    assert post(url, names, times=3, allow_insecure_webhooks=True, webhook_timeout=0.3)[-1].error is None
    assert len(receiver.received) == 2
    names = Told(["8.8.8.8"], ["127.0.0.1"])
    outcomes = post(url, names, times=3, webhook_timeout=0.3)
    assert [(one.error or "").startswith("Not allowed: the address 127.0.0.1") for one in outcomes] == [
        False, True, True,
    ]  # fmt: skip
    assert outcomes[0].error is not None
    assert len(receiver.received) == 2
    mixed = post(url, Told(["10.0.0.1", "127.0.0.1"]))
    assert (mixed[0].error or "").startswith("Not allowed: ")
    assert len(receiver.received) == 2


def test_what_was_made_for_development_is_not_called_in_earnest(house: House, receiver: Receiver) -> None:
    """An endpoint stored while anything was allowed is refused at every call once the operator allows less."""
    webhook = hook(house, receiver.url)
    house.ticket()
    with working(house, allow_insecure_webhooks=False):
        assert eventually(lambda: tried(house, webhook) == 1)
    assert receiver.received == []
    (attempt,) = deliveries(house, webhook)[0]["attempts"]
    assert attempt["error"] == "Not allowed: the URL must begin with https://."


def test_no_proxy_of_the_environment_is_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", receiver.url)
    monkeypatch.setenv("http_proxy", receiver.url)
    (outcome,) = post("http://elsewhere.example/", Told(["127.0.0.1"]), allow_insecure_webhooks=True)
    assert receiver.received == []
    assert outcome.error == "Refused: nothing listens at that address and port."


# ---- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def test_tls_is_verified(authority: trustme.CA, tmp_path: Any) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trusting = {"webhook_ca_file": tmp_path / "ca.pem", "allow_insecure_webhooks": True}
    with Receiver(tls(authority, "good.example")) as receiver:
        good, bad = (f"https://{name}.example:{receiver.port}/" for name in ("good", "bad"))
        names = Told(["127.0.0.1"])
        assert post(good, names, **trusting)[0].error is None
        for url, options in ((good, {"allow_insecure_webhooks": True}), (bad, trusting)):
            (outcome,) = post(url, names, **options)
            assert (outcome.error or "").startswith("TLS: the certificate is not trusted: "), outcome
        assert len(receiver.received) == 1
    with Receiver() as plain:
        (outcome,) = post(f"https://good.example:{plain.port}/", names, **trusting)
        assert (outcome.error or "").startswith("TLS: no secure connection"), outcome


# ---- receivers that misbehave

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextmanager
def rude(talk: Talk) -> Iterator[str]:
    """A server that reads a request and then does what it likes with the connection."""
    thread = Thread()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = thread.run(asyncio.start_server(serve_one, "127.0.0.1", 0))
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()
    thread.end()


def says(*pieces: bytes, pause: float = 0, last: float = 0) -> Talk:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        await asyncio.sleep(last)

    return talk


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A gigabyte."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
    for _ in range(1024):
        writer.write(b"x" * 1_048_576)
        await writer.drain()


async def endless_headers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10_000_000):
        writer.write(b"X-%d: %s\r\n" % (number, b"y" * 1000))
        await writer.drain()


async def endless_hints(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 100)
        await writer.drain()


BOMB = gzip.compress(b"\0" * 50_000_000)
OK = b"HTTP/1.1 200 OK\r\n"
RUDE = {
    "reset": (reset, "Broken off: "),
    "says nothing and hangs up": (says(), "Broken off: "),
    "never answers": (says(last=30), "Timeout: "),
    "slow loris": (says(*[bytes([byte]) for byte in OK * 20], pause=0.1), "Timeout: "),
    "a gigabyte": (endless, None),
    "endless headers": (endless_headers, "No proper answer: "),
    "endless hints": (endless_hints, "Timeout: "),
    "gzip bomb": (says(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB), BOMB), None),
    "endless body after its status": (says(OK + b"\r\n", *[b"x"] * 100, pause=0.1), None),
    "no HTTP": (says(b"220 mail.example ESMTP\r\n"), "No proper answer: "),
    "odd bytes": (says(b"HTTP/1.1 200 \xff\x00\xfe\r\nContent-Length: 4\r\n\r\n\x00\xff\xfe\x80"), ""),
    "status 999": (says(b"HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n"), "It answered 999"),
    "status 000": (says(b"HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n"), "No proper answer: "),
    "two lengths": (says(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), "No proper answer: "),
    "breaks off in the body": (says(OK + b"Content-Length: 100\r\n\r\nhalf"), None),
    "no content": (says(b"HTTP/1.1 204 No Content\r\n\r\n"), None),
    "switches protocols": (says(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "It answered"),
}  # fmt: skip


@pytest.mark.parametrize("name", RUDE)
def test_a_rude_receiver_costs_little(name: str) -> None:
    talk, wanted = RUDE[name]
    with rude(talk) as url:
        started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        (outcome,) = post(url, allow_insecure_webhooks=True)
        assert time.monotonic() - started < 5
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000, "kilobytes"
    if wanted is None:
        assert outcome.error is None, outcome
    else:
        assert (outcome.error or "").startswith(wanted), outcome
    for text in (outcome.answer or "", outcome.error or ""):
        assert len(text) <= 1024
        assert "\x00" not in text
        text.encode()


def test_what_rude_receivers_said_can_be_stored(house: House, receiver: Receiver) -> None:
    """Every outcome is recorded, the worst of them beside good ones."""
    with rude(RUDE["odd bytes"][0]) as odd, rude(RUDE["status 000"][0]) as zero, rude(endless) as much:
        hooks = [hook(house, url) for url in (odd, zero, much, receiver.url)]
        with working(house, webhook_timeout=1):
            house.ticket()
            assert eventually(
                lambda: all(deliveries(house, one) and deliveries(house, one)[0]["attempts"] for one in hooks)
            )
    assert deliveries(house, hooks[2])[0]["attempts"][0]["answer"] == "x" * 1024
    assert deliveries(house, hooks[3])[0]["status"] == "delivered"


def test_a_redirect_is_not_followed(house: House, receiver: Receiver) -> None:
    async def elsewhere(_: Any) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": f"{receiver.url}/inside", "Set-Cookie": "a=b"})

    receiver.answers["/"] = elsewhere
    webhook = hook(house, f"{receiver.url}/")
    with working(house):
        house.ticket()
        assert eventually(lambda: tried(house, webhook) == 1)
        house.clock.advance(seconds=10)
        assert eventually(lambda: tried(house, webhook) == 2)
    assert {one.path for one in receiver.received} == {"/"}
    assert all("cookie" not in one.headers for one in receiver.received)
    assert deliveries(house, webhook)[0]["attempts"][0]["error"].startswith("It answered 302; redirects are not")


# ---- the verdict


def verdict(house: House, url: str) -> dict[str, Any]:
    webhook = hook(house, url)
    answer = house.client(house.cast.admin).post(f"/v1/webhooks/{webhook['id']}/verify")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def test_verify_says_what_is_wrong(house: House, receiver: Receiver, authority: trustme.CA) -> None:
    assert verdict(house, receiver.url) | {"duration_ms": 0} == {
        "ok": True, "problem": None, "kind": None, "status_code": 200, "answer": "thanks", "duration_ms": 0,
    }  # fmt: skip
    (sent,) = receiver.received
    assert sent.message["event_type"] == "webhook.test"
    assert sent.headers["webhook-signature"]

    async def unwell(_: Any) -> web.StreamResponse:
        return web.Response(status=500, text="Traceback")

    receiver.answer = unwell
    found = verdict(house, receiver.url)
    assert (found["ok"], found["kind"], found["status_code"], found["answer"]) == (False, "status", 500, "Traceback")
    assert verdict(house, "http://127.0.0.1:9/")["kind"] == "refused"
    assert verdict(house, "http://nowhere.invalid/")["kind"] == "dns"
    with Receiver(tls(authority, "127.0.0.1")) as untrusted:
        assert verdict(house, untrusted.url)["kind"] == "tls"
    with rude(says(b"nonsense")) as url:
        assert verdict(house, url)["kind"] == "connection"


def test_verify_holds_no_transaction_and_its_time_is_bounded(house: House, receiver: Receiver) -> None:
    seen: list[Any] = []
    idle = "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"

    async def look(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        with psycopg.connect(house.database_url) as conn:
            seen.append(conn.execute(idle).fetchall())
        await asyncio.sleep(10)

    for url in serve(house.database_url, house.clock, allow_insecure_webhooks=True, webhook_timeout=1):
        other = House(url, house.database_url, house.clock, house.cast)
        with rude(look) as slow:
            webhook = hook(house, slow)
            started = time.monotonic()
            answer = other.client(house.cast.admin).post(
                f"/v1/webhooks/{webhook['id']}/verify", headers={"Idempotency-Key": "verify-1"}
            )
            assert time.monotonic() - started < 5
        assert answer.json()["data"]["kind"] == "timeout"
        assert answer.json()["data"]["problem"] == "Timeout: no answer within 1 seconds."
        assert seen == [[]]
        other.close()


def test_a_thousand_dead_endpoints_do_not_slow_a_live_one(house: House, receiver: Receiver) -> None:
    """Half of them refuse, half of them never answer; all hear of everything that the live one hears."""
    with rude(says(last=60)) as hanging, working(house):
        live = hook(house, receiver.url)
        house.ticket()
        assert eventually(lambda: settled(house, live))
        house.sql(
            """INSERT INTO webhook_endpoints (workspace_id, id, url, secret, created_at, updated_at)
               SELECT %s, 'webhook_dead_' || n, CASE n %% 2 WHEN 0 THEN 'http://127.0.0.1:9/' ELSE %s END,
                   'whsec_ZGVhZA==', %s, %s FROM generate_series(1, 1000) AS n""",
            (house.cast.workspace_id, hanging, house.clock(), house.clock()),
        )
        try:
            for number in range(1, 9):
                house.ticket()
                assert eventually(lambda n=number: len(receiver.received) > n, 5), number
                time.sleep(0.5)
            assert eventually(lambda: settled(house, live, 9))
            tried = "SELECT count(DISTINCT delivery_id) FROM webhook_attempts"
            assert eventually(lambda: house.sql(tried)[0][0] > 300), "the dead are tried too"
        finally:
            house.sql("UPDATE webhook_endpoints SET enabled = false WHERE id LIKE 'webhook_dead_%'")
    house.sql("DELETE FROM webhook_deliveries WHERE endpoint_id LIKE 'webhook_dead_%'")
    house.sql("DELETE FROM webhook_endpoints WHERE id LIKE 'webhook_dead_%'")
    assert len(receiver.received) == 9


def test_many_events_of_a_slow_ticket_do_not_fill_the_window(house: House, receiver: Receiver) -> None:
    """All of them are due before those of other tickets, and wait for the first of them."""
    stuck = house.ticket()
    admin = house.client(house.cast.admin)
    webhook = hook(house, receiver.url)
    for number in range(12):
        admin.put(f"/v1/tickets/{stuck['id']}", json={"priority": 1 + number % 2})
    others = {house.ticket()["id"] for _ in range(3)}

    async def stuck_on_one(one: Any) -> web.StreamResponse:
        if one.ticket_id == stuck["id"] and not hooray.is_set():
            await asyncio.sleep(4)
        return await well(one)

    hooray = threading.Event()
    receiver.answer = stuck_on_one
    with working(house):
        assert eventually(lambda: others <= {one.ticket_id for one in receiver.received}, 3.5)
        assert len(receiver.received) == 4
        hooray.set()
        assert eventually(lambda: settled(house, webhook, 15))


def test_a_slow_ticket_holds_up_no_other(house: House, receiver: Receiver) -> None:
    stuck = house.ticket()

    async def stuck_on_one(one: Any) -> web.StreamResponse:
        if one.ticket_id == stuck["id"]:
            await asyncio.sleep(3)
        return await well(one)

    receiver.answer = stuck_on_one
    webhook = hook(house, receiver.url)
    with working(house):
        house.client(house.cast.admin).put(f"/v1/tickets/{stuck['id']}", json={"priority": 1})
        assert eventually(lambda: receiver.received)
        others = [house.ticket() for _ in range(10)]
        assert eventually(lambda: len(receiver.received) >= 11, 2.5)
        assert receiver.busy == 1
        assert eventually(lambda: settled(house, webhook, 11))
    assert {one.ticket_id for one in receiver.received} >= {one["id"] for one in others}
