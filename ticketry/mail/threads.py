"""What ties a mail to a ticket: signed message ids, signed reply addresses, and the tag in the subject.

A signature covers the workspace and the ticket, so a name that this installation did not give, that was given in
another workspace, or that was changed on its way names nothing. A message id is no secret among those who got the
mail: it proves that its bearer has seen a mail about the ticket, not who the bearer is. The tag in the subject proves
nothing at all.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence

LEAST_SECRET = 16
"""Bytes. A shorter secret could be guessed, and an empty one would let anybody sign."""
LONGEST_LOCAL_PART = 64
"""Octets before the `@` that every mail server takes (RFC 5321, 4.5.3.1.1)."""
MOST_NAMES = 200
"""How many message ids or addresses of one header are looked at: the nearest ones. A mail with more is an attack."""

_PREFIX = "ticket_"
_ID_SIGNATURE = 20
_ADDRESS_SIGNATURE = 16
"""Characters of base 32, five bits each. An address has little room; 80 bits cannot be guessed by sending mails."""
_UNIQUE = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_MESSAGE_ID = re.compile(r"(?<![\w.])(\w{1,64})\.([A-Za-z0-9_-]{1,64})\.([A-Za-z2-7]{20})@", re.ASCII)
_ADDRESS = re.compile(r"\+(\w{1,64})\.([A-Za-z2-7]{16})@", re.ASCII)
_TAG = re.compile(r"\[\s*(TICK-[1-9][0-9]{0,17})\s*\]", re.ASCII | re.IGNORECASE)


def message_id(secret: bytes, workspace_id: str, ticket_id: str, unique: str, domain: str) -> str:
    """A signed Message-ID with its angle brackets, for a mail about a ticket.

    `unique` tells the mails of a ticket apart: 1 to 64 letters, digits, `_` or `-`, for instance the mail's own id.
    Raises `ValueError` if it has another form.
    """
    if not _UNIQUE.fullmatch(unique):
        raise ValueError("unique must be 1 to 64 letters, digits, _ or -")
    signature = _signature(secret, _ID_SIGNATURE, "message", workspace_id, ticket_id, unique)
    return f"<{ticket_id}.{unique}.{signature}@{domain}>"


def reply_address(secret: bytes, workspace_id: str, ticket_id: str, address: str) -> str:
    """`address` with the ticket and its signature after a plus: `support+01jb….signature@example.com`.

    Where that is longer than mail servers take, or `address` is quoted, it is `address` itself: the answer is then
    found by its references or its subject.
    """
    local, at, domain = address.rpartition("@")
    signature = _signature(secret, _ADDRESS_SIGNATURE, "address", workspace_id, ticket_id)
    signed = f"{local}+{ticket_id.removeprefix(_PREFIX)}.{signature}"
    if not at or '"' in local or len(signed.encode()) > LONGEST_LOCAL_PART:
        return address
    return f"{signed}@{domain}"


def subject_tag(number: str) -> str:
    """The tag that a subject carries, for instance `[TICK-1234]`. `number` is the ticket's published number."""
    return f"[{number}]"


def ticket_named_by_references(secret: bytes, workspace_id: str, header_values: Sequence[str]) -> str | None:
    """The id of the ticket that the message ids in these headers name by a valid signature, or None.

    The headers are read in the order given, each from its end: its last message id is the mail that was answered.
    """
    for ticket_id, unique, signature in _nearest(_MESSAGE_ID, header_values):
        if _same(signature, _signature(secret, _ID_SIGNATURE, "message", workspace_id, ticket_id, unique)):
            return ticket_id
    return None


def ticket_named_by_address(secret: bytes, workspace_id: str, addresses: Sequence[str]) -> str | None:
    """The id of the ticket that one of these addresses (or headers that hold addresses) names by a valid signature."""
    for name, signature in _nearest(_ADDRESS, addresses):
        for ticket_id in (_PREFIX + name, name):
            if _same(signature, _signature(secret, _ADDRESS_SIGNATURE, "address", workspace_id, ticket_id)):
                return ticket_id
    return None


def number_named_by_subject(subject: str) -> str | None:
    """The first ticket number that stands in brackets in a subject, or None. Anybody can write one."""
    found = _TAG.search(subject)
    return found[1].upper() if found else None


def _nearest(form: re.Pattern[str], values: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for value in values:
        yield from reversed([found.groups() for found in form.finditer(value)][-MOST_NAMES:])


def _signature(secret: bytes, length: int, *said: str) -> str:
    if len(secret) < LEAST_SECRET:
        raise ValueError(f"the secret must have at least {LEAST_SECRET} bytes")
    digest = hmac.digest(secret, "\0".join(("ticketry", *said)).encode(), hashlib.sha256)
    return base64.b32encode(digest).decode()[:length].lower()


def _same(given: str, right: str) -> bool:
    """Whether a signature is right. Its case is not asked: mail systems change it."""
    return hmac.compare_digest(given.lower(), right)
