"""Reads one mail, in a process of its own: `python -m …reader FOLDER` (see `reading/process.py`).

The folder holds the mail as `raw`. What is understood is written beside it as `read.json`, and each file of the mail as
`0`, `1`, …. First what the headers say is written, then the whole: whoever ends this process has something to go by.
"""

import hashlib
import resource
import sys
from email.parser import BytesParser
from pathlib import Path

from ticketry.mail.receiving.reading.headers import LONGEST_HEAD, fill, glance, head_of
from ticketry.mail.receiving.reading.parts import Found, TooComplicated, found_in
from ticketry.mail.receiving.reading.read_mail import FULL_TEXT, LONGEST_TEXT, RAW, READ, File, ReadMail, joined
from ticketry.mail.receiving.reading.texts import reply_in

MOST_FILES = 17
"""Files of one mail that are kept one by one: a ticket or comment is given 20 at once, and the whole text, the mail as
it came and a spare are among them. A mail with more files is kept whole too."""

MOST_LINES_OF_PARTS = 200_000
"""Lines that may part a mail: each costs the parser much more than another line."""


def main(folder: Path, seconds: int, memory: int) -> None:
    """Reads the mail in `folder` within so much processor time and memory (bytes)."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    raw = (folder / RAW).read_bytes()
    seen = glance(raw)
    seen.fingerprint = fingerprint(raw, seen)
    seen.problem = "reading it took more time or memory than it may take"
    _write(folder, seen)
    mail = read(raw, folder)
    mail.fingerprint = seen.fingerprint
    _write(folder, mail)


def fingerprint(raw: bytes, seen: ReadMail) -> str:
    """SHA-256 of what makes a mail this one: its Message-ID, From, Date, Subject and content.

    Headers that mail servers add on its way are left out, so two copies of a mail are the same. A mail without a
    Message-ID is the same only with all its headers.
    """
    digest = hashlib.sha256()
    content = raw
    if seen.message_id:
        content = raw[len(head_of(raw)) :]
        for name in ("Message-ID", "From", "Date", "Subject"):
            digest.update(f"{name}: {seen.header(name)}\n".encode())
    digest.update(content.rstrip())
    return digest.hexdigest()


def _write(folder: Path, mail: ReadMail) -> None:
    """Replaces what was understood so far in one step."""
    part = folder / f"{READ}.part"
    part.write_text(mail.to_json())
    part.rename(folder / READ)


def read(raw: bytes, folder: Path) -> ReadMail:
    """What is understood of a mail; its files are written into `folder`. Never raises but for memory and disk."""
    try:
        return _read(raw, folder)
    except TooComplicated:
        problem = "it is nested deeper, or has more parts, than any mail that people send"
    except RecursionError:
        problem = "it is nested too deep"
    except MemoryError:
        raise
    except Exception as error:
        problem = f"its form is broken ({type(error).__name__})"
    mail = glance(raw)
    mail.problem = problem
    return mail


def _read(raw: bytes, folder: Path) -> ReadMail:
    if not raw.strip():
        return ReadMail(problem="it is empty")
    if raw.count(b"\n--") > MOST_LINES_OF_PARTS:
        raise TooComplicated
    if len(head_of(raw[: LONGEST_HEAD + 4])) > LONGEST_HEAD:
        mail = glance(raw)
        mail.problem = f"its header is larger than {LONGEST_HEAD // 1024} KiB"
        return mail
    message = BytesParser().parsebytes(raw)
    mail = ReadMail()
    fill(mail, message)
    if not mail.headers:
        mail.problem = "it has no header"
        return mail
    found = found_in(message)
    text = joined(one.plain() for one in found.texts)
    mail.text, mail.cut = text[:LONGEST_TEXT], len(text) > LONGEST_TEXT
    mail.reply, mail.trimmed = reply_in(mail.text)
    mail.reported_ids = [value[:1_000] for value in found.reported_ids[:20]]
    _keep(mail, found, text, folder)
    return mail


def _keep(mail: ReadMail, found: Found, text: str, folder: Path) -> None:
    mail.whole = len(found.files) > MOST_FILES
    for number, file in enumerate(found.files[:MOST_FILES]):
        (folder / str(number)).write_bytes(file.content)
        mail.files.append(File(str(number), file.name, file.type))
    if mail.cut:
        (folder / FULL_TEXT).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
