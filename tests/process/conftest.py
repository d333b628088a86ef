"""What the tests of processes start with."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from process.program import Served


@pytest.fixture
def start(folder: Path) -> Iterator[Any]:
    """Starts servers that end with the test, before their folder goes."""
    running: list[Served] = []

    def run(*words: str) -> Served:
        running.append(Served(*words))
        return running[-1]

    yield run
    for one in running:
        one.clean_up()


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder; below /tmp, where the database's own user can reach it when root runs the tests."""
    with tempfile.TemporaryDirectory(prefix="ticketry-process-", dir="/tmp") as made:
        yield Path(made)
