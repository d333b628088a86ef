"""A house with a file store, for the tests of erasure."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import House, MovedClock, _found, run_with, serve


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the file store."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def house(database_url: str, files: Path) -> Iterator[House]:
    """The server and the cast of this module."""
    clock = MovedClock()
    cast = run_with(database_url, _found)
    for url in serve(database_url, clock, files_dir=files):
        house = House(url, database_url, clock, cast)
        yield house
        house.close()
