"""The way to the mailbox, encrypted: a server that nobody vouches for is told nothing."""

import asyncio
import contextlib
import gc
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from conftest import House
from imap_tools import BaseMailBox, MailBox, MailBoxStartTls

from . import mails
from .test_imap import PASSWORD, USER, poll, running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a certificate, its key and the authority that vouches for it lie."""
    found = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(found / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(found / "cert.pem")
    certificate.private_key_pem.write_to_path(found / "key.pem")
    return found


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    writer.close()


@contextlib.contextmanager
def wrapped(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """A port behind TLS that leads to another: pymap itself knows of STARTTLS alone."""
    loop, ready, ports = asyncio.new_event_loop(), threading.Event(), list[int]()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass_on(reader, there[1]), _pass_on(there[0], writer))

    async def end() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for one in others:
            one.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def serve() -> asyncio.Server:
        server = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=context)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        return server

    def work() -> None:
        server = loop.run_until_complete(serve())
        loop.run_forever()
        server.close()
        loop.run_until_complete(end())
        loop.close()

    loop.set_exception_handler(lambda loop, context: None)  # a client that does not trust us hangs up
    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(10)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@pytest.fixture(scope="module", params=["starttls", "tls"])
def secured(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[str, int]]:
    """How the way is encrypted, and the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    if request.param == "starttls":
        with running("--cert", str(folder / "cert.pem"), "--key", str(folder / "key.pem")) as number:
            yield "starttls", number
    else:
        with running("--no-tls") as number, wrapped(number, context) as behind:
            yield "tls", behind


@pytest.fixture
def options(house: House, secured: tuple[str, int]) -> dict[str, Any]:
    return {
        "database_url": house.database_url, "files_dir": house.files, "imap_host": "127.0.0.1", "imap_port": secured[1],
        "imap_tls": secured[0], "imap_user": USER, "imap_password": PASSWORD,
    }  # fmt: skip


def as_a_person(secured: tuple[str, int], authority: Path) -> BaseMailBox:
    kind = MailBoxStartTls if secured[0] == "starttls" else MailBox
    box = kind("127.0.0.1", secured[1], timeout=10, ssl_context=ssl.create_default_context(cafile=authority))
    return box.login(USER, PASSWORD)


def test_mail_comes_over_an_encrypted_way(
    house: House, secured: tuple[str, int], options: dict[str, Any], folder: Path
) -> None:
    authority = folder / "ca.pem"
    with as_a_person(secured, authority) as box:
        box.delete(box.uids())
        box.append(mails.simple("Encrypted", subject="Encrypted", message_id=mails.fresh()))
    assert poll(house, {**options, "imap_ca_file": str(authority)}) == 1
    [told] = house.client(house.cast.admin).get("/v1/inbound/emails", params={"per_page": 1}).json()["data"]
    assert told["subject"] == "Encrypted"


def test_a_server_that_nobody_vouches_for_is_not_signed_in_to(house: House, options: dict[str, Any]) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        poll(house, options)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # imaplib leaves its socket to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_encryption_that_the_server_does_not_offer_is_not_left_out(house: House, options: dict[str, Any]) -> None:
    with running("--no-tls") as number, pytest.raises(Exception, match=r"(?i)tls|ssl"):
        poll(house, {**options, "imap_port": number})
    gc.collect()
