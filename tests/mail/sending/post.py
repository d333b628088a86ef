"""The other side of mail out: a real SMTP server that takes, refuses, drops and hangs as it is told."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from conftest import House

from ticketry.db.pool import unit
from ticketry.feed.service import hand_on
from ticketry.mail.sending import jobs
from ticketry.settings import load
from ticketry.web.resources import make_resources
from ticketry.worker import SUBSCRIBERS

SENDER = "desk@agency.example"
Answer = str | Callable[[SMTP], Awaitable[str]]


@dataclass
class Office:
    """What the server has been told and what it got. `answers` holds what it says to a command instead of yes."""

    port: int
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    got: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    logins: list[bytes] = field(default_factory=list)
    secured: list[bool] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    async def _say(self, command: str, server: SMTP) -> str | None:
        waiting = self.answers.get(command, [])
        if not waiting:
            return None
        answer = waiting.pop(0)
        return answer if isinstance(answer, str) else await answer(server)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if refusal := await self._say("MAIL", server):
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if refusal := await self._say("RCPT", server):
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if refusal := await self._say("DATA", server):
            return refusal
        content = envelope.original_content
        assert content is not None
        self.got.append((str(envelope.mail_from), list(envelope.rcpt_tos), content))
        self.secured.append(server.transport.get_extra_info("ssl_object") is not None)
        return "250 Accepted as 4711"

    def mails(self) -> list[EmailMessage]:
        """What came, parsed by the standard library."""
        return [message_from_bytes(raw, policy=policy.default) for _, _, raw in self.got]  # type: ignore[misc]

    def to(self, address: str) -> list[EmailMessage]:
        """What came for an address."""
        return [mail for mail, (_, to, _) in zip(self.mails(), self.got, strict=True) if to == [address]]

    def clear(self) -> None:
        """Forgets what came."""
        self.got.clear()
        self.secured.clear()
        self.answers.clear()


async def hang_up(server: SMTP) -> str:
    """The connection breaks."""
    server.transport.abort()
    await asyncio.sleep(0)
    return "250 never heard"


async def hang(server: SMTP) -> str:
    """No answer for longer than anybody waits."""
    await asyncio.sleep(30)
    return "250 too late"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def office(tls: str = "none", context: ssl.SSLContext | None = None, login: str | None = None) -> Iterator[Office]:
    """A server on loopback. `login` is the password that it asks of the user `robot`."""
    place = Office(free_port())

    def check(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        place.logins.append(data.login)
        good = (data.login, data.password) == (b"robot", (login or "").encode())
        return AuthResult(success=good, handled=False)

    given: dict[str, Any] = {"enable_SMTPUTF8": True}
    if login is not None:
        # aiosmtpd knows of STARTTLS alone: on a connection that is encrypted from the beginning it would refuse AUTH.
        given |= dict.fromkeys(("auth_required", "auth_require_tls"), tls == "starttls") | {"authenticator": check}
    if tls == "starttls":
        given |= {"tls_context": context, "require_starttls": True}
    controller = Controller(
        place, hostname="127.0.0.1", port=place.port, ssl_context=context if tls == "tls" else None, **given
    )
    controller.start()
    place.settings = {"smtp_host": "127.0.0.1", "smtp_port": place.port, "smtp_tls": tls, "mail_sender": SENDER}
    try:
        yield place
    finally:
        controller.stop()


def work(house: House, post: Office | None = None, **settings: Any) -> None:
    """What a worker does: hands on what happened and sends what is due, once."""
    given = {**(post.settings if post else {}), **settings}

    async def inside() -> None:
        resources = make_resources(load({"database_url": house.database_url, **given}, {}), house.clock)
        async with resources.pool:
            found: int | None = 1
            while found:
                async with unit(resources.pool, house.clock()) as tx:
                    found = await hand_on(tx, SUBSCRIBERS)
            await jobs.send_due(resources.pool, house.clock, resources.settings)

    asyncio.run(inside())


def messages(house: House, key: str | None = None, **asked: Any) -> list[dict[str, Any]]:
    """The workspace's mails as the API tells them, oldest first."""
    answer = house.client(key or house.cast.admin).get("/v1/mail/messages", params={"per_page": 100, **asked})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found[::-1]


def message(house: House, message_id: str) -> dict[str, Any]:
    """One mail with its attempts."""
    answer = house.client(house.cast.admin).get(f"/v1/mail/messages/{message_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    """The text or HTML of a mail."""
    part = mail.get_body((kind,))
    assert part is not None
    content: str = part.get_content()
    return content
