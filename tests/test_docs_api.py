"""The examples of docs/api.md are run, one after the other, and answer what the page says."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import House

from ticketry.accounts.keys.rules import TIERS
from ticketry.core import errors
from ticketry.tickets.search.models import TicketsAsked
from ticketry.web import problems

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ANY = "…"


class Example(NamedTuple):
    """A piece of code, and what stands below it."""

    language: str
    code: str
    kind: str
    stated: str

    @property
    def title(self) -> str:
        return f"{self.language}: {self.code.strip().splitlines()[0][:60]}"


def examples() -> list[Example]:
    """The page's examples in order: each piece of code with the output block that follows it."""
    blocks = BLOCK.findall(PAGE)
    found = []
    for (language, code), (kind, stated) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language in {"sh", "python"}:
            assert kind in {"json", "text"}, f"nothing is stated below: {code}"
            found.append(Example(language, code, kind, stated))
    return found


def as_stated(stated: Any, told: Any) -> bool:
    """Whether an answer holds what is stated: objects may hold more, `…` stands for anything."""
    if isinstance(stated, dict):
        return isinstance(told, dict) and all(name in told and as_stated(stated[name], told[name]) for name in stated)
    if isinstance(stated, list):
        return isinstance(told, list) and len(stated) == len(told) and all(map(as_stated, stated, told))
    if isinstance(stated, str) and ANY in stated:
        return isinstance(told, str) and re.fullmatch(".*".join(map(re.escape, stated.split(ANY))), told) is not None
    return type(stated) is type(told) and bool(stated == told)


def run_shell(house: House, example: Example) -> str:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    env = {"PATH": os.environ["PATH"], "BASE": house.url, "KEY": house.cast.admin, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["sh", "-eu", "-c", example.code], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_python(house: House, example: Example, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("BASE", house.url)
    monkeypatch.setenv("KEY", house.cast.admin)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(example.code, "docs/api.md", "exec"), names)
    return said.getvalue()


def check(example: Example, said: str) -> None:
    if example.kind == "json":
        stated, told = json.loads(example.stated), json.loads(said)
        assert as_stated(stated, told), f"{example.code}\nsays\n{json.dumps(told, indent=1, ensure_ascii=False)}"
    else:
        stated, told = example.stated.strip().splitlines(), said.strip().splitlines()
        assert as_stated(stated, told), f"{example.code}\nsays\n{said}"


def test_every_example_answers_what_the_page_says(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {}
    try:
        for example in examples():
            if example.language == "sh":
                check(example, run_shell(house, example))
            else:
                check(example, run_python(house, example, names, monkeypatch))
    finally:
        for value in names.values():
            if hasattr(value, "close") and hasattr(value, "headers"):
                value.close()


def test_the_page_has_examples_of_both_kinds() -> None:
    languages = [example.language for example in examples()]
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
