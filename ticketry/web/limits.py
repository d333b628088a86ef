"""Rate limits: fixed windows of a minute and a day, counted in the database so that all processes agree."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ticketry.core.errors import RateLimited
from ticketry.db.pool import Pool, unit

MINUTE = 60
DAY = 86_400
UNLIMITED = 2_147_483_647
"""What an unlimited key is told: the largest value that every client can hold."""


class Allowance(NamedTuple):
    """Requests a minute and a day; `None` is unlimited."""

    minute: int | None
    day: int | None


@dataclass(frozen=True, slots=True)
class Rate:
    """What the rate-limit headers say: the minute window's limit, what is left, and when it ends (Unix seconds)."""

    limit: int
    remaining: int
    reset: int


def window_end(now: datetime, seconds: int) -> int:
    """When the window that holds `now` ends, in Unix seconds."""
    return (int(now.timestamp()) // seconds + 1) * seconds


def unlimited(now: datetime) -> Rate:
    """The rate of one who is not counted."""
    return Rate(UNLIMITED, UNLIMITED, window_end(now, MINUTE))


async def count(pool: Pool, bucket: str, allowance: Allowance, now: datetime) -> Rate:
    """Counts one request of `bucket`. Raises `RateLimited` with `retry_after` (seconds) and `rate` when it is too many.

    Counted in a transaction of its own: a request that fails was a request all the same.
    """
    windows = [(MINUTE, allowance.minute), (DAY, allowance.day)]
    limited = [(seconds, limit) for seconds, limit in windows if limit is not None]
    if not limited:
        return unlimited(now)
    hits = await _add(pool, bucket, [seconds for seconds, _ in limited], now)
    rate = _rate(allowance.minute, hits.get(MINUTE, 0), now)
    for seconds, limit in reversed(limited):
        if hits[seconds] > limit:
            raise _refusal(seconds, limit, now, rate)
    return rate


def _rate(limit: int | None, hits: int, now: datetime) -> Rate:
    if limit is None:
        return unlimited(now)
    return Rate(limit, max(0, limit - hits), window_end(now, MINUTE))


def _refusal(seconds: int, limit: int, now: datetime, rate: Rate) -> RateLimited:
    wait = window_end(now, seconds) - int(now.timestamp())
    name = "minute" if seconds == MINUTE else "day"
    error = RateLimited(
        "rate_limit_exceeded",
        f"More than {limit} requests in this {name}; try again in {wait} s",
        retry_after=wait,
    )
    error.rate = Rate(rate.limit, 0, rate.reset)
    return error


async def _add(pool: Pool, bucket: str, windows: list[int], now: datetime) -> dict[int, int]:
    starts = [window_end(now, seconds) - seconds for seconds in windows]
    async with unit(pool, now, atomic=False) as tx:
        rows = await tx.all(
            """INSERT INTO rate_counters AS c (bucket, window_seconds, window_start, hits)
               SELECT %s, w, s, 1 FROM unnest(%s::int[], %s::bigint[]) AS windows (w, s)
               ON CONFLICT (bucket, window_seconds, window_start) DO UPDATE SET hits = c.hits + 1
               RETURNING window_seconds, hits""",
            (bucket, windows, starts),
        )
    return dict(rows)


async def purge(pool: Pool, now: datetime) -> int:
    """Deletes the counters of windows that ended; how many."""
    async with unit(pool, now) as tx:
        return await tx.execute(
            "DELETE FROM rate_counters WHERE window_start + window_seconds < %s", (int(now.timestamp()),)
        )
