"""The examples of docs/api.md are run, one after the other, and answer what the page says; its tables are complete."""

import re
from pathlib import Path
from typing import Any

import pytest
from conftest import House
from pages import BLOCK, DOCS, as_stated, examples, run_page

from ticketry.accounts.keys.rules import TIERS
from ticketry.core import errors
from ticketry.tickets.search.models import TicketsAsked
from ticketry.web import problems

ROOT = Path(__file__).parents[1]
PAGE = (DOCS / "api.md").read_text(encoding="utf-8")


def test_every_example_answers_what_the_page_says(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page(house, PAGE, monkeypatch)


def test_the_page_has_examples_of_both_kinds() -> None:
    languages = [example.language for example in examples(PAGE)]
    assert languages.count("sh") >= 10
    assert languages.count("python") >= 12
    assert set(BLOCK.findall(PAGE)[0][:1]) <= {"", "sh"}


@pytest.mark.parametrize(
    ("stated", "told", "right"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True), ({"a": 1}, {}, False), ({"a": 1}, {"a": True}, False),
        ([], [1], False), ([{"a": "x…"}], [{"a": "xyz", "b": 1}], True), ("a…c", "abd", False), (None, 0, False),
    ],
    ids=str,
)  # fmt: skip
def test_what_counts_as_stated(stated: Any, told: Any, right: bool) -> None:
    assert as_stated(stated, told) is right


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_table_of_conditions_is_complete() -> None:
    named = set(re.findall(r"`(\w+)`", section("Find tickets")))
    assert set(TicketsAsked.model_fields) - {"page", "per_page", "cursor"} <= named


def test_the_table_of_tiers_is_the_codes() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (\S+) \|$", section("Limits"), re.MULTILINE)
    told = {tier: [None if n == "unlimited" else int(n.replace(",", "")) for n in limits] for tier, *limits in rows}
    assert told == {tier: list(allowance) for tier, allowance in TIERS.items()}


def test_the_table_of_errors_names_every_code_with_its_status() -> None:
    """Every code that the program raises stands in the table, and no other."""
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \| (.+?) \|", section("Errors"), re.MULTILINE)
    told = {code: (int(status), kind) for status, kind, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    raised = raised_codes()
    assert set(raised) <= set(told), set(raised) - set(told)
    assert set(told) <= set(raised), set(told) - set(raised)
    for code, (status, kind) in told.items():
        expected = problems.STATUS_OF_CODE.get(code, problems.STATUS_OF_KIND.get(kind, status))
        assert status == expected, code


FAMILY = "|".join(
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.TicketryError)
)
RAISE = re.compile(rf"\b(?:{FAMILY})\(\s*(f?)\"([\w{{}}]+)\"|code=\"(\w+)\"|, \"(stale_\w+)\"\)")


def raised_codes() -> set[str]:
    """Every code of an error that the API answers, read from the program's text."""
    found: set[str] = {"internal_error", "invalid_parameters", "path_not_found", "method_not_allowed"}
    for path in (ROOT / "ticketry").rglob("*.py"):
        if "commands" in path.parts or path.name == "cli.py":
            continue
        for is_f, code, given, stale in RAISE.findall(path.read_text(encoding="utf-8")):
            name = code or given or stale
            if is_f:
                room = name.partition("_")[0]
                found |= {f"{room}_email_taken", f"{room}_id_taken"}
            else:
                found.add(name)
    return found
