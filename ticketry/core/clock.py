"""The present instant. Everything that needs the time is given a `Clock`, so that tests can move it."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The present instant, UTC, in whole seconds: the resolution in which Ticketry stores and shows time."""
    return datetime.now(UTC).replace(microsecond=0)
