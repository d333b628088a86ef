"""Templates that a workspace writes: checked when they are stored, and bounded by what they may be made of.

The language is Jinja2's, cut down to text, `{{ group.name }}`, `{% if %}` and a few filters. Without loops, calls and
arithmetic a template takes no longer and becomes no larger than its own length allows, and it reaches nothing but the
plain texts that it is given. The sandbox stands behind that as a second wall.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Literal

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes
from jinja2 import Template as Compiled
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ticketry.mail.wording.models import Content, Values

Part = Literal["subject", "text", "html"]
PARTS: tuple[Part, ...] = ("subject", "text", "html")
MOST_NODES = 2_000
DEEPEST = 20
LARGEST = 1_000_000
"""Characters of a rendered part."""
LONGEST_SUBJECT = 200
_FILTERS = frozenset({"capitalize", "default", "lower", "title", "trim", "truncate", "upper"})
_TESTS = frozenset({"defined", "none", "undefined"})
_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Const, nodes.If, nodes.CondExpr,
    nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Keyword,
)  # fmt: skip
_SPACES = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]+")


class TemplateFault(Exception):
    """A template that is refused: which part of it, in which line, and why."""

    def __init__(self, part: Part, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.part = part


def _environment(*, html: bool) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        autoescape=html, undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )


_TEXT, _HTML = _environment(html=False), _environment(html=True)


def check(part: Part, source: str, values: Values) -> None:
    """Raises `TemplateFault` unless the template is made of what is allowed and names only what there is."""
    names = {group: tuple(inner) if isinstance(inner, dict) else None for group, inner in values.items()}
    _check_names(part, source, tuple(names.items()))


Names = Mapping[str, tuple[str, ...] | None]
"""What there is: groups with their names, and plain texts with None."""


@lru_cache(maxsize=128)
def _check_names(part: Part, source: str, given: tuple[tuple[str, tuple[str, ...] | None], ...]) -> None:
    """What was right once is right: a template is read again only after it has not been used for long."""
    names = dict(given)
    tree = _parsed(part, source)
    for count, (node, depth) in enumerate(_walk(tree)):
        line = getattr(node, "lineno", 1) or 1
        if depth > DEEPEST or count > MOST_NODES:
            raise TemplateFault(part, line, "the template is too deeply nested or has too many parts")
        if (why := _refused(node, names)) is not None:
            raise TemplateFault(part, line, why)
    _compiled(part, source)


def _parsed(part: Part, source: str) -> nodes.Template:
    try:
        return (_HTML if part == "html" else _TEXT).parse(source)
    except TemplateSyntaxError as error:
        raise TemplateFault(part, error.lineno, str(error.message)) from None
    except RecursionError:
        raise TemplateFault(part, 1, "the template is too deeply nested") from None
    except (TemplateError, ValueError, MemoryError) as error:
        raise TemplateFault(part, 1, str(error)[:200]) from None


def _walk(node: nodes.Node, depth: int = 0) -> Iterator[tuple[nodes.Node, int]]:
    yield node, depth
    if depth <= DEEPEST and not isinstance(node, nodes.Getattr):  # which is looked at as a whole
        for child in node.iter_child_nodes():
            yield from _walk(child, depth + 1)


def _refused(node: nodes.Node, names: Names) -> str | None:
    """Why a node may not stand in a template, None if it may."""
    if not isinstance(node, _ALLOWED):
        return f"{_name(node)} is not allowed; text, {{{{ group.name }}}}, {{% if %}} and filters are"
    if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        return f"the filter {node.name} is not allowed; these are: {', '.join(sorted(_FILTERS))}"
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        return f"the test {node.name} is not allowed; these are: {', '.join(sorted(_TESTS))}"
    if isinstance(node, nodes.Getattr):
        group = node.node.name if isinstance(node.node, nodes.Name) else "…"
        return None if node.attr in (names.get(group) or ()) else f"there is no {group}.{node.attr}"
    if isinstance(node, nodes.Name):
        if inner := names.get(node.name):
            return f"{node.name} is a group: name one of {', '.join(f'{node.name}.{name}' for name in inner)}"
        return None if node.name in names and node.ctx == "load" else f"there is no {node.name}"
    return None


def _name(node: nodes.Node) -> str:
    return {"For": "{% for %}", "Call": "a call", "Getitem": "[…]"}.get(type(node).__name__, type(node).__name__)


@lru_cache(maxsize=128)
def _compiled(part: Part, source: str) -> Compiled:
    try:
        return (_HTML if part == "html" else _TEXT).from_string(source)
    except TemplateSyntaxError as error:
        raise TemplateFault(part, error.lineno, str(error.message)) from None
    except (RecursionError, SyntaxError, TemplateError, ValueError, MemoryError) as error:
        raise TemplateFault(part, 1, str(error)[:200]) from None


def render(content: Content, values: Values, html_values: Values) -> Content:
    """The mail that a template makes of these values; checked before anything is run.

    `html_values` are those for the HTML part, where a text that is HTML already is marked as such.
    """
    for part in PARTS:
        check(part, getattr(content, part), values)
    return Content(
        one_line(_rendered("subject", content.subject, values))[:LONGEST_SUBJECT],
        _rendered("text", content.text, values),
        _rendered("html", content.html, html_values),
    )


def _rendered(part: Part, source: str, values: Values) -> str:
    said: list[str] = []
    size = 0
    try:
        for piece in _compiled(part, source).generate(values):
            size += len(piece)
            if size > LARGEST:
                raise TemplateFault(part, 1, f"the mail would be longer than {LARGEST:,} characters")
            said.append(piece)
    except TemplateFault:
        raise
    except Exception as error:  # filters raise what they like, also AssertionError
        raise TemplateFault(part, 1, str(error)[:200] or type(error).__name__) from None
    return "".join(said)


def one_line(text: str) -> str:
    """A text without line breaks, control and invisible signs: fit to stand in a header."""
    return _SPACES.sub(" ", text).strip()
