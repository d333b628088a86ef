"""Texts of a mail: HTML to text, flowed lines joined, what is quoted cut off. Each step is bounded in time."""

import html
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from inscriptis import get_text
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig
from mailparser_reply import EmailReplyParser
from mailparser_reply.constants import MAIL_LANGUAGES

STEP_SECONDS = 4.0
"""How long one step may take before a rougher one is taken instead."""
LONGEST_HTML = 2_000_000
LONGEST_TRIMMED = 60_000
"""Characters in which quoted text is looked for. A reply longer than this is kept as it is."""
_TAG = re.compile(r"<[^<>]{0,5000}>")
_HIDDEN = re.compile(r"<(script|style|head|title)\b[^>]{0,5000}>.{0,200000}?</\1\s*>", re.IGNORECASE | re.DOTALL)
_EMPTY_LINES = re.compile(r"\n[ \t\u00a0]*(?:\n[ \t\u00a0]*){2,}")
_LINKS = ParserConfig(css=CSS_PROFILES["strict"], display_links=True)
_PARSER = EmailReplyParser(languages=list(MAIL_LANGUAGES))


class TookTooLong(Exception):
    """A step was given up."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Gives up what the block does after so many seconds. Elsewhere than in a process's main thread: not at all."""

    def give_up(number: int, frame: FrameType | None) -> NoReturn:
        raise TookTooLong

    try:
        before = signal.signal(signal.SIGALRM, give_up)
    except ValueError:
        yield
        return
    others = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *others)
        signal.signal(signal.SIGALRM, before)


def from_html(source: str) -> str:
    """The text of an HTML body. Where the library gives up, the tags are taken away and no more."""
    bounded = source[:LONGEST_HTML]
    try:
        with at_most(STEP_SECONDS):
            text = get_text(bounded, _LINKS)
    except Exception:
        text = ""
    if not text.strip():  # given up, or nested deeper than the parser goes
        text = html.unescape(_TAG.sub(" ", _HIDDEN.sub(" ", bounded)))
    return _EMPTY_LINES.sub("\n\n", text).strip("\n")


def unflowed(text: str, delete_space: bool) -> str:
    """Text of `format=flowed` (RFC 3676) with its soft ends of lines taken out."""
    lines: list[str] = []
    open_depth: int | None = None
    for raw in text.split("\n"):
        quoted = raw.lstrip(">")
        depth = len(raw) - len(quoted)
        line = quoted.removeprefix(" ")
        soft = line.endswith(" ") and line != "-- "
        shown = line[:-1] if soft and delete_space else line
        if open_depth == depth and line != "-- ":
            lines[-1] += shown
        else:
            lines.append(">" * depth + (" " if depth else "") + shown)
        open_depth = depth if soft else None
    return "\n".join(line.rstrip() if line != "-- " else line for line in lines)


def reply_in(text: str) -> tuple[str, bool]:
    """The text without the mail that it quotes, and whether that could be told.

    All of the text where nothing would be left, where it is too long, or where looking took too long.
    """
    if len(text) > LONGEST_TRIMMED:
        return text, False
    try:
        with at_most(STEP_SECONDS):
            found = _PARSER.parse_reply(text) or ""
    except Exception:
        return text, False
    kept = _without_quoted_end(_as_it_stood(text, found))
    return (kept, True) if kept.strip() else (text, not text.strip())


def _as_it_stood(text: str, found: str) -> str:
    """`found` with the indentation that the library takes from every line."""
    wanted = found.split("\n")
    lines = text.split("\n")
    first = next((n for n, line in enumerate(lines) if line.strip()), 0)
    stood = lines[first : first + len(wanted)]
    return "\n".join(stood) if [line.strip() for line in stood] == [line.strip() for line in wanted] else found


def _without_quoted_end(text: str) -> str:
    lines = text.split("\n")
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith(">")):
        lines.pop()
    return "\n".join(lines)
