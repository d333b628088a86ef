"""Errors: one shape on every route, in the published order, and nothing of ours inside them."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest
from conftest import House, MovedClock, serve
from kit import BODY_LIMIT, JSON, check_edge, close, forbidden, fresh_database, in_chunks, mint, problem, wrong_fields
from psycopg.conninfo import make_conninfo
from routes import Call, calls, every_route, has_body, name, takes_a_file, writes

from ticketry.accounts.keys.scopes import ALL_SCOPES
from ticketry.db.pool import Pool, make_pool
from ticketry.tickets import service
from ticketry.web import resources

every_call = pytest.mark.parametrize("call", calls(), ids=name)
every_write = pytest.mark.parametrize("call", writes(), ids=name)


@every_call
def test_without_a_key_every_route_is_401(house: House, call: Call) -> None:
    answer = house.client(None).request(call.method, call.url)
    error = problem(answer, 401, "authentication_error", "missing_api_key")
    assert error["message"] == "No API key provided"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert set(error) == {"type", "message", "code"}


@every_call
def test_with_all_scopes_but_one_every_route_is_403(house: House, call: Call, keys_lacking: dict[str, str]) -> None:
    assert call.scope is not None
    answer = house.client(keys_lacking[call.scope]).request(call.method, call.url, content=b"{", headers=JSON)
    forbidden(answer, call.scope)


@pytest.fixture(scope="module")
def keys_lacking(house: House) -> dict[str, str]:
    """Per scope, a key that has all others."""
    return {scope: mint(house, *(other for other in ALL_SCOPES if other != scope)) for scope in ALL_SCOPES}


@every_call
def test_with_one_scope_alone_every_other_route_is_403(house: House, call: Call) -> None:
    other = "analytics:read" if call.scope != "analytics:read" else "sla:write"
    answer = house.client(mint(house, other)).request(call.method, call.url)
    forbidden(answer, call.scope or "")


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", "missing_api_key"),
        ("Bearer", "invalid_api_key"),
        ("Bearer sk_live_nobody", "invalid_api_key"),
        ("Bearer nonsense", "invalid_api_key"),
        ("Bearer sk_live_\u00e9", "invalid_api_key"),
        ("Bearer " + "x" * 5000, "invalid_api_key"),
        ("Basic c2tfbGl2ZTo=", "invalid_api_key"),
        ("sk_live_nobody", "invalid_api_key"),
    ],
)
def test_a_key_that_is_none_is_401(house: House, authorization: str, code: str) -> None:
    answer = house.client(None).get("/v1/tickets/x", headers={"Authorization": authorization.encode("latin-1")})
    problem(answer, 401, "authentication_error", code)
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v2/tickets", "/v1/tickets/", "/v1/tickets/x/y/z", "/favicon.ico", "/v1/%00", "//v1"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
def test_an_unknown_path_is_404(house: House, path: str, method: str) -> None:
    for key in (None, house.cast.admin):
        problem(house.client(key).request(method, path, content=b"{"), 404, "not_found", "path_not_found")


@pytest.mark.parametrize("path", sorted({call.path for call in calls()}))
def test_another_method_is_405_and_names_those_allowed(house: House, path: str) -> None:
    """Where a pattern fits the path too (`export` could be a ticket's number), what it answers is no 405."""
    allowed = {call.method for call in calls() if call.path == path}
    url = next(call.url for call in calls() if call.path == path)
    fits = {call.method for call in calls() if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", call.path), url)}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} - fits:
        answer = house.client(house.cast.admin).request(method, url)
        problem(answer, 405, "invalid_request", "method_not_allowed")
        assert set(answer.headers["allow"].split(", ")) - {"HEAD"} == allowed


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/docs/static/swagger-ui.css"])
def test_public_paths_are_read_only(house: House, path: str) -> None:
    answer = house.client(None).post(path)
    problem(answer, 405, "invalid_request", "method_not_allowed")
    assert "GET" in answer.headers["allow"]


@every_write
def test_a_malformed_body_is_400_on_every_write(house: House, call: Call) -> None:
    if not has_body(call):
        pytest.skip("takes no body")
    answer = house.client(house.cast.admin).request(call.method, call.url, content=b"{", headers=JSON)
    problem(answer, 400, "invalid_request", "malformed_json")


@every_write
def test_another_media_type_is_415_on_every_write(house: House, call: Call) -> None:
    answer = house.client(house.cast.admin).request(
        call.method, call.url, content=b"{}", headers={"Content-Type": "text/plain"}
    )
    problem(answer, 415, "invalid_request", "unsupported_media_type")


@every_write
def test_an_oversized_body_is_413_on_every_write(house: House, call: Call) -> None:
    if takes_a_file(call):
        pytest.skip("takes a form with a file, which has its own limit: tests/attachments/test_upload_attacks.py")
    content = b" " * (BODY_LIMIT + 1)
    for sent in (content, in_chunks(content)):
        answer = house.client(house.cast.admin).request(call.method, call.url, content=sent, headers=JSON)
        problem(answer, 413, "invalid_request", "body_too_large")


@every_write
def test_an_unknown_field_is_422_on_every_write(house: House, call: Call) -> None:
    if not has_body(call):
        pytest.skip("takes no body")
    answer = house.client(house.cast.admin).request(call.method, call.url, json={"no_such_field": 1})
    assert "no_such_field" in wrong_fields(answer)


def test_a_crash_tells_nothing_but_the_request_id(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret inside")

    ticket = house.ticket()
    client = house.client(house.cast.admin)
    for function, method, path in (
        ("get", "GET", f"/v1/tickets/{ticket['id']}"),
        ("close", "PUT", f"/v1/tickets/{ticket['id']}/close"),
        ("create", "POST", "/v1/tickets"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(service, function, crash)
            body = {"subject": "a", "description": "b"} if method == "POST" else None
            answer = client.request(method, path, json=body, headers={"X-Request-Id": "mine-1"})
        error = problem(answer, 500, "api_error", "internal_error")
        assert error["request_id"] == answer.headers["x-request-id"] == "mine-1"
        assert "secret inside" not in answer.text
        assert "RuntimeError" not in answer.text
    assert client.get(f"/v1/tickets/{ticket['id']}").json()["data"] == ticket


@pytest.mark.parametrize("given", ["abc-123", "x" * 64, "~!@#$%^&*()"])
def test_a_harmless_request_id_is_sent_back(house: House, given: str) -> None:
    for path in ("/healthz", "/nowhere", "/v1/tickets/x"):
        assert house.client(None).get(path, headers={"X-Request-Id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "\u00e9", "a\tb"])
def test_any_other_request_id_is_replaced(house: House, given: str) -> None:
    answer = house.client(None).get("/healthz", headers={"X-Request-Id": given.encode("latin-1")})
    assert answer.headers["x-request-id"].startswith("req_")


def test_request_ids_differ(house: House) -> None:
    client = house.client(house.cast.admin)
    assert len({client.get("/v1/tickets/x").headers["x-request-id"] for _ in range(20)}) == 20


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/docs/static/swagger-ui.css", "/docs/static/none"],
)
def test_every_public_answer_has_the_headers_of_all(house: House, path: str) -> None:
    check_edge(house.client(None).get(path))
    check_edge(house.client(None).head(path))


def test_every_success_has_the_headers_of_all(house: House) -> None:
    client = house.client(house.cast.admin)
    created = client.post("/v1/tickets", json={"subject": "a", "description": "b"})
    path = f"/v1/tickets/{created.json()['data']['id']}"
    answers = [created, client.get(path), client.put(f"{path}/close"), client.get(f"{path}/events")]
    for answer in answers:
        assert answer.status_code in {200, 201}
        assert answer.headers["content-type"] == "application/json"
        check_edge(answer)


def test_checks_come_in_the_published_order(house: House) -> None:
    admin = house.client(house.cast.admin)
    ticket = house.ticket()
    path = f"/v1/tickets/{ticket['id']}/close"
    stale = {"If-Match": '"999"'}

    # 401 before all: no key, bad body, unknown ticket
    answer = house.client(None).put("/v1/tickets/x/close", content=b"{", headers={**JSON, **stale})
    problem(answer, 401, "authentication_error", "missing_api_key")
    # 403 before 413, 415 and 400
    reader = house.client(house.cast.reader)
    for content, headers in ((b"{", JSON), (b"{}", {}), (b" " * (BODY_LIMIT + 1), JSON)):
        forbidden(reader.put("/v1/tickets/x/close", content=content, headers=headers), "tickets:write")
    # 415, 413 and 400 before 422
    answer = admin.put(f"/v1/tickets/{'x' * 65}/close", content=b"{", headers=JSON)
    problem(answer, 400, "invalid_request", "malformed_json")
    answer = admin.put(f"/v1/tickets/{'x' * 65}/close", content=b"{}", headers={})
    problem(answer, 415, "invalid_request", "unsupported_media_type")
    # 422 before 404
    assert wrong_fields(admin.put("/v1/tickets/x/close", json={"root_cause": ""}, headers=stale)) == {"root_cause"}
    # 404 before 412
    problem(admin.put("/v1/tickets/x/close", headers=stale), 404, "not_found", "ticket_not_found")
    # 412 before 409
    close(house, ticket)
    problem(admin.put(path, headers=stale), 412, "precondition_failed", "stale_ticket")
    problem(admin.put(path), 409, "conflict", "ticket_already_closed")


def test_429_comes_after_401_and_before_403(house: House) -> None:
    admin = house.client(house.cast.admin)
    workspace = admin.post("/v1/workspaces", json={"name": "Limited"}).json()["data"]["id"]
    admin.patch(f"/v1/workspaces/{workspace}", json={"minute_limit": 1})
    expires = house.clock().isoformat()[:11] + "23:59:59Z"
    body = {"name": "k", "scopes": ["tickets:read"], "expires_at": expires}
    key = house.client(admin.post(f"/v1/workspaces/{workspace}/keys", json=body).json()["data"]["key"])
    assert key.get("/v1/tickets/x").status_code == 404
    answer = key.put("/v1/tickets/x/close", content=b"{", headers=JSON)
    problem(answer, 429, "rate_limit_error", "rate_limit_exceeded")
    moved = house.clock.now
    house.clock.now = moved.replace(hour=23, minute=59, second=59)
    try:
        assert key.get("/v1/tickets/x").status_code == 401
        answer = key.put("/v1/tickets/x/close", content=b"{", headers=JSON)
        problem(answer, 401, "authentication_error", "expired_api_key")
    finally:
        house.clock.now = moved


@contextmanager
def database_gone(server_url: str, database_url: str) -> Iterator[None]:
    """Nobody gets into the database, and those inside are thrown out."""
    database = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    with psycopg.connect(make_conninfo(server_url, dbname="postgres"), autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")  # type: ignore[arg-type]
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database,))
        try:
            yield
        finally:
            conn.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")  # type: ignore[arg-type]


def impatient_pool(url: str, size: int) -> Pool:
    pool = make_pool(url, size)
    pool.timeout = 0.3
    return pool


def test_without_its_database_the_server_is_503_and_comes_back(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "make_pool", impatient_pool)
    database_url = fresh_database(server_url)
    for url in serve(database_url, MovedClock()):
        with httpx.Client(base_url=url, headers={"Authorization": "Bearer sk_live_x"}, timeout=30) as client:
            problem(client.get("/v1/tickets/x"), 401, "authentication_error", "invalid_api_key")
            assert client.get("/readyz").status_code == 200
            with database_gone(server_url, database_url):
                for method, path in (("GET", "/v1/tickets/x"), ("PUT", "/v1/tickets/x/close"), ("POST", "/v1/keys")):
                    answer = client.request(method, path, json=None if method == "GET" else {})
                    error = problem(answer, 503, "api_error", "database_unavailable")
                    assert answer.headers["retry-after"] == str(error["retry_after"])
                assert client.get("/healthz").status_code == 200
                ready = client.get("/readyz")
                assert ready.status_code == 503
                assert ready.json()["status"] == "unavailable"
                check_edge(ready)
                problem(client.get("/nowhere"), 404, "not_found", "path_not_found")
            for _ in range(60):
                if client.get("/readyz").status_code == 200:
                    break
            problem(client.get("/v1/tickets/x"), 401, "authentication_error", "invalid_api_key")


def test_health_tells_nothing_private(house: House) -> None:
    assert house.client(None).get("/healthz").json() == {"status": "ok"}
    ready = house.client(None).get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ok"
    metrics = house.client(None).get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "ticketry_requests_total{" in metrics.text
    for private in (house.cast.workspace_id, house.cast.admin, "Acme", house.database_url):
        assert private not in metrics.text + ready.text


def test_metrics_name_routes_not_what_was_asked_for(house: House) -> None:
    ticket = house.ticket()
    close(house, ticket)
    house.client(house.cast.admin).get("/nowhere/at/all")
    text = house.client(None).get("/metrics").text
    assert 'method="PUT",route="/v1/tickets/{ticket_id}/close",status="200"' in text
    assert ticket["id"] not in text
    assert "nowhere" not in text


def test_every_error_answer_is_in_the_documented_family(house: House) -> None:
    schema = json.loads(house.client(None).get("/openapi.json").text)
    for route in every_route():
        if not getattr(route, "include_in_schema", False) or route.path in {"/openapi.json"}:
            continue
        for method in route.methods:
            answers = schema["paths"][route.path][method.lower()]["responses"]
            assert {"400", "401", "403", "413", "415", "422", "429", "500", "503"} <= set(answers)
            for status, told in answers.items():
                if int(status) >= 400:
                    assert told["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorAnswer")
