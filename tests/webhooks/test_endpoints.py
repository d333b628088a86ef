"""The calls on webhooks: what they take, refuse and show."""

from typing import Any

import pytest
from conftest import House, serve
from kit import forbidden, mint, problem, wrong_fields
from standardwebhooks import Webhook
from webhooks.receiving import Receiver, hook

from ticketry.webhooks.endpoints import service

URL = "https://example.com/hook"
FIELDS = {
    "id", "url", "event_types", "description", "enabled", "disabled_reason", "failing_since", "last_success_at",
    "old_secret_until", "created_at", "updated_at",
}  # fmt: skip


def test_a_webhook_is_made_shown_changed_and_removed(house: House, receiver: Receiver) -> None:
    admin = house.client(house.cast.admin)
    answer = admin.post("/v1/webhooks", json={"url": URL, "event_types": ["ticket.closed", "ticket.closed"]})
    assert answer.status_code == 201
    made = answer.json()["data"]
    assert set(made) == FIELDS | {"secret"}
    assert (made["event_types"], made["enabled"], made["description"]) == (["ticket.closed"], True, None)
    Webhook(made["secret"])
    path = answer.headers["location"]
    shown = {name: made[name] for name in FIELDS}
    assert admin.get(path).json()["data"] == shown
    assert admin.get("/v1/webhooks").json()["data"] == [shown]
    changed = admin.patch(path, json={"description": "Warehouse", "event_types": [], "url": URL + "2"}).json()["data"]
    assert changed == {**shown, "description": "Warehouse", "event_types": [], "url": URL + "2"}
    assert admin.put(path, json={"description": None, "enabled": False}).json()["data"]["enabled"] is False
    assert admin.delete(path).status_code == 204
    for call in (admin.get, admin.delete):
        problem(call(path), 404, "not_found", "webhook_not_found")
    assert admin.get("/v1/webhooks").json()["meta"]["total"] == 0


def test_the_secret_is_shown_once_even_when_the_request_is_repeated(house: House, receiver: Receiver) -> None:
    admin, headers = house.client(house.cast.admin), {"Idempotency-Key": "hook-1"}
    first, again = (admin.post("/v1/webhooks", json={"url": URL}, headers=headers) for _ in range(2))
    secret = first.json()["data"]["secret"]
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["data"] == {**first.json()["data"], "secret": None}
    rows = house.sql("SELECT convert_from(body, 'UTF8') FROM idempotent_answers WHERE idempotency_key = 'hook-1'")
    assert secret not in rows[0][0]
    path = f"/v1/webhooks/{first.json()['data']['id']}"
    assert secret not in admin.get(path).text
    rotated = admin.post(f"{path}/rotate_secret").json()["data"]
    assert rotated["secret"] != secret
    assert rotated["old_secret_until"] is not None
    assert admin.post(f"{path}/rotate_secret", json={"overlap_hours": 0}).json()["data"]["old_secret_until"] is None


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"url"}),
        ({"url": None}, {"url"}),
        ({"url": ""}, {"url"}),
        ({"url": "https://example.com/" + "x" * 2000}, {"url"}),
        ({"url": "nonsense"}, {"url"}),
        ({"url": "https://a:b@example.com/"}, {"url"}),
        ({"url": URL, "event_types": ["ticket.eaten"]}, {"event_types.0"}),
        ({"url": URL, "event_types": "ticket.closed"}, {"event_types"}),
        ({"url": URL, "event_types": ["webhook.test"]}, {"event_types.0"}),
        ({"url": URL, "description": ""}, {"description"}),
        ({"url": URL, "description": "x" * 501}, {"description"}),
        ({"url": URL, "enabled": "yes"}, {"enabled"}),
        ({"url": URL, "secret": "whsec_mine"}, {"secret"}),
    ],
)
def test_bad_input_names_the_field(house: House, body: dict[str, Any], fields: set[str]) -> None:
    assert wrong_fields(house.client(house.cast.admin).post("/v1/webhooks", json=body)) == fields


def test_limits_at_their_edge(house: House, receiver: Receiver) -> None:
    base = "https://example.com/"
    made = hook(house, base + "x" * (2000 - len(base)), description="y" * 500)
    path = f"/v1/webhooks/{made['id']}"
    admin = house.client(house.cast.admin)
    assert admin.post(f"{path}/rotate_secret", json={"overlap_hours": 720}).status_code == 200
    assert wrong_fields(admin.post(f"{path}/rotate_secret", json={"overlap_hours": 721})) == {"overlap_hours"}
    assert wrong_fields(admin.post(f"{path}/redeliver", json={})) == {"since"}
    assert wrong_fields(admin.patch(path, json={"url": None})) == {"url"}
    assert wrong_fields(admin.get("/v1/webhooks/deliveries", params={"status": "lost"})) == {"status"}
    assert wrong_fields(admin.get("/v1/webhooks/deliveries", params={"since": "yesterday"})) == {"since"}


