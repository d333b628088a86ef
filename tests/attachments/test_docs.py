"""The examples of docs/attachments.md are run, one after the other."""

import pytest
from conftest import House
from pages import DOCS, run_page

from ticketry.settings import Settings

PAGE = (DOCS / "attachments.md").read_text(encoding="utf-8")


def test_every_example_answers_what_the_page_says(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page(house, PAGE, monkeypatch)


def test_the_limit_told_is_the_default() -> None:
    assert f"{Settings.model_fields['upload_limit'].default:,} bytes" in PAGE
