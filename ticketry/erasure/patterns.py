"""How a person is recognised in texts that others wrote: name, mail address and phone number, however they are encoded.

A text may hold a name as people type it, in any case, in another Unicode form, or inside JSON, a web address, HTML or
a mail's raw source, where its letters are escaped. Every letter is therefore looked for in each of these forms.
"""

import html.entities
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

LEAST_PART = 3
"""Letters from which on a part of a name is looked for by itself."""
LEAST_DIGITS = 7
"""A shorter phone number is looked for with its + only."""
_PARTICLES = frozenset({"von", "van", "der", "den", "del", "dos", "das", "bin", "ibn", "abu", "and", "the"})
_NAME_BREAK = r"(?:[\W_]|%20|&nbsp;|\\[nrt]){0,6}"
_PHONE_BREAK = r"[\s().\-/]{0,3}"
_ESCAPE = r"(?<=%[0-9a-f]{2})|(?<==[0-9a-f]{2})|(?<=\\[nrtbf])|(?<=\\u[0-9a-f]{4})"
"""A letter before a match that is none: it is the end of something escaped."""
_BEFORE_NAME = rf"(?:(?<![^\W_])|{_ESCAPE})"
_AFTER_NAME = r"(?![^\W_])"
_BEFORE_MAIL = rf"(?:(?<![\w.+\-])|(?<=(?<!\w)_)|{_ESCAPE})"
_AFTER_MAIL = r"(?![^\W_]|-\w|\.[^\W_])"


@lru_cache(maxsize=2048)
def _letter(char: str) -> str:
    """A pattern for one character in all the forms that it may be written in."""
    if char.isascii() and char.isalnum():
        return char
    utf16 = char.encode("utf-16-be").hex()
    forms = {
        char,
        unicodedata.normalize("NFD", char),
        char.upper(),
        char.casefold(),
        "".join(f"\\u{utf16[n : n + 4]}" for n in range(0, len(utf16), 4)),
        "".join(f"%{byte:02x}" for byte in char.encode()),
        "".join(f"={byte:02x}" for byte in char.encode()),
        f"&#{ord(char)};",
        f"&#x{ord(char):x};",
        f"&{html.entities.codepoint2name.get(ord(char), 'none')};",
    }
    if char in '"\\/':
        forms.add(f"\\{char}")
    if char == "'":
        forms |= {"&apos;", "’"}
    return f"(?:{'|'.join(re.escape(form) for form in sorted(forms, key=len, reverse=True))})"


def _letters(text: str) -> str:
    return "".join(map(_letter, unicodedata.normalize("NFC", text)))


def whole(text: str) -> str:
    """A pattern for a name, or another word or two, as such: not as a part of a longer word."""
    return _BEFORE_NAME + _NAME_BREAK.join(map(_letters, text.split())) + _AFTER_NAME


def parts(name: str) -> list[str]:
    """What of a name is looked for by itself."""
    found = [part.strip(".,;'\"()") for part in re.split(r"[\s\-]+", name)]
    return [part for part in found if len(part) >= LEAST_PART and part.lower() not in _PARTICLES]


def mail(address: str) -> str:
    """A pattern for a mail address, which is no part of another one."""
    return _BEFORE_MAIL + _letters(address) + _AFTER_MAIL


def phone_exactly(number: str) -> str:
    """A pattern for an E.164 number written without breaks."""
    digits = number.lstrip("+")
    plus = rf"(?:{_letter('+')}|00)"
    return rf"(?<!\d){plus}{'?' if len(digits) >= LEAST_DIGITS else ''}{digits}(?!\d)"


def phone_loosely(number: str) -> str:
    """A pattern for a phone number as people write it: with breaks, with or without the country."""
    digits = number.lstrip("+")
    least = min(len(digits), max(LEAST_DIGITS - 1, len(digits) - 3))
    last = _PHONE_BREAK.join(digits[-least:])
    return rf"(?<!\d)\(?(?:{_letter('+')}|00|0)?(?:\d{_PHONE_BREAK}){{0,3}}{last}(?!\d)"


def any_of(patterns: Iterable[str]) -> re.Pattern[str] | None:
    """One pattern for all of these, the longest first; None for none."""
    given = sorted(set(patterns), key=len, reverse=True)
    return re.compile("|".join(given), re.IGNORECASE) if given else None


def rough(text: str) -> str:
    """The longest plain part of a mail address or number, in small letters: a text without it cannot hold the whole."""
    return max(re.findall(r"[a-z0-9]+", text.lower(), re.ASCII), key=len, default="")
