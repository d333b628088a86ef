"""What /metrics says of webhooks."""

import re

import pytest
from conftest import House
from webhooks.receiving import Receiver, eventually, failing, hook, settled, tried, well, working

from ticketry.web import health


def figure(house: House, name: str) -> float:
    """The value of a figure, 0 while it is not told."""
    text = house.client(None).get("/metrics").text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FIGURES_KEPT", 0.0)


def test_what_waits_and_what_came_of_it(house: House, receiver: Receiver) -> None:
    attempts = {result: f'ticketry_webhook_attempts_total{{result="{result}"}}' for result in ("success", "failure")}
    delivered = 'ticketry_webhook_deliveries_total{status="delivered"}'
    before = {name: figure(house, name) for name in (*attempts.values(), delivered)}
    assert figure(house, "ticketry_webhook_pending") == figure(house, "ticketry_webhook_oldest_seconds") == 0
    webhook = hook(house, receiver.url)
    receiver.answer = failing(500)
    with working(house):
        house.ticket()
        assert eventually(lambda: tried(house, webhook) == 1)
        house.clock.advance(seconds=90)
        assert figure(house, "ticketry_webhook_pending") == 1
        assert 90 <= figure(house, "ticketry_webhook_oldest_seconds") <= 100
        receiver.answer = well
        house.clock.advance(seconds=90)
        assert eventually(lambda: settled(house, webhook))
    assert figure(house, "ticketry_webhook_pending") == figure(house, "ticketry_webhook_oldest_seconds") == 0
    after = {name: figure(house, name) for name in before}
    assert after[delivered] == before[delivered] + 1
    assert after[attempts["success"]] == before[attempts["success"]] + 1
    assert after[attempts["failure"]] > before[attempts["failure"]]


def test_jobs_and_the_feed_are_told(house: House) -> None:
    house.ticket()
    house.clock.advance(seconds=60)
    assert figure(house, "ticketry_feed_oldest_seconds") >= 60
    before = figure(house, "ticketry_jobs_waiting")
    house.sql("INSERT INTO procrastinate_jobs (task_name, queue_name) VALUES ('none', 'none')")
    assert figure(house, "ticketry_jobs_waiting") == before + 1
    house.sql("DELETE FROM procrastinate_jobs WHERE task_name = 'none'")


def test_figures_from_the_database_are_not_asked_for_again_and_again(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FIGURES_KEPT", 60.0)
    assert figure(house, "ticketry_webhook_pending") == 0
    webhook = hook(house, receiver.url)
    house.client(house.cast.admin).post(f"/v1/webhooks/{webhook['id']}/test")
    assert figure(house, "ticketry_webhook_pending") == 0
