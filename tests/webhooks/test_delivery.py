"""Events reach their receivers: once, signed, in order, and again when it did not go well."""

import asyncio
import hashlib
import hmac
from typing import Any

import pytest
from conftest import House
from kit import close
from webhooks.receiving import Receiver, deliveries, eventually, failing, hook, settled, tried, well, working
from webhooks.test_rules import GAPS

from ticketry.db.pool import make_pool
from ticketry.webhooks.deliveries import jobs, service
from ticketry.webhooks.deliveries import store as deliveries_store


def test_what_happens_is_told_signed_and_once(house: House, receiver: Receiver) -> None:
    webhook = hook(house, f"{receiver.url}/here?a=b")
    with working(house):
        ticket = house.ticket()
        close(house, ticket, resolution_note="Done, señor 😀")
        receiver.wait(2)
        assert eventually(lambda: settled(house, webhook, 2))
    events = house.client(house.cast.admin).get(f"/v1/tickets/{ticket['id']}/events").json()["data"]
    assert [one.event_id for one in receiver.received] == [event["event_id"] for event in events]
    for one, event in zip(receiver.received, events, strict=True):
        one.verify(webhook["secret"])
        assert list(one.message) == ["event_id", "event_type", "timestamp", "data"]
        assert one.message == {name: event[name] for name in one.message}
        plain = hmac.new(webhook["secret"].encode(), one.body, hashlib.sha256).hexdigest()
        assert one.headers["x-ayra-signature"] == f"sha256={plain}"
        assert one.headers["content-type"] == "application/json"
        assert one.headers["user-agent"].startswith("Ticketry/")
        assert "x-ayra-signature-previous" not in one.headers
    listed = deliveries(house, webhook)
    assert [one["status"] for one in listed] == ["delivered"] * 2
    assert {one["event_id"] for one in listed} == {one.event_id for one in receiver.received}
    (attempt,) = listed[0]["attempts"]
    assert (attempt["number"], attempt["status_code"], attempt["answer"], attempt["error"]) == (1, 200, "thanks", None)


def test_types_are_chosen_and_other_workspaces_hear_nothing(house: House, receiver: Receiver) -> None:
    closed = hook(house, f"{receiver.url}/closed", event_types=["ticket.closed"])
    hook(house, f"{receiver.url}/off", enabled=False)
    hook(house, f"{receiver.url}/stranger", key=house.cast.stranger)
    with working(house):
        ticket = house.ticket()
        close(house, ticket)
        assert eventually(lambda: settled(house, closed))
        house.client(house.cast.stranger).post("/v1/tickets", json={"subject": "s", "description": "Secret"})
        receiver.wait(2)
    assert [(one.path, one.message["event_type"]) for one in receiver.received] == [
        ("/closed", "ticket.closed"),
        ("/stranger", "ticket.created"),
    ]
    assert receiver.received[1].message["data"]["ticket"]["description"] == "Secret"


def test_what_happened_before_it_was_made_is_not_told(house: House, receiver: Receiver) -> None:
    house.ticket()
    house.clock.advance(seconds=1)
    webhook = hook(house, receiver.url)
    with working(house):
        later = house.ticket()
        assert eventually(lambda: settled(house, webhook))
    assert [one.ticket_id for one in receiver.received] == [later["id"]]


