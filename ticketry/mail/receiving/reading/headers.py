"""The headers of a mail: decoded, bounded, and never a reason to fail."""

import re
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from typing import Any

from ticketry.mail.receiving.reading.charsets import decoded
from ticketry.mail.receiving.reading.read_mail import ReadMail

LONGEST_HEAD = 512 * 1024
"""Bytes of headers that a mail may have to be read; mail servers take far less."""
GLANCE = 64 * 1024
"""Bytes of headers that are looked at where a mail cannot be read."""
MOST_HEADERS = 1_000
LONGEST_VALUE = 16 * 1024
MOST_KEPT = 256 * 1024
"""Characters of headers that are kept in all."""
LONGEST_SUBJECT = 1_000
LONGEST_NAME = 200
LONGEST_ADDRESS = 320
_SPACE = re.compile(r"\s+")
_ADDRESS = re.compile(r"[^\s<>,;:\"()\[\]\\]+@[^\s<>,;:\"()@\\]+")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n|\r\r")


def head_of(raw: bytes) -> bytes:
    """The header part of a mail."""
    found = _END_OF_HEAD.search(raw)
    return raw if found is None else raw[: found.end()]


def glance(raw: bytes) -> ReadMail:
    """What the first headers say: all that is known of a mail that cannot be read through."""
    mail = ReadMail()
    fill(mail, BytesHeaderParser().parsebytes(head_of(raw[:GLANCE])))
    return mail


def fill(mail: ReadMail, message: Message[Any, Any]) -> None:
    """Writes what the headers of `message` say into `mail`."""
    mail.headers = _kept(message)
    mail.message_id = line(mail.header("Message-ID"))[:998]
    mail.subject = line(words(mail.header("Subject")))[:LONGEST_SUBJECT]
    mail.from_name, mail.from_address = sender(mail)
    mail.media_type = message.get_content_type()


def _kept(message: Message[Any, Any]) -> list[tuple[str, str]]:
    kept: list[tuple[str, str]] = []
    room = MOST_KEPT
    for name, value in list(message.raw_items())[:MOST_HEADERS]:
        # A long References ends with what counts: the mail that was answered.
        short = str(value)[-LONGEST_VALUE:] if name.lower() == "references" else str(value)[:LONGEST_VALUE]
        text = _text(short)
        room -= len(text) + len(name)
        if room < 0:
            break
        kept.append((_text(name)[:200], text))
    return kept


def _text(value: str) -> str:
    """A header as text: bytes that are no ASCII are read as UTF-8, or as what Windows writes."""
    return decoded(value.encode("utf-8", "surrogateescape"), None).replace("\n", "")


def words(value: str) -> str:
    """A header with its encoded words (`=?utf-8?q?…?=`) in plain text."""
    try:
        parts = decode_header(value)
    except Exception:  # noqa: BLE001
        return value
    said = []
    for part, charset in parts:
        said.append(decoded(part, charset) if isinstance(part, bytes) else part)
    return decoded("".join(said).encode("utf-8", "replace"), "utf-8")


def line(value: str) -> str:
    """Text in one line, without space around it."""
    return _SPACE.sub(" ", value).strip()


def sender(mail: ReadMail) -> tuple[str, str]:
    """The name and the address in From, else in Sender, Reply-To or Return-Path; each may be empty."""
    for header in ("From", "Sender", "Reply-To", "Return-Path"):
        for value in mail.all_of(header):
            name, address = _person(value)
            if address:
                return name, address
    return "", ""


def _person(value: str) -> tuple[str, str]:
    """The first person of an address header. Names are decoded after they are taken apart: they may hold commas."""
    try:
        found = getaddresses([value])
    except Exception:  # noqa: BLE001
        found = []
    for name, address in found:
        if _ADDRESS.fullmatch(address) and len(address) <= LONGEST_ADDRESS:
            return line(words(name))[:LONGEST_NAME], address
    plain = words(value)
    rough = _ADDRESS.search(plain[:2_000])
    if rough is None or len(rough[0]) > LONGEST_ADDRESS:
        return "", ""
    return line(plain[: rough.start()].strip(" <\"'"))[:LONGEST_NAME], rough[0]
