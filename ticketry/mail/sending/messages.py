"""A mail as bytes: headers that no name or subject can break, and the same bytes at every attempt.

Headers are kept as people read them and encoded here, each by what it is. Everything that comes from outside goes
through `one_line` first, so no value ever holds a line break.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.charset import QP, Charset
from email.header import Header
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import format_datetime, formataddr, parseaddr

from ticketry.mail.sending.templates import one_line

ADDRESSES = frozenset({"From", "To", "Reply-To"})
IDS = frozenset({"References"})
WIDTH = 76
_IN_NAMES = re.compile(r"[<>\"\\]")
_UTF8 = Charset("utf-8")
_UTF8.body_encoding = QP
Headers = Sequence[Sequence[str]]


def address_text(name: str | None, address: str) -> str:
    """`Name <address>` as people read it. A name cannot look like an address, nor end one."""
    clean = _IN_NAMES.sub("", one_line(name or ""))
    return _quoted(clean.strip(), address)


def _quoted(name: str, address: str) -> str:
    return f'"{name}" <{address}>' if name else address


def date_text(at: datetime) -> str:
    """An instant as the Date header has it."""
    return format_datetime(at.astimezone(UTC))


def wire_address(address: str) -> str:
    """An address as SMTP takes it: the domain in its ASCII form. The part before the @ stays as it is."""
    local, _, domain = address.rpartition("@")
    return address if address.isascii() else f"{local}@{domain.encode('idna').decode('ascii')}"


def needs_utf8(*addresses: str) -> bool:
    """Whether only a server that knows SMTPUTF8 can take these addresses."""
    return not all(wire_address(address).isascii() for address in addresses)


def wire(headers: Headers, text: str, html: str, boundary: str) -> bytes:
    """The mail as it is sent: text and HTML side by side, both quoted-printable."""
    body = MIMEMultipart("alternative", boundary=boundary)
    for kind, part in (("plain", text), ("html", html)):
        body.attach(MIMEText(part, kind, _UTF8))  # type: ignore[arg-type]
    lines = [f"{name}: {_encoded(name, value)}\r\n" for name, value in headers]
    return "".join(lines).encode() + body.as_bytes(policy=compat32.clone(linesep="\r\n"))


def _encoded(name: str, value: str) -> str:
    if name in ADDRESSES:
        shown, address = parseaddr(value)
        return _named(name, shown, wire_address(address))
    if name in IDS:
        return "\r\n ".join(value.split())
    return _words(name, value)


def _named(header: str, shown: str, address: str) -> str:
    if not shown:
        return address
    if shown.isascii() and len(shown) < WIDTH - 10 and "=?" not in shown:
        plain = formataddr((shown, "x@y"))[: -len(" <x@y>")]
    else:
        plain = Header(shown, "utf-8", WIDTH, header).encode(linesep="\r\n")
    return f"{plain}\r\n <{address}>"


def _words(header: str, value: str) -> str:
    """Text of a header. Plain ASCII that fits stays readable; ids and addresses are never broken."""
    fits = len(value) < 900 and value.isascii()
    if fits and "=?" not in value and (header != "Subject" or len(value) <= WIDTH):
        return value
    return Header(value, "utf-8", WIDTH, header).encode(linesep="\r\n")