def test_a_failure_is_tried_again_and_the_ticket_waits_in_order(house: House, receiver: Receiver) -> None:
    """Every attempt carries the same bytes and a timestamp of its own; other tickets are not held up."""
    webhook = hook(house, receiver.url)
    receiver.answer = failing(500, "out of order\x00")
    with working(house):
        ticket = house.ticket()
        receiver.wait(1)
        assert eventually(lambda: tried(house, webhook) == 1)
        receiver.answer = well
        close(house, ticket)
        other = house.ticket()
        assert eventually(lambda: len(receiver.received) == 2)
        assert receiver.received[1].ticket_id == other["id"]
        waiting = {one["event_type"]: one for one in deliveries(house, webhook, ticket_id=ticket["id"])}
        assert waiting["ticket.closed"]["attempt_count"] == 0
        assert waiting["ticket.created"]["next_attempt_at"] > waiting["ticket.created"]["attempts"][0]["started_at"]
        house.clock.advance(seconds=10)
        assert eventually(lambda: settled(house, webhook, 3))
    first, _, second, last = receiver.received
    assert (first.body, first.event_id) == (second.body, second.event_id)
    assert int(second.headers["webhook-timestamp"]) > int(first.headers["webhook-timestamp"])
    assert last.message["event_type"] == "ticket.closed"
    attempts = next(one["attempts"] for one in deliveries(house, webhook) if one["event_id"] == first.event_id)
    assert [(one["status_code"], one["answer"]) for one in attempts] == [(500, "out of order\ufffd"), (200, "thanks")]
    assert attempts[0]["error"] == "It answered 500; only a status of 200 to 299 counts as received."


