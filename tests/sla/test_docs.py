"""The worked examples of docs/sla.md are computed, so that the page cannot be wrong."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ticketry.sla import business_time, models
from ticketry.sla.explain import Promise, duration, explain
from ticketry.sla.models import Calendar, Fact, Policy, Target

PAGE = (Path(__file__).parents[2] / "docs" / "sla.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```example\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
WORDS = {True: "met", False: "missed", None: "open"}
UNITS = {"h": 60, "min": 1}


class Reader:
    """Reads one example line by line and keeps the ticket's story so far."""

    def __init__(self) -> None:
        self.calendar = Calendar()
        self.targets: dict[int, Target] = {}
        self.facts: list[Fact] = []
        self.checked = 0

    def line(self, text: str) -> None:
        word, rest = text.split(maxsplit=1)
        if word == "calendar":
            found = re.fullmatch(r"(.+) in (\S+?)(?: with (\w\w))?", rest)
            assert found, text
            business_time.check_calendar(*found.groups())
            self.calendar = Calendar(*found.groups())
        elif word == "promise":
            priority, response, resolution = re.fullmatch(r"(\d): response (.+), resolution (.+)", rest).groups()  # type: ignore[union-attr]
            self.targets[int(priority)] = Target(minutes(response), minutes(resolution))
        elif word == "expect":
            name, expected = rest.split(maxsplit=1)
            assert self.tell(name) == expected
            self.checked += 1
        else:
            self.facts.append(self.fact(text))

    def fact(self, text: str) -> Fact:
        at = datetime.strptime(text[:16], "%Y-%m-%d %H:%M").replace(tzinfo=ZoneInfo(self.calendar.time_zone))
        status, priority, responded = None, None, False
        for word in text[16:].strip().split(", "):
            if word == "answer":
                responded = True
            elif word.startswith("priority "):
                priority = int(word.removeprefix("priority "))
            else:
                status = word
        return Fact(at.astimezone(UTC), status, priority, responded)

    def tell(self, name: str) -> str:
        policy = Policy(None, 1, "Example", self.targets, self.calendar)
        cycle = explain(policy, self.facts, self.facts[-1].at).cycles[-1]
        promise: Promise = getattr(cycle, name)
        result = WORDS[promise.met] if promise.target_seconds is not None else "none"
        due = promise.due_at and promise.due_at.astimezone(ZoneInfo(self.calendar.time_zone))
        return f"{result}{f', due {due:%Y-%m-%d %H:%M}' if due else ''}, spent {duration(promise.elapsed_seconds)}"


def minutes(text: str) -> int | None:
    if text == "none":
        return None
    number, unit = text.split()
    return int(number) * UNITS[unit]


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_is_right(example: str) -> None:
    reader = Reader()
    for text in example.splitlines():
        reader.line(text)
    assert reader.checked


def test_every_calendar_in_the_table_is_valid() -> None:
    table = PAGE.split("| you want | write |")[1].split("\n\n")[0]
    expressions = re.findall(r"\| `([^`]+)`", table)
    assert len(expressions) == 7
    for expression in expressions:
        business_time.check_calendar(expression, "Europe/Berlin", "DE")


def test_the_place_of_a_fault_is_as_the_page_says() -> None:
    with pytest.raises(business_time.CalendarError, match="line 1, column 7: expected "):
        business_time.check_calendar("Mo-Fr 9-", "UTC")


def test_the_numbers_on_the_page_are_the_code_s() -> None:
    assert "twenty years" in PAGE
    assert business_time.LOOK_AHEAD_YEARS == 20
    assert timedelta(seconds=business_time.LOOK_AHEAD_SECONDS) // timedelta(days=365) == 20
    for reason in (
        business_time.OPEN_HOURS,
        business_time.CLOSED_HOURS,
        business_time.PUBLIC_HOLIDAY,
        business_time.CLOSED_DAY,
    ):
        assert f"`{reason}`" in PAGE
    assert f"`{models.WAITING_ON_CUSTOMER}`" in PAGE
