"""The examples of docs/mail-in.md are run, one after the other, and its tables are complete."""

import re
from typing import get_args

import pytest
from conftest import House
from pages import DOCS, run_page

from ticketry.mail.receiving import jobs, rules
from ticketry.mail.receiving.models import Outcome
from ticketry.mail.receiving.reading.reader import MOST_FILES
from ticketry.settings import Settings

PAGE = (DOCS / "mail-in.md").read_text(encoding="utf-8")


def test_the_examples_answer_as_the_page_says(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page(house, PAGE, monkeypatch)


def test_the_tables_are_complete() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert {*get_args(Outcome), "duplicate"} <= rows
    settings = {name for name in Settings.model_fields if name.startswith("imap_")}
    told = rows | {name.lower() for name in re.findall(r"TICKETRY_(IMAP_\w+)", PAGE)}
    assert settings - told - {"imap_password"} == set()
    assert {name for name in rows if name.startswith("imap_")} <= settings


def test_the_figures_are_the_codes() -> None:
    defaults = Settings(database_url="postgresql://")
    assert f"{rules.LONGEST_BODY:,} characters" in PAGE
    assert f"{defaults.mail_limit // 1024**2} MiB" in PAGE
    assert f"{defaults.mail_keep_days} days" in PAGE
    assert f"seconds between two looks, {defaults.imap_interval}" in PAGE
    assert f"more than {MOST_FILES} files" in PAGE
    assert jobs.MOST_FAILURES == 6
    assert "after six failures" in PAGE
