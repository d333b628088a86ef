"""What a mail is and what it says: pure functions on what was read of it."""

import re
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from ticketry.mail.receiving.reading.read_mail import ReadMail

LONGEST_BODY = 10_000
"""Characters of a comment or a description."""
LONGEST_SUBJECT = 200
NO_SUBJECT = "(no subject)"
NO_TEXT = "(This mail has no text.)"
RECIPIENT_HEADERS = (
    "To", "Cc", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "X-Forwarded-To", "Resent-To",
)  # fmt: skip
_ROBOTS = re.compile(r"(mailer-daemon|mailerdaemon|mail-daemon)@", re.IGNORECASE)
_QUIET = frozenset({"bulk", "junk", "list", "auto_reply", "auto-reply"})
_LISTS = ("List-Id", "List-Post", "X-BeenThere", "Mailing-List")

Kind = Literal["answer", "other"]


class Automatic(NamedTuple):
    """Why a machine is taken for the sender. An `answer` says nothing by itself; `other` may be worth a ticket."""

    why: str
    kind: Kind


def automatic(mail: ReadMail, own: Collection[str]) -> Automatic | None:
    """Whether a machine sent this, None for a person. `own` are our addresses.

    A mailing list is a machine, unless it is our own address: many teams have their address as a group.
    """
    submitted = mail.header("Auto-Submitted").partition(";")[0].strip().lower()
    if submitted and submitted != "no":
        return Automatic(f"Auto-Submitted: {submitted[:100]}", "answer" if "repl" in submitted else "other")
    if mail.media_type in {"multipart/report", "message/delivery-status"}:
        return Automatic("it is a report of a mail server or mail program", "answer")
    if _ROBOTS.match(mail.from_address):
        return Automatic("it comes from a mail server", "answer")
    for name in ("X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Auto-Reply"):
        if mail.header(name).strip():
            return Automatic(f"{name} is set", "answer")
    return _quiet(mail, own) or _ours(mail, own)


def _quiet(mail: ReadMail, own: Collection[str]) -> Automatic | None:
    precedence = mail.header("Precedence").strip().lower()
    if precedence in _QUIET and not (precedence == "list" and _is_our_list(mail, own)):
        return Automatic(f"Precedence: {precedence}", "answer" if precedence.startswith("auto") else "other")
    suppress = mail.header("X-Auto-Response-Suppress").strip().lower()
    if suppress and suppress != "none":
        return Automatic(f"X-Auto-Response-Suppress: {suppress[:100]}", "other")
    paths = [value.strip() for value in mail.all_of("Return-Path")]
    if "<>" in paths:
        return Automatic("its Return-Path is empty", "other")
    return None


def _ours(mail: ReadMail, own: Collection[str]) -> Automatic | None:
    return Automatic("it comes from an address of ours", "other") if is_own(mail.from_address, own) else None


def is_own(address: str, own: Collection[str]) -> bool:
    """Whether an address is one of ours, with or without something after a plus."""
    wanted = {one.lower() for one in own}
    local, _, domain = address.lower().rpartition("@")
    return bool(local) and (f"{local}@{domain}" in wanted or f"{local.rpartition('+')[0]}@{domain}" in wanted)


def _is_our_list(mail: ReadMail, own: Collection[str]) -> bool:
    told = " ".join(mail.all_of(*_LISTS)).lower().replace(".", "@")
    return any(address.lower().replace(".", "@") in told for address in own)


def references(mail: ReadMail) -> list[str]:
    """Where message ids stand that may name a ticket: the nearest first. A report is about the mails it holds."""
    reported = mail.reported_ids if mail.media_type == "multipart/report" else []
    return [*mail.all_of("In-Reply-To"), *mail.all_of("References"), *reported]


def recipients(mail: ReadMail) -> list[str]:
    """The headers that tell to whom the mail went."""
    return mail.all_of(*RECIPIENT_HEADERS)


def subject_of(mail: ReadMail) -> str:
    """The subject of a ticket made of the mail."""
    return _cut(mail.subject, LONGEST_SUBJECT) or NO_SUBJECT


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def body_of(text: str, notes: Sequence[str] = (), *, attached: bool) -> str:
    """Text as a comment or description holds it: the start of a long one, and what is to be said about it.

    `attached` tells whether the whole text stands beside it as a file.
    """
    told = [f"*({note})*" for note in notes]
    if len(text) > LONGEST_BODY - sum(len(note) + 2 for note in told):
        rest = "the whole text is attached as message.txt" if attached else "the rest is not shown"
        told.append(f"*(This is the start of a long mail; {rest}.)*")
        text = text[: LONGEST_BODY - sum(len(note) + 2 for note in told)].rstrip()
    return "\n\n".join([text.strip("\n") if text.strip() else NO_TEXT, *told])


def is_long(text: str) -> bool:
    """Whether a text may not fit into a comment or description, whatever is said about it."""
    return len(text) > LONGEST_BODY - 1_000


def sender_of(mail: ReadMail) -> str:
    """Whom the mail says it is from, in words."""
    if not mail.from_address:
        return "nobody that it names"
    return f"{mail.from_name} <{mail.from_address}>" if mail.from_name else mail.from_address


def contact_name(mail: ReadMail) -> str:
    """What an unknown sender is called."""
    return mail.from_name or mail.from_address[:LONGEST_SUBJECT]


def told_of_misfit(mail: ReadMail, mail_id: str, *, attached: bool) -> str:
    """The description of a ticket for a mail that was not understood."""
    where = "is attached as it came, as mail.eml" if attached else f"can be had as it came under the id {mail_id}"
    said = f"A mail came that could not be understood: {mail.problem}.\n\nIt says it is from {sender_of(mail)}."
    return f"{said} It {where}."


def told_of_automatic(mail: ReadMail, why: str, text: str, *, attached: bool) -> str:
    """The note on a ticket about a mail that a machine sent."""
    head = f"Automatic mail from {sender_of(mail)} ({why}): {_cut(mail.subject, LONGEST_SUBJECT) or NO_SUBJECT}"
    return body_of(f"{head}\n\n{text.strip() or NO_TEXT}", attached=attached)


def patience(failures: int) -> int:
    """Seconds until a mail that failed so many times is tried again: a minute, then ever longer, an hour at most."""
    return int(min(3600, 60 * 2 ** min(max(failures - 1, 0), 10)))
