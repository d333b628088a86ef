"""What the words of a search mean."""

import re
from datetime import date, datetime, timedelta
from typing import NamedTuple

from ticketry.core.text import like
from ticketry.tickets.rules import number_of

_PHRASE = re.compile(r'"([^"]*)"')
_SOUGHT_AS_PART = re.compile(r"[^\W_]{3}")
"""A term that holds this also finds the words that it is a part of; another one finds words that begin so. By less than
three letters or digits in a row no index finds anything: all words of the workspace would be read."""
_WITHOUT_SPACES = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]{2}")
"""Where people write without spaces (Chinese, Japanese) two characters are a word, and stand inside longer runs."""
MOST_SHORT = 2
"""Terms of such two characters in one search, for all words are read for each."""
MOST_TERMS = 16
"""Terms of one search: each is looked up in the vocabulary by itself."""
MOST_WORDS = 5_000
"""How many words a part may stand in; beyond it the search is refused, for it would be neither quick nor of use."""
MOST_BYTES = 500_000
"""What all these words may measure together: PostgreSQL takes a search of about a megabyte."""


MOST_PLAIN = 200
"""How many words a term may stand for to be found by marks."""


class Search(NamedTuple):
    """A search taken apart: all of it must be found."""

    phrases: list[str]
    numbers: list[str]
    terms: list[str]
    starts: list[str]
    patterns: list[str | None]


class Sought(NamedTuple):
    """What a search means in a workspace: a tsquery, and the words each term stands for if all are plain words."""

    query: str
    words: list[list[str]] | None


def read_search(text: str) -> Search:
    """`"exact phrases"`, ticket numbers (`TICK-1234`) and terms. A lone quotation mark means nothing."""
    phrases = [phrase for phrase in _PHRASE.findall(text) if phrase.strip()]
    words = _PHRASE.sub(" ", text).replace('"', " ").split()
    numbers = [str(number) for word in words if (number := number_of(word)) is not None]
    terms = [word for word in dict.fromkeys(words) if number_of(word) is None]
    starts = [term.lower() for term in terms]
    return Search(phrases, numbers, terms, starts, [_pattern(start) for start in starts])


def _pattern(term: str) -> str | None:
    return like(term) if _SOUGHT_AS_PART.search(term) or _WITHOUT_SPACES.fullmatch(term) else None


def is_too_much(asked: Search) -> bool:
    """Whether a search has more terms than are looked up for one request."""
    short = sum(_WITHOUT_SPACES.fullmatch(start) is not None for start in asked.starts)
    return short > MOST_SHORT or len(asked.terms) + len(asked.phrases) + len(asked.numbers) > MOST_TERMS


def whole_days(after: datetime | None, before: datetime | None) -> tuple[date | None, date | None] | None:
    """The first and the last day (UTC) that lie wholly between two instants, both included; None if there is none."""
    try:
        first = None if after is None else (after + timedelta(days=1, seconds=-1)).date()
        last = None if before is None else (before + timedelta(seconds=1)).date() - timedelta(days=1)
    except OverflowError:
        return None
    return None if first is not None and last is not None and first > last else (first, last)
