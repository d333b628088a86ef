"""Mails with the habits of the programs that people write with. Generated: nobody's real mail is here."""

import base64
import quopri
import struct
import uuid
from collections.abc import Sequence
from email.message import EmailMessage

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n"


def fresh() -> str:
    """A Message-ID that was never used."""
    return f"<{uuid.uuid4().hex}@mail.example>"


def raw(*headers: str, body: bytes | str = b"Hello\n") -> bytes:
    """A mail of these header lines."""
    content = body.encode() if isinstance(body, str) else body
    return "\r\n".join(headers).encode("utf-8") + b"\r\n\r\n" + content


def simple(
    text: str = "Hello\n", *more: str, sender: str = "Sam Taylor <sam@example.com>", to: str = "support@acme.example",
    subject: str = "It does not work", message_id: str | None = "<1@mail.example>",
) -> bytes:  # fmt: skip
    """A plain mail."""
    named = [f"Message-ID: {message_id}"] if message_id else []
    return raw(
        f"From: {sender}", f"To: {to}", f"Subject: {subject}", "Date: Wed, 15 Jan 2025 09:00:00 +0000", *named, *more,
        "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", body=text,
    )  # fmt: skip


def part(kind: str, content: bytes, *headers: str, encoding: str = "base64") -> bytes:
    """A part of a multipart."""
    body = content
    if encoding == "base64":
        body = base64.encodebytes(content).replace(b"\n", b"\r\n")
    elif encoding == "quoted-printable":
        body = quopri.encodestring(content)
    head = "\r\n".join([f"Content-Type: {kind}", f"Content-Transfer-Encoding: {encoding}", *headers])
    return head.encode() + b"\r\n\r\n" + body


def multipart(kind: str, boundary: str, parts: Sequence[bytes]) -> tuple[str, bytes]:
    """The Content-Type and the body of a multipart."""
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + one + b"\r\n" for one in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"', body + b"--" + boundary.encode() + b"--\r\n"


