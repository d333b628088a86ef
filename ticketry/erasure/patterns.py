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
_LEAST_INFLECTED = 5
"""Letters from which on a name is found with an ending of up to three letters or digits; a shorter one with an s."""
_MOST = 250_000
"""Letters of all patterns together: to prepare so many takes about a second. What is behind them is not looked for."""
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3130-\u318f\u3400-\u9fff\ua960-\ua97f"
    "\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff]"
)
"""Letters of scripts that put no space between words, or endings right behind them."""
_LONGEST_GAP = 6
"""Marks and spaces that may stand between the words of a name, unless it has more itself."""
LEAST_DIGITS = 7
"""Of a phone number that is written loosely, at least one less of these must be there."""
_PARTICLES = frozenset({"von", "van", "der", "den", "del", "dos", "das", "bin", "ibn", "abu", "and", "the"})
_ESCAPED = r"%[0-9a-f]{2}|=[0-9a-f]{2}|&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8});|\\u[0-9a-f]{4}|\\[nrtbf]"
"""Something between two words, as it is written where it must be escaped."""
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
    kept: list[str] = []
    for form in sorted(forms, key=lambda form: (-len(form), form)):  # never two ways to read the same text
        if not any(re.fullmatch(re.escape(other), form, re.IGNORECASE) for other in kept):
            kept.append(form)
    return f"(?:{'|'.join(map(re.escape, kept))})"


def _letters(text: str) -> str:
    return "".join(map(_letter, _composed(text)))


def words(text: str) -> list[str]:
    """The words of a name: what is no letter, digit or accent only stands between them."""
    kept = (char if char.isalnum() or unicodedata.category(char)[0] == "M" else " " for char in _composed(text))
    return [word for word in "".join(kept).split() if any(map(str.isalnum, word))]


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def whole(text: str) -> str | None:
    """A pattern for a name, or another word or two, not as a part of a longer word. None if there is no word."""
    found = _in_a_row(text)
    return found and _BEFORE_NAME + found + _AFTER_NAME


def running(text: str) -> str | None:
    """As `whole`, but also inside of a text whose script puts no space around it."""
    found = _in_a_row(text) if is_telling(text) else None
    if found is None:
        return whole(text)
    before = "" if _UNSPACED.match(words(text)[0]) else _BEFORE_NAME
    return before + found + ("" if _UNSPACED.match(words(text)[-1][-1]) else _AFTER_NAME)


def inflected(text: str) -> str | None:
    """As `running`, but also where an ending stands behind it."""
    found = running(text)
    if found is None or not found.endswith(_AFTER_NAME):
        return found
    last = words(text)[-1]
    ending = "" if last[-1].isdigit() else r"[^\W_]{0,3}" if len(last) >= _LEAST_INFLECTED else "s?"
    return found.removesuffix(_AFTER_NAME) + ending + _AFTER_NAME


def _in_a_row(text: str) -> str | None:
    """A pattern for the words of a text, one after the other.

    At each place of a text it can go on in one way only, whatever the name: the time it takes grows with the text, and
    not with the ways to divide it.
    """
    first, *more = map(_letters, words(text)) if words(text) else ("",)
    gap = max(_LONGEST_GAP, *map(len, re.findall(r"[\W_]+", _composed(text))), 0)
    return first + "".join(_next(word, gap) for word in more) if first else None


def _next(word: str, gap: int) -> str:
    """What may stand before the next word, which ends where that begins; and the word."""
    between = rf"[\W_](?={word})|(?![\W_]{word})(?:{_ESCAPED}|(?!{_ESCAPED})[\W_])"
    return rf"(?:(?!{word})(?:{between})){{0,{gap}}}{word}"


def parts(name: str) -> list[str]:
    """What of a name is looked for by itself."""
    found = re.split(r"[\s\-]+", name)
    return [part for part in found if is_telling(part) and "".join(words(part)).lower() not in _PARTICLES]


def is_telling(text: str) -> bool:
    """Whether a text is long enough to be looked for by itself."""
    letters = "".join(words(text))
    return len(letters) >= LEAST_PART or (len(letters) == LEAST_PART - 1 and bool(_UNSPACED.match(letters)))


def mail(address: str) -> str:
    """A pattern for a mail address, which is no part of another one."""
    return _BEFORE_MAIL + _letters(address) + _AFTER_MAIL


def mail_in_file_name(address: str) -> str:
    """The same where an ending or a number may stand behind it."""
    return _BEFORE_MAIL + _letters(address) + _AFTER_NAME


def phone_exactly(number: str) -> str:
    """A pattern for an E.164 number written without breaks. Without its + it might be any other number."""
    return rf"(?<!\d)(?:{_letter('+')}|00){re.escape(number.lstrip('+'))}(?!\d)"


def phone_loosely(number: str) -> str:
    """A pattern for a phone number as people write it: with breaks, with or without the country."""
    digits = number.lstrip("+")
    least = min(len(digits), max(LEAST_DIGITS - 1, len(digits) - 3))
    last = _PHONE_BREAK.join(map(re.escape, digits[-least:]))
    return rf"(?<!\d)\(?(?:{_letter('+')}|00|0)?(?:\d{_PHONE_BREAK}){{0,3}}{last}(?!\d)"


def any_of(patterns: Iterable[str | None]) -> re.Pattern[str] | None:
    """One pattern for all of these, the longest first; None for none. The first ones are the most important."""
    kept, room = [], _MOST
    for one in dict.fromkeys(patterns):
        if one and len(one) <= room:
            kept.append(one)
            room -= len(one)
    return re.compile("|".join(sorted(kept, key=len, reverse=True)), re.IGNORECASE) if kept else None


def rough(text: str) -> str:
    """The longest plain part of a mail address or number, in small letters: a text without it cannot hold the whole."""
    return max(re.findall(r"[a-z0-9]+", text.lower(), re.ASCII), key=len, default="")
