"""The examples of docs/mail.md are run, one after the other, and its tables are complete."""

import re
import threading

import pytest
from conftest import House
from mail.sending.post import messages, work
from pages import DOCS, examples, run_page
from typer.testing import CliRunner

from ticketry.cli import app
from ticketry.mail.sending import rules
from ticketry.mail.sending.models import MailStatus
from ticketry.mail.wording.defaults import AGENT_SAMPLE
from ticketry.mail.wording.models import KINDS
from ticketry.mail.wording.templates import _FILTERS
from ticketry.settings import Settings

PAGE = (DOCS / "mail.md").read_text(encoding="utf-8")


def test_the_examples_answer_as_the_page_says(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the server somebody does the background work, as the page's readers have it."""
    over = threading.Event()

    def keep_working() -> None:
        while not over.wait(0.1):
            work(house)

    worker = threading.Thread(target=keep_working)
    worker.start()
    try:
        run_page(house, PAGE, monkeypatch)
    finally:
        over.set()
        worker.join(20)
    commands = re.findall(r"^\$ ticketry (.*)$", PAGE, re.MULTILINE)
    assert commands[:2] == ["mail list", "mail show mail_…"]
    known = messages(house)[-1]["id"]
    for command in commands[:2]:
        words = [*command.replace("mail_…", known).split(), "--database-url", house.database_url]
        result = CliRunner().invoke(app, words, env={})
        assert result.exit_code == 0, result.output
        assert "[TICK-1] Solved: Refund not received" in result.output


def test_the_page_is_complete() -> None:
    assert len(examples(PAGE)) >= 4
    for kind in KINDS:
        assert f"`{kind}`" in PAGE
    for status in MailStatus.__args__:  # type: ignore[attr-defined]
        assert f"| `{status}` |" in PAGE
    for name in _FILTERS:
        assert f"`{name}`" in PAGE
    for group, names in AGENT_SAMPLE.items():
        assert f"`{group}" in PAGE
        for name in names if isinstance(names, dict) else ():
            assert f"`{name}`" in PAGE or f"`{group}.{name}`" in PAGE
    for setting in Settings.model_fields:
        if setting.startswith("smtp_") or setting == "mail_sender":
            assert f"`{setting}`" in PAGE or f"TICKETRY_{setting.upper()}" in PAGE
    assert f"at\nmost {rules.MOST_ABOUT_A_TICKET} mails about one ticket and {rules.MOST_RECEIPTS} confirm" in PAGE