def nested(kind: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    """A multipart as a part."""
    header, body = multipart(kind, boundary, parts)
    return header.encode() + b"\r\n\r\n" + body


def gmail() -> bytes:
    """A reply by Gmail on the web: both forms, quoted text under `On … wrote:`."""
    text = (
        "It works now, thank you!\r\n\r\nOn Wed, Jan 15, 2025 at 10:02 AM Acme Support <\r\n"
        "support@acme.example> wrote:"
        "\r\n\r\n> Please try again.\r\n>\r\n> Jane\r\n"
    )
    html = (
        '<div dir="ltr">It works now, thank you!</div><br><div class="gmail_quote gmail_quote_container">'
        '<div dir="ltr" class="gmail_attr">On Wed, Jan 15, 2025 at 10:02 AM Acme Support &lt;<a href="mailto:'
        'support@acme.example">support@acme.example</a>&gt; wrote:<br></div><blockquote class="gmail_quote">'
        "Please try again.<br><br>Jane</blockquote></div>"
    )
    header, body = multipart(
        "alternative",
        "000000000000a1b2c3062bd0c1d2",
        [
            part('text/plain; charset="UTF-8"', text.encode(), encoding="8bit"),
            part('text/html; charset="UTF-8"', html.encode(), encoding="quoted-printable"),
        ],
    )
    return raw(
        "MIME-Version: 1.0", "References: <a@acme.example>", "In-Reply-To: <a@acme.example>",
        "From: Sam Taylor <sam.taylor@gmail.example>", "Date: Wed, 15 Jan 2025 10:05:00 +0100",
        "X-Gm-Features: AbW1kvYzz", "Message-ID: <CAJ8=x+9Zq1@mail.gmail.example>", "Subject: Re: Refund",
        "To: Acme Support <support@acme.example>", header, body=body,
    )  # fmt: skip


def outlook() -> bytes:
    """A reply by Outlook: quoted-printable, windows-1252, the quoted mail under From:/Sent:."""
    text = (
        "Hello Jane,\r\n\r\nthe amount is still wrong – it should be 100 €.\r\n\r\nBest regards,\r\nSam\r\n\r\n"
        "From: Acme Support <support@acme.example>\r\nSent: Wednesday, January 15, 2025 10:02 AM\r\n"
        "To: Taylor, Sam <sam.taylor@outlook.example>\r\nSubject: Refund\r\n\r\nPlease try again.\r\n"
    )
    html = "<html><head><style>p {margin:0}</style></head><body><p>Hello Jane,</p></body></html>"
    header, body = multipart(
        "alternative",
        "_000_AM0PR01MB1234_",
        [
            part('text/plain; charset="Windows-1252"', text.encode("cp1252"), encoding="quoted-printable"),
            part('text/html; charset="Windows-1252"', html.encode("cp1252"), encoding="quoted-printable"),
        ],
    )
    return raw(
        'From: "Taylor, Sam" <sam.taylor@outlook.example>', "To: Acme Support <support@acme.example>",
        "Subject: AW: Refund", "Thread-Topic: Refund", "Thread-Index: AQHbZ1z9Xw==",
        "Date: Wed, 15 Jan 2025 09:05:00 +0000", "Message-ID: <AM0PR01MB1234@eurprd01.prod.outlook.example>",
        "Accept-Language: en-US", "X-MS-Has-Attach:", "X-MS-TNEF-Correlator:", "MIME-Version: 1.0", header, body=body,
    )  # fmt: skip


def apple_mail() -> bytes:
    """A mail by Apple Mail: text, a picture in its place, and text again; format=flowed."""
    inner = nested(
        "mixed",
        "Apple-Mail=_5678",
        [
            part("text/plain; charset=us-ascii; format=flowed; delsp=yes", b"Look at this long line that is \r\nsoft:"),
            part(
                'image/png; name="Bildschirmfoto.png"', PNG, "Content-Disposition: inline; filename=Bildschirmfoto.png"
            ),
            part("text/plain; charset=us-ascii", b"What is that?\r\n", encoding="7bit"),
        ],
    )
    return raw(
        "From: Sam Taylor <sam@icloud.example>", "Mime-Version: 1.0 (Mac OS X Mail 16.0 \\(3776.700.51\\))",
        "Subject: A picture", "Message-Id: <1F2E@icloud.example>", "X-Mailer: Apple Mail (2.3776.700.51)",
        "To: support@acme.example", 'Content-Type: multipart/mixed; boundary="outer"',
        body=b"--outer\r\n" + inner + b"\r\n--outer--\r\n",
    )  # fmt: skip


def thunderbird() -> bytes:
    """A reply by Thunderbird in German: flowed text with the quoted mail under `Am … schrieb …:`."""
    text = (
        "Danke, das hat geholfen. Ich habe es auf allen Rechnern versucht und es geht \r\nüberall.\r\n\r\n"
        "Am 15.01.25 um 10:02 schrieb Acme Support:\r\n> Bitte versuchen Sie es noch einmal.\r\n"
    )
    return raw(
        "Message-ID: <8a1b2c3d-0000-4e5f@posteo.example>", "Date: Wed, 15 Jan 2025 10:05:00 +0100", "MIME-Version: 1.0",
        "User-Agent: Mozilla Thunderbird", "Subject: Re: =?UTF-8?Q?R=C3=BCckzahlung?=", "Content-Language: de-DE",
        "From: =?UTF-8?Q?S=C3=A4m_T=C3=A4ylor?= <saem@posteo.example>", "To: support@acme.example",
        "In-Reply-To: <a@acme.example>", "Content-Type: text/plain; charset=UTF-8; format=flowed",
        "Content-Transfer-Encoding: 8bit", body=text,
    )  # fmt: skip


def yahoo() -> bytes:
    """A mail by Yahoo: HTML in base64, its text form empty."""
    html = '<html><body><div class="ydp">I <b>cannot</b> sign in.<br><br>See <a href="https://x.example/">this</a></div></body></html>'
    header, body = multipart(
        "alternative",
        "----=_Part_123_456.789",
        [part("text/plain; charset=UTF-8", b" \r\n"), part("text/html; charset=UTF-8", html.encode())],
    )
    return raw(
        "From: Sam <sam@yahoo.example>", "To: <support@acme.example>", "Message-ID: <123.456@mail.yahoo.example>",
        "Subject: Sign in", "X-Mailer: WebService/1.1.23187 YMailNorrin", header, body=body,
    )  # fmt: skip


def phone() -> bytes:
    """A short reply by a telephone."""
    text = (
        "Yes\r\n\r\nSent from my iPhone\r\n\r\n> On 15 Jan 2025, at 10:02, Acme Support <support@acme.example> "
        "wrote:\r\n> \r\n> Ok?\r\n"
    )
    return raw(
        "Content-Type: text/plain; charset=us-ascii", "Content-Transfer-Encoding: quoted-printable",
        "From: Sam Taylor <sam@icloud.example>", "Mime-Version: 1.0 (1.0)", "Subject: Re: Refund",
        "Date: Wed, 15 Jan 2025 10:05:00 +0100", "Message-Id: <C0FFEE@icloud.example>", "To: support@acme.example",
        "X-Mailer: iPhone Mail (21G93)", body=quopri.encodestring(text.encode()),
    )  # fmt: skip


def _attribute(level: int, name: int, kind: int, data: bytes) -> bytes:
    return struct.pack("<BHHI", level, name, kind, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def winmail(text: bytes = b"The text inside.\r\n", files: Sequence[tuple[str, bytes]] = (("bill.pdf", PDF),)) -> bytes:
    """A winmail.dat (TNEF)."""
    out = struct.pack("<IH", 0x223E9F78, 1)
    out += _attribute(1, 0x9006, 0x0008, struct.pack("<I", 0x10000))
    out += _attribute(1, 0x9007, 0x0006, struct.pack("<II", 1252, 0))
    out += _attribute(1, 0x800C, 0x0002, text + b"\0")
    for name, content in files:
        out += _attribute(2, 0x9002, 0x0006, struct.pack("<HIHHI", 1, 0xFFFFFFFF, 0, 0, 0))
        out += _attribute(2, 0x8010, 0x0001, name.encode() + b"\0")
        out += _attribute(2, 0x800F, 0x0006, content)
    return out


def exchange(pack: bytes | None = None) -> bytes:
    """A mail by Exchange whose text and file are in a winmail.dat."""
    content = winmail() if pack is None else pack
    header, body = multipart(
        "mixed",
        "_002_",
        [
            part('text/plain; charset="us-ascii"', b"", encoding="7bit"),
            part(
                'application/ms-tnef; name="winmail.dat"',
                content,
                'Content-Disposition: attachment; filename="winmail.dat"',
            ),
        ],
    )
    return raw(
        "From: Sam Taylor <sam@corp.example>", "To: support@acme.example", "Subject: The bill",
        "Message-ID: <EX@corp.example>", "X-MS-TNEF-Correlator: <EX@corp.example>", header, body=body,
    )  # fmt: skip


def with_files(count: int, size: int = 10, subject: str = "Files") -> bytes:
    """A mail with so many files."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "sam@example.com", "support@acme.example", subject
    message["Message-ID"] = f"<files-{count}-{size}@mail.example>"
    message.set_content("See the files.")
    for number in range(count):
        message.add_attachment(
            bytes([number % 256]) * size, "application", "octet-stream", filename=f"file{number}.bin"
        )
    return message.as_bytes()


def bounce(about: str, to: str = "sam@nowhere.example") -> bytes:
    """A report that a mail with this Message-ID could not be delivered."""
    header, body = multipart(
        "report; report-type=delivery-status",
        "bounce",
        [
            part("text/plain; charset=us-ascii", b"I'm sorry to have to inform you.\r\n", encoding="7bit"),
            b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
            + f"Final-Recipient: rfc822; {to}\r\nAction: failed\r\nStatus: 5.1.1\r\n".encode(),
            b"Content-Type: text/rfc822-headers\r\n\r\n" + f"Message-ID: {about}\r\nSubject: Re: Refund\r\n".encode(),
        ],
    )
    return raw(
        "Return-Path: <>", "From: MAILER-DAEMON@mx.example (Mail Delivery System)", "To: support@acme.example",
        "Subject: Undelivered Mail Returned to Sender", "Auto-Submitted: auto-replied", "Message-ID: <dsn@mx.example>",
        header, body=body,
    )  # fmt: skip
