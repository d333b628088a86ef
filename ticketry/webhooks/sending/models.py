"""What came of one call."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Line = Literal["good", "new", "bad"]
"""Which budget a call is on: of an endpoint that answered well last time, was never called, or failed last time."""
LINES: tuple[Line, ...] = ("good", "new", "bad")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt. `error` says in plain words what went wrong; None is success."""

    started_at: datetime
    duration_ms: int
    status_code: int | None
    answer: str | None
    error: str | None
