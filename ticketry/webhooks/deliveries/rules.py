"""What holds for deliveries: when to try again, when to give up, when to switch an endpoint off."""

from datetime import datetime, timedelta

from pydantic_core import to_json

from ticketry.webhooks.sending.signing import body_of

TEST_TYPE = "webhook.test"
_GAPS = (5, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600, 24 * 3600)
"""Seconds between one try and the next: 12 tries in 70.7 hours, dense at first, when a restart mends most."""
JITTER = 0.1
WINDOW = timedelta(days=3)
"""How long a delivery is tried, and how long it waits for an endpoint that is off."""
PATIENCE = timedelta(days=5)
"""How long an endpoint may fail without one success before it is switched off."""
SILENCE = timedelta(days=2)
"""How long after a failure the next one still belongs to the same trouble; tries are a day apart at the most."""
KEPT = timedelta(days=30)
"""How long what is delivered or dead stays listed."""
TRIPS_AT = 5
LONGEST_REST = 60


def next_try(tries: int, round_at: datetime, now: datetime, chance: float) -> datetime | None:
    """When to try again after `tries` failed, or None to give up. `chance`, from 0 to 1, spreads it by 10 % each way.

    `round_at` is when the first try was due: a delivery that could not be tried as often as it should have been,
    because its endpoint rested, is given up at the end of the window all the same.
    """
    if tries > len(_GAPS) or now >= round_at + WINDOW + timedelta(hours=6):
        return None
    gap = _GAPS[tries - 1] * (1 - JITTER + 2 * JITTER * chance)
    return now + timedelta(seconds=max(1, round(gap)))


def rest(failures: int) -> int:
    """Seconds that an endpoint is left alone after so many failures in a row, whichever deliveries they were of.

    One that fails now and then is not slowed. One that is dead costs one call a minute at the most.
    """
    return 0 if failures < TRIPS_AT else min(LONGEST_REST, 2 ** (failures - TRIPS_AT))


def hopeless(failing_since: datetime | None, failed_before: datetime | None, now: datetime) -> bool:
    """Whether an endpoint that fails now has failed for so long that it is switched off. Silence proves nothing:
    it must have failed before not long ago."""
    long = failing_since is not None and now - failing_since >= PATIENCE
    return long and failed_before is not None and now - failed_before <= SILENCE


def off_reason(error: str) -> str:
    """What a switched-off endpoint says of itself."""
    return f"No delivery succeeded for {PATIENCE.days} days. The last one: {error}"[:1000]


def test_body(event_id: str, endpoint_id: str, at: datetime) -> str:
    """The body of a test message."""
    data = to_json({"webhook_id": endpoint_id, "message": "A test message from Ticketry."}).decode()
    return body_of(event_id, TEST_TYPE, at, data)
