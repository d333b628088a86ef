"""Pages of the documentation whose examples are run against a real server, as their readers would run them.

Each block of `sh` or `python` is followed by a block of `json` or `text` with what it answers: objects may hold more,
`…` stands for anything.
"""

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

DOCS = Path(__file__).parents[1] / "docs"
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


def examples(page: str) -> list[Example]:
    """A page's examples in order: each piece of code with the output block that follows it."""
    blocks = BLOCK.findall(page)
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
        exec(compile(example.code, example.title, "exec"), names)
    return said.getvalue()


def check(example: Example, said: str) -> None:
    if example.kind == "json":
        stated, told = json.loads(example.stated), json.loads(said)
        assert as_stated(stated, told), f"{example.code}\nsays\n{json.dumps(told, indent=1, ensure_ascii=False)}"
    else:
        stated, told = example.stated.strip().splitlines(), said.strip().splitlines()
        assert as_stated(stated, told), f"{example.code}\nsays\n{said}"


def run_page(house: House, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a page's examples one after the other; each must answer what stands below it."""
    names: dict[str, Any] = {}
    try:
        for example in examples(page):
            if example.language == "sh":
                check(example, run_shell(house, example))
            else:
                check(example, run_python(house, example, names, monkeypatch))
    finally:
        for value in names.values():
            if hasattr(value, "close") and hasattr(value, "headers"):
                value.close()
