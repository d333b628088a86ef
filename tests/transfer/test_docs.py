"""The examples of docs/export.md, run one after the other as a reader would run them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import House, MovedClock, run_with, serve
from conftest import _key as make_key
from pages import DOCS, check, examples, run_python

from ticketry.accounts.keys.scopes import ALL_SCOPES
from ticketry.accounts.workspaces import service as workspaces
from ticketry.db.pool import Tx
from ticketry.settings import Settings
from ticketry.transfer.folders.models import TABLES

PAGE = (DOCS / "export.md").read_text(encoding="utf-8")


class Alone:
    """What a page's examples need of a cast."""

    admin = ""


@pytest.fixture
def fresh(database_url: str) -> Iterator[House]:
    """An installation as a reader has it: an agency called My agency, a key, and nothing else."""

    async def found(tx: Tx) -> str:
        made = await workspaces.found(tx, "My agency")
        assert made is not None
        return await make_key(tx, made[0].id, "key", set(ALL_SCOPES))

    cast: Any = Alone()
    cast.admin = run_with(database_url, found)
    for url in serve(database_url, MovedClock()):
        yield House(url, database_url, MovedClock(), cast)


def test_every_example_answers_what_the_page_says(
    fresh: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: dict[str, Any] = {}
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "BASE": fresh.url, "KEY": fresh.cast.admin,
        "LC_ALL": "C.UTF-8", "TICKETRY_DATABASE_URL": fresh.database_url, "HOME": str(tmp_path),
    }  # fmt: skip
    ran = 0
    for example in examples(PAGE):
        if example.language == "python":
            check(example, run_python(fresh, example, names, monkeypatch))
        else:
            done = subprocess.run(
                ["sh", "-eu", "-c", example.code], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60,
                check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            check(example, done.stdout)
        ran += 1
    assert ran >= 6


def test_the_page_names_every_file_and_the_limit() -> None:
    for table in TABLES:
        assert f"{table.name}.ndjson" in PAGE
    assert Settings.model_fields["export_limit"].default == 4
