"""Markdown that strangers wrote, as HTML that can do no harm."""

import re

import nh3
from markdown_it import MarkdownIt

_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
_SCHEMES = {"http", "https", "mailto", "tel"}
_ENDS = re.compile(r"\r\n?|\n")
_MOST_CELLS = 3_000
"""Of all tables of a text. A row has as many cells as the head, written or not: few signs make very many."""


def _parser() -> MarkdownIt:
    """A parser without what makes much of little: a link that is defined once can be named a thousand times."""
    made = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("strikethrough")
    made.disable(["image", "reference"])
    return made


_PLAIN, _WITH_TABLES = _parser(), _parser().enable("table")
for _one in (_PLAIN, _WITH_TABLES):
    _one.render("*It puts its rules in order at the first text*, which must not happen in two threads at once.")


def to_html(markdown: str) -> str:
    """The HTML of a Markdown text: no scripts, styles, images or frames, and links that lead to the web or to mail.

    HTML in the text stays text. Images are left out because loading one tells its owner that the mail was read. Tables
    that would become very large stay text too.
    """
    return nh3.clean(
        (_WITH_TABLES if _cells(markdown) <= _MOST_CELLS else _PLAIN).render(markdown),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )


def _cells(markdown: str) -> int:
    """At least as many as the cells of all tables."""
    lines = _ENDS.split(markdown)
    return len(lines) * (1 + max(line.count("|") for line in lines))