def test_dead_after_the_last_try_and_alive_again_when_asked_for(house: House, receiver: Receiver) -> None:
    webhook = hook(house, receiver.url, event_types=["ticket.created", "ticket.closed"])
    receiver.answer = failing(503)
    admin = house.client(house.cast.admin)
    with working(house):
        ticket = house.ticket()
        for number, gap in GAPS.items():
            assert eventually(lambda n=number: tried(house, webhook) == n or settled(house, webhook)), number
            house.clock.advance(seconds=(gap or 60) * 11 // 10 + 1)
        assert eventually(lambda: settled(house, webhook))
        (dead,) = deliveries(house, webhook, status="dead")
        assert len(dead["attempts"]) == dead["attempt_count"] == 12
        assert dead["next_attempt_at"] is None
        assert dead["settled_at"] is not None
        receiver.answer = well
        close(house, ticket)
        assert eventually(lambda: len(deliveries(house, webhook, status="delivered")) == 1), "what waited behind it"
        again = admin.post(f"/v1/webhooks/deliveries/{dead['id']}/redeliver")
        assert again.status_code == 202
        assert again.json()["data"]["status"] == "pending"
        assert eventually(lambda: settled(house, webhook, 2))
    assert [one["status"] for one in deliveries(house, webhook)] == ["delivered"] * 2
    assert receiver.received[-1].event_id == dead["event_id"]


def test_everything_since_a_moment(house: House, receiver: Receiver) -> None:
    """What was delivered comes again, and what was never sent because the webhook was off comes too."""
    webhook = hook(house, receiver.url, event_types=["ticket.created"])
    admin, path = house.client(house.cast.admin), f"/v1/webhooks/{webhook['id']}"
    with working(house):
        house.ticket()
        house.clock.advance(minutes=1)
        since = house.clock()
        told = house.ticket()
        assert eventually(lambda: settled(house, webhook, 2))
        assert admin.patch(path, json={"enabled": False}).json()["data"]["disabled_reason"] is None
        untold = house.ticket()
        events = admin.get("/v1/events", params={"limit": 500}).json()["data"]
        relayed = "SELECT position FROM feed_cursors WHERE workspace_id = %s"
        last = house.sql("SELECT max(position) FROM events WHERE workspace_id = %s", (house.cast.workspace_id,))
        assert eventually(lambda: house.sql(relayed, (house.cast.workspace_id,)) == last)
        body = {"since": since.isoformat()}
        assert admin.post(f"{path}/redeliver", json=body).json()["error"]["code"] == "webhook_disabled"
        admin.patch(path, json={"enabled": True})
        answer = admin.post(f"{path}/redeliver", json=body)
        assert answer.status_code == 202
        assert (answer.json()["data"]["queued"], answer.json()["data"]["complete"]) == (2, True)
        receiver.wait(4)
        assert eventually(lambda: settled(house, webhook, 3))
    assert events
    assert {one.ticket_id for one in receiver.received[2:]} == {told["id"], untold["id"]}


def test_a_long_past_is_sent_again_in_pieces(house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds are taken whole, so that even more events in one second than a call looks at do not stop it."""
    monkeypatch.setattr(service, "LOOKED_AT_ONCE", 2)
    client, since = house.client(house.cast.test_key), house.clock()
    for seconds in (0, 0, 1, 1, 0, 1):
        house.clock.advance(seconds=seconds)
        assert client.post("/v1/tickets", json={"subject": "s", "description": "d"}).status_code == 201
    webhook = hook(house, receiver.url, key=house.cast.test_key)
    path, answers = f"/v1/webhooks/{webhook['id']}/redeliver", []
    while not answers or not answers[-1]["complete"]:
        body = {"since": answers[-1]["next_since"] if answers else since.isoformat()}
        answers.append(client.post(path, json=body).json()["data"])
    assert [one["queued"] for one in answers] == [2, 3, 1]
    assert client.get(f"/v1/webhooks/{webhook['id']}/deliveries").json()["meta"]["total"] == 6
    assert client.delete(f"/v1/webhooks/{webhook['id']}").status_code == 204


def test_off_keeps_what_waits_and_on_sends_it(house: House, receiver: Receiver) -> None:
    webhook = hook(house, receiver.url)
    admin, path = house.client(house.cast.admin), f"/v1/webhooks/{webhook['id']}"
    receiver.answer = failing(500)
    with working(house):
        house.ticket()
        receiver.wait(1)
        assert eventually(lambda: tried(house, webhook) == 1)
        admin.put(path, json={"enabled": False})
        house.clock.advance(hours=1)
        receiver.answer = well
        admin.put(path, json={"enabled": True})
        assert eventually(lambda: settled(house, webhook))
    assert deliveries(house, webhook)[0]["status"] == "delivered"


def test_a_deleted_webhook_gets_nothing_more(house: House, receiver: Receiver) -> None:
    webhook = hook(house, receiver.url)
    house.ticket()
    admin = house.client(house.cast.admin)
    receiver.answer = failing(500)
    with working(house):
        receiver.wait(1)
        assert eventually(lambda: tried(house, webhook) == 1)
        assert admin.delete(f"/v1/webhooks/{webhook['id']}").status_code == 204
        other = hook(house, receiver.url)
        house.clock.advance(hours=1)
        receiver.answer = well
        house.ticket()
        assert eventually(lambda: settled(house, other))
    assert len(receiver.received) == 2
    (gone,) = admin.get("/v1/webhooks/deliveries", params={"webhook_id": webhook["id"]}).json()["data"]
    assert gone["status"] == "dead"
    refusal = admin.post(f"/v1/webhooks/deliveries/{gone['id']}/redeliver")
    assert refusal.json()["error"]["code"] == "webhook_not_found"
    secrets = house.sql("SELECT secret, old_secret FROM webhook_endpoints WHERE id = %s", (webhook["id"],))
    assert secrets == [("", None)]


def test_two_secrets_live_during_a_rotation(house: House, receiver: Receiver) -> None:
    webhook = hook(house, receiver.url)
    path = f"/v1/webhooks/{webhook['id']}/rotate_secret"
    with working(house):
        rotated = house.client(house.cast.admin).post(path, json={"overlap_hours": 2}).json()["data"]
        house.ticket()
        first = receiver.wait(1)[0]
        assert rotated["secret"] != webhook["secret"]
        first.verify(webhook["secret"])
        first.verify(rotated["secret"])
        for header, secret in (("x-ayra-signature", rotated), ("x-ayra-signature-previous", webhook)):
            plain = hmac.new(secret["secret"].encode(), first.body, hashlib.sha256).hexdigest()
            assert first.headers[header] == f"sha256={plain}"
        house.clock.advance(hours=2)
        house.ticket()
        assert eventually(lambda: len(receiver.received) == 2)
    signature = receiver.received[1].headers["webhook-signature"]
    assert len(first.headers["webhook-signature"].split()) == 2
    assert len(signature.split()) == 1


def test_five_days_without_success_switch_it_off(house: House, receiver: Receiver) -> None:
    """It is told as an event to those webhooks that work, and what comes later is not queued."""
    webhook = hook(house, f"{receiver.url}/dead", event_types=["ticket.created"])
    hook(house, f"{receiver.url}/other", event_types=["webhook.disabled"])
    receiver.answers["/dead"] = failing(410, "gone")
    admin = house.client(house.cast.admin)
    with working(house):
        failed = "SELECT last_failure_at >= %s FROM webhook_endpoints WHERE id = %s"
        for days in (0, 1, 2, 3, 4):
            house.ticket()
            assert eventually(lambda: house.sql(failed, (house.clock(), webhook["id"])) == [(True,)]), days
            house.clock.advance(days=1, seconds=1)
        assert admin.get(f"/v1/webhooks/{webhook['id']}").json()["data"]["enabled"]
        house.ticket()
        assert eventually(lambda: not admin.get(f"/v1/webhooks/{webhook['id']}").json()["data"]["enabled"])
        assert eventually(lambda: any(one.path == "/other" for one in receiver.received))
    found = admin.get(f"/v1/webhooks/{webhook['id']}").json()["data"]
    assert found["disabled_reason"].startswith("No delivery succeeded for 5 days. The last one: It answered 410")
    told = next(one for one in receiver.received if one.path == "/other").message
    assert told["event_type"] == "webhook.disabled"
    assert told["data"]["webhook"]["id"] == webhook["id"]
    assert "secret" not in str(told)
    on = admin.patch(f"/v1/webhooks/{webhook['id']}", json={"enabled": True}).json()["data"]
    assert (on["enabled"], on["disabled_reason"], on["failing_since"]) == (True, None, None)


def test_a_test_message_is_delivered_like_an_event(house: House, receiver: Receiver) -> None:
    webhook = hook(house, f"{receiver.url}/mine", event_types=["ticket.rated"])
    hook(house, f"{receiver.url}/other")
    answer = house.client(house.cast.admin).post(f"/v1/webhooks/{webhook['id']}/test")
    assert answer.status_code == 202
    with working(house):
        (one,) = receiver.wait(1)
        one.verify(webhook["secret"])
        assert eventually(lambda: settled(house, webhook))
    assert one.path == "/mine"
    assert one.message["event_type"] == "webhook.test"
    (listed,) = deliveries(house, webhook)
    assert listed["id"] == answer.json()["data"]["id"]
    assert listed["status"] == "delivered"


def test_several_workers_deliver_each_once(house: House, receiver: Receiver) -> None:
    webhook = hook(house, receiver.url)
    with working(house), working(house), working(house):
        tickets = [house.ticket() for _ in range(20)]
        for ticket in tickets:
            close(house, ticket)
        assert eventually(lambda: settled(house, webhook, 40))
    assert len(receiver.received) == 40
    assert len({one.event_id for one in receiver.received}) == 40
    check_order(house, receiver, tickets)


def test_a_worker_that_comes_back_takes_up_where_it_stopped(house: House, receiver: Receiver) -> None:
    webhook = hook(house, receiver.url)
    tickets = []
    for _ in range(3):
        with working(house):
            tickets += [house.ticket() for _ in range(5)]
    with working(house):
        assert eventually(lambda: settled(house, webhook, 15))
    assert len(receiver.received) == 15
    check_order(house, receiver, tickets)


def test_what_is_too_much_for_one_call_is_finished_by_the_timer(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Switching on and deleting change some deliveries at a time, so that nobody waits long for an endpoint."""
    monkeypatch.setattr(deliveries_store, "CHANGED_AT_ONCE", 2)
    webhook = hook(house, receiver.url)
    receiver.answer = failing(500)
    with working(house):
        for _ in range(5):
            house.ticket()
        tries = "SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = %s AND tries > 0 AND status = 'pending'"
        assert eventually(lambda: house.sql(tries, (webhook["id"],)) == [(5,)])
    admin, path = house.client(house.cast.admin), f"/v1/webhooks/{webhook['id']}"

    def finish() -> None:
        async def run() -> None:
            async with make_pool(house.database_url, 2) as pool:
                await jobs.finish(pool, house.clock)

        asyncio.run(run())

    admin.patch(path, json={"enabled": False})
    house.clock.advance(hours=1)
    assert admin.patch(path, json={"enabled": True}).status_code == 200
    assert house.sql(tries, (webhook["id"],)) == [(3,)]
    finish()
    assert house.sql(tries, (webhook["id"],)) == [(0,)]
    due = "SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = %s AND next_attempt_at = %s"
    assert house.sql(due, (webhook["id"], house.clock())) == [(5,)]
    assert house.sql("SELECT taken_up_at FROM webhook_endpoints WHERE id = %s", (webhook["id"],)) == [(None,)]
    assert admin.delete(path).status_code == 204
    waiting = "SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = %s AND status = 'pending'"
    assert house.sql(waiting, (webhook["id"],)) == [(3,)]
    finish()
    assert house.sql(waiting, (webhook["id"],)) == [(0,)]


def check_order(house: House, receiver: Receiver, tickets: list[dict[str, Any]]) -> None:
    """Every event of these tickets arrived, those of a ticket in the order of its history."""
    arrived = receiver.of_tickets()
    for ticket in tickets:
        events = house.client(house.cast.admin).get(f"/v1/tickets/{ticket['id']}/events").json()["data"]
        assert arrived[ticket["id"]] == [event["event_id"] for event in events]


def test_calls_to_one_endpoint_are_bounded(house: House, receiver: Receiver) -> None:
    async def slowly(one: Any) -> Any:
        await asyncio.sleep(0.05)
        return await well(one)

    webhook = hook(house, receiver.url)
    receiver.answer = slowly
    with working(house, webhook_concurrency=3):
        for _ in range(25):
            house.ticket()
        assert eventually(lambda: settled(house, webhook, 25))
    assert receiver.most_busy == 3


def test_old_deliveries_go(house: House, receiver: Receiver) -> None:
    webhook, other = hook(house, receiver.url), hook(house, receiver.url)
    with working(house):
        house.ticket()
        assert eventually(lambda: settled(house, webhook) and settled(house, other))
    receiver.answer = failing(500)
    with working(house):
        house.ticket()
        assert eventually(lambda: tried(house, webhook) and tried(house, other))
    admin = house.client(house.cast.admin)
    admin.patch(f"/v1/webhooks/{webhook['id']}", json={"enabled": False})

    def purged() -> list[tuple[Any, ...]]:
        async def purge() -> None:
            async with make_pool(house.database_url, 2) as pool:
                await jobs.finish(pool, house.clock)
                await jobs.purge(pool, house.clock)

        asyncio.run(purge())
        query = "SELECT endpoint_id = %s, status FROM webhook_deliveries WHERE endpoint_id IN (%s, %s) ORDER BY 1, 2"
        return house.sql(query, (webhook["id"], webhook["id"], other["id"]))

    house.clock.advance(days=3)
    assert purged() == [(False, "delivered"), (False, "pending"), (True, "dead"), (True, "delivered")]
    house.clock.advance(days=27, seconds=1)
    assert purged() == [(False, "pending"), (True, "dead")]
    admin.delete(f"/v1/webhooks/{webhook['id']}")
    house.clock.advance(days=31)
    assert purged() == [(False, "pending")]
    assert not house.sql("SELECT 1 FROM webhook_endpoints WHERE id = %s", (webhook["id"],))
