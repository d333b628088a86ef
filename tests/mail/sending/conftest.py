"""What the tests of mail out start with."""

from collections.abc import Iterator

import pytest
from mail.sending.post import Office, office


@pytest.fixture(scope="module")
def _office() -> Iterator[Office]:
    with office() as one:
        yield one


@pytest.fixture
def post(_office: Office) -> Office:
    """An SMTP server without TLS that has nothing yet."""
    _office.clear()
    return _office
