"""The examples of docs/erasure.md are run, one after the other, and answer what the page says."""

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
from conftest import House
from test_docs_api import BLOCK, Example, check, run_shell

PAGE = (Path(__file__).parents[2] / "docs" / "erasure.md").read_text(encoding="utf-8")


def test_every_example_answers_what_the_page_says(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = BLOCK.findall(PAGE)
    assert len(blocks) == 10
    monkeypatch.setenv("BASE", house.url)
    monkeypatch.setenv("KEY", house.cast.admin)
    names: dict[str, Any] = {}
    try:
        for (language, code), (kind, stated) in zip(blocks[::2], blocks[1::2], strict=True):
            said = io.StringIO()
            if language == "sh":
                said.write(run_shell(house, Example(language, code, kind, stated)))
            else:
                with contextlib.redirect_stdout(said):
                    exec(compile(code, "docs/erasure.md", "exec"), names)
            check(Example(language, code, kind, stated), said.getvalue())
    finally:
        names["api"].close()
