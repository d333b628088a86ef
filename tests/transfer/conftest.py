"""A house whose files lie in a folder that the test knows."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import House

from .moving import furnished


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the file store."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def house(database_url: str, files: Path) -> Iterator[House]:
    """The server and the cast of this module."""
    with furnished(database_url, files) as house:
        yield house
