"""The parts of a mail: which of them are its text and which are files, in whatever they are packed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_string
from email.generator import BytesGenerator
from email.header import Header
from email.message import Message
from email.utils import collapse_rfc2231_value
from io import BytesIO
from typing import Any, Literal

from ticketry.mail.receiving.reading import tnef
from ticketry.mail.receiving.reading.charsets import decoded
from ticketry.mail.receiving.reading.headers import line, words
from ticketry.mail.receiving.reading.texts import from_html, unflowed

DEEPEST = 60
MOST_PARTS = 2_000
LONGEST_FILE_NAME = 200
AnyMessage = Message[Any, Any]


class TooComplicated(Exception):
    """The mail is nested deeper, or has more parts, than any that people send."""


@dataclass(slots=True)
class Blob:
    """A file of a mail, unpacked."""

    name: str
    type: str
    content: bytes


@dataclass(slots=True)
class Text:
    """A text of a mail. HTML is turned into text only where it is needed."""

    kind: Literal["plain", "html"]
    source: str

    def plain(self) -> str:
        """The text as people read it."""
        return from_html(self.source) if self.kind == "html" else self.source


@dataclass(slots=True)
class Found:
    """What was found in a part and in all that it holds."""

    texts: list[Text] = field(default_factory=list)
    files: list[Blob] = field(default_factory=list)
    reported_ids: list[str] = field(default_factory=list)

    def add(self, other: "Found") -> None:
        """Takes in what another part holds."""
        self.texts += other.texts
        self.files += other.files
        self.reported_ids += other.reported_ids


def found_in(message: AnyMessage) -> Found:
    """The texts and files of a mail. Raises `TooComplicated`."""
    count = 0

    def look(part: AnyMessage, depth: int) -> Found:
        nonlocal count
        count += 1
        if depth > DEEPEST or count > MOST_PARTS:
            raise TooComplicated
        if not part.is_multipart():
            return _leaf(part)
        if part.get_content_maintype() == "message":
            return _enclosed(part)
        inner = [look(child, depth + 1) for child in _children(part)]
        return _best(inner) if part.get_content_type() == "multipart/alternative" else _all(inner)

    return look(message, 0)


def _children(part: AnyMessage) -> Iterator[AnyMessage]:
    payload: Any = part.get_payload()
    yield from (child for child in payload if isinstance(child, Message))


def _all(inner: list[Found]) -> Found:
    whole = Found()
    for one in inner:
        whole.add(one)
    return whole


def _best(inner: list[Found]) -> Found:
    """Of several forms of the same text: the plain one, unless there is nothing in it. Files are kept of all."""
    whole = _all(inner)
    forms = [one.texts for one in inner if one.texts]
    plain = [texts for texts in forms if all(text.kind == "plain" for text in texts)]
    filled = [texts for texts in plain if any(text.source.strip() for text in texts)]
    rich = [texts for texts in forms if texts not in plain]
    whole.texts = next(iter([*filled, *reversed(rich), *plain]), [])
    return whole


def _leaf(part: AnyMessage) -> Found:
    kind = part.get_content_type()
    name = file_name(part)
    content = content_of(part)
    if kind in {"text/plain", "text/html"} and not name and _disposition(part) != "attachment":
        return Found(texts=[_text(part, kind, content)])
    if kind in {"application/ms-tnef", "application/vnd.ms-tnef"} or (name or "").lower() == "winmail.dat":
        return _unpacked(name or "winmail.dat", kind, content)
    if kind == "text/rfc822-headers":
        ids = message_from_string(decoded(content, None)[:65_536]).get_all("Message-ID", [])
        return Found(files=[Blob(name or "headers.txt", "text/plain", content)], reported_ids=[str(i) for i in ids])
    if not content and not name:
        return Found()
    return Found(files=[Blob(name or _default_name(kind), kind, content)])


def _text(part: AnyMessage, kind: str, content: bytes) -> Text:
    source = decoded(content, _parameter(part, "charset"))
    if kind == "text/html":
        return Text("html", source)
    if _parameter(part, "format").lower() == "flowed":
        source = unflowed(source, _parameter(part, "delsp").lower() == "yes")
    return Text("plain", source)


def _unpacked(name: str, kind: str, content: bytes) -> Found:
    """What Outlook packed into a winmail.dat; the pack itself where it cannot be opened."""
    opened = tnef.opened(content)
    if opened is None:
        return Found(files=[Blob(name, kind, content)])
    texts = [Text("plain", opened.text)] if opened.text.strip() else []
    if not texts and opened.html.strip():
        texts = [Text("html", opened.html)]
    files = [Blob(file_name, "application/octet-stream", data) for file_name, data in opened.files]
    if not texts and not files:
        files = [Blob(name, kind, content)]
    return Found(texts=texts, files=files)


def _enclosed(part: AnyMessage) -> Found:
    """A mail within the mail is kept as a file, not read into it. A delivery report is kept as text."""
    children = list(_children(part))
    if part.get_content_type() == "message/rfc822" and children:
        inner = children[0]
        ids = [str(value) for value in inner.get_all("Message-ID", [])]
        subject = line(words(str(inner.get("Subject", ""))[:1_000]))[:100]
        name = file_name(part) or f"{subject or 'message'}.eml"
        return Found(files=[Blob(name, "message/rfc822", _flat(inner))], reported_ids=ids)
    content = b"\n".join(_flat(child) for child in children)
    return Found(files=[Blob(file_name(part) or "report.txt", "text/plain", content)])


def _flat(message: AnyMessage) -> bytes:
    """A mail as bytes, as they came."""
    out = BytesIO()
    try:
        BytesGenerator(out, mangle_from_=False, maxheaderlen=0).flatten(message)
    except Exception:  # noqa: BLE001
        return str(message.as_string()).encode("utf-8", "surrogateescape")
    return out.getvalue()


def content_of(part: AnyMessage) -> bytes:
    """What a part holds, its transfer encoding undone as far as it can be."""
    try:
        content = part.get_payload(decode=True)
    except Exception:  # noqa: BLE001
        content = None
    if isinstance(content, bytes):
        return content
    payload = part.get_payload()
    return payload.encode("utf-8", "surrogateescape") if isinstance(payload, str) else b""


def _parameter(part: AnyMessage, name: str) -> str:
    try:
        value: Any = part.get_param(name, "")
        return str(collapse_rfc2231_value(value)) if value else ""
    except Exception:  # noqa: BLE001
        return ""


def _disposition(part: AnyMessage) -> str:
    try:
        return part.get_content_disposition() or ""
    except Exception:  # noqa: BLE001
        return ""


def file_name(part: AnyMessage) -> str:
    """The name that the sender gave a file, without its folder; empty if none."""
    try:
        given: Any = part.get_filename() or ""
    except Exception:  # noqa: BLE001
        given = ""
    text = str(given) if isinstance(given, Header) else given
    name = line(words(decoded(text.encode("utf-8", "surrogateescape"), None)))
    return name.replace("\\", "/").rpartition("/")[2].strip(". ")[:LONGEST_FILE_NAME]


_NAMES = {
    "text/calendar": "invitation.ics",
    "text/plain": "text.txt",
    "text/html": "text.html",
    "text/vcard": "contact.vcf",
    "image/png": "image.png",
    "image/jpeg": "image.jpg",
    "image/gif": "image.gif",
    "application/pdf": "document.pdf",
    "application/pgp-signature": "signature.asc",
    "application/pgp-encrypted": "encrypted.asc",
    "application/pkcs7-signature": "smime.p7s",
    "application/pkcs7-mime": "smime.p7m",
}


def _default_name(kind: str) -> str:
    return _NAMES.get(kind, "attachment.bin")