def test_a_workspace_has_only_so_many(house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_ENDPOINTS", 1)
    hook(house, URL)
    problem(
        house.client(house.cast.admin).post("/v1/webhooks", json={"url": URL}), 409, "conflict", "too_many_webhooks"
    )


def test_scopes(house: House, receiver: Receiver) -> None:
    made = hook(house, URL)
    reader, writer = (house.client(mint(house, f"webhooks:{kind}")) for kind in ("read", "write"))
    path = f"/v1/webhooks/{made['id']}"
    forbidden(writer.get("/v1/webhooks"), "webhooks:read")
    forbidden(writer.get("/v1/webhooks/deliveries"), "webhooks:read")
    forbidden(reader.post("/v1/webhooks", json={"url": URL}), "webhooks:write")
    forbidden(reader.post(f"{path}/verify"), "webhooks:write")
    forbidden(reader.post(f"{path}/test"), "webhooks:write")
    assert reader.get(path).status_code == 200
    assert writer.post(f"{path}/test").status_code == 202


def test_strangers_see_nothing(house: House, receiver: Receiver) -> None:
    made = hook(house, URL)
    delivery = house.client(house.cast.admin).post(f"/v1/webhooks/{made['id']}/test").json()["data"]["id"]
    stranger, path = house.client(house.cast.stranger), f"/v1/webhooks/{made['id']}"
    for answer in (
        stranger.get(path),
        stranger.patch(path, json={"enabled": False}),
        stranger.delete(path),
        stranger.post(f"{path}/rotate_secret"),
        stranger.post(f"{path}/test"),
        stranger.post(f"{path}/verify"),
        stranger.get(f"{path}/deliveries"),
        stranger.post(f"{path}/redeliver", json={"since": "2025-01-01T00:00:00Z"}),
    ):
        problem(answer, 404, "not_found", "webhook_not_found")
    for answer in (
        stranger.get(f"/v1/webhooks/deliveries/{delivery}"),
        stranger.post(f"/v1/webhooks/deliveries/{delivery}/redeliver"),
    ):
        problem(answer, 404, "not_found", "delivery_not_found")
    assert stranger.get("/v1/webhooks/deliveries", params={"webhook_id": made["id"]}).json()["data"] == []


def test_filters_of_deliveries(house: House, receiver: Receiver) -> None:
    first, second = hook(house, URL), hook(house, URL)
    admin = house.client(house.cast.admin)
    for webhook in (first, first, second):
        admin.post(f"/v1/webhooks/{webhook['id']}/test")
        house.clock.advance(minutes=1)

    def found(**asked: Any) -> int:
        answer = admin.get("/v1/webhooks/deliveries", params={"status": "pending", **asked})
        assert answer.status_code == 200, answer.text
        total: int = answer.json()["meta"]["total"]
        assert total == len(answer.json()["data"])
        return total

    assert (found(webhook_id=first["id"]), found(webhook_id=second["id"]), found(webhook_id="x")) == (2, 1, 0)
    assert (found(event_type="webhook.test"), found(event_type="ticket.closed")) == (3, 0)
    assert found(status="delivered", webhook_id=first["id"]) == 0
    assert found(since=house.clock.advance(minutes=-2).isoformat()) == 2
    assert found(ticket_id="ticket_x") == 0
    newest = admin.get("/v1/webhooks/deliveries", params={"per_page": 1, "webhook_id": first["id"]}).json()
    assert (newest["data"][0]["created_at"] > first["created_at"], newest["meta"]["total_pages"]) == (True, 2)
    house.clock.advance(minutes=2)


def test_only_the_operator_allows_what_is_insecure(house: House) -> None:
    """The same call to a server that was not started for development."""
    for url in serve(house.database_url, house.clock):
        guarded = House(url, house.database_url, house.clock, house.cast)
        admin = guarded.client(house.cast.admin)
        for bad in ("http://example.com/", "https://127.0.0.1/", "https://example.com:8080/"):
            assert wrong_fields(admin.post("/v1/webhooks", json={"url": bad})) == {"url"}
        made = admin.post("/v1/webhooks", json={"url": "https://example.com/"}).json()["data"]
        assert wrong_fields(admin.patch(f"/v1/webhooks/{made['id']}", json={"url": "https://[::1]/"})) == {"url"}
        admin.delete(f"/v1/webhooks/{made['id']}")
        guarded.close()
