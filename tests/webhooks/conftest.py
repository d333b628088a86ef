"""The stage of webhooks: a house that may call this machine, whose clock begins now, since receivers look at theirs."""

from collections.abc import Iterator

import pytest
from conftest import House, MovedClock, _found, run_with, serve
from webhooks.receiving import Receiver

from ticketry.core.clock import system_clock


@pytest.fixture(scope="module")
def house(database_url: str) -> Iterator[House]:
    """The server and the cast of this module."""
    clock = MovedClock(system_clock())
    cast = run_with(database_url, _found, clock())
    for url in serve(database_url, clock, allow_insecure_webhooks=True):
        house = House(url, database_url, clock, cast)
        yield house
        house.close()


@pytest.fixture
def receiver(house: House) -> Iterator[Receiver]:
    """A server that notes what it is sent. Afterwards all webhooks are gone, so that the next test has its own."""
    house.clock.now = system_clock()
    with Receiver() as running:
        yield running
    for key in (house.cast.admin, house.cast.stranger):
        client = house.client(key)
        while found := client.get("/v1/webhooks", params={"per_page": 100}).json()["data"]:
            for webhook in found:
                client.delete(f"/v1/webhooks/{webhook['id']}")
