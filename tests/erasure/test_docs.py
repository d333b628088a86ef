"""The examples of docs/erasure.md are run, one after the other, and answer what the page says."""

import pytest
from conftest import House
from pages import DOCS, examples, run_page

PAGE = (DOCS / "erasure.md").read_text(encoding="utf-8")


def test_every_example_answers_what_the_page_says(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(examples(PAGE)) == 5
    run_page(house, PAGE, monkeypatch)
