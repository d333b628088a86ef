"""The published axios client, with only its base address changed."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import House
from kit import TICKET_NOT_FOUND, complete_ticket, get

SOURCE = Path(__file__).parent / "axios"
UNREACHABLE = (
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "ERR_SOCKET_TIMEOUT",
    "E403",
    "E502",
)
PATIENCE = 120


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client and its locked dependencies in a folder of their own."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("axios")
    for name in ("package.json", "package-lock.json", "client.mjs"):
        shutil.copy(SOURCE / name, folder)
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("the package registry does not answer")
    if done.returncode and any(code in done.stderr for code in UNREACHABLE):
        pytest.skip("the package registry cannot be reached")
    assert done.returncode == 0, done.stderr
    return folder


def run(house: House, folder: Path, *calls: tuple[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """What the client saw, call by call."""
    given = {
        "TICKETRY_BASE": f"{house.url}/v1",
        "TICKETRY_KEY": house.cast.admin,
        "TICKETRY_CALLS": json.dumps(calls),
        "NO_PROXY": "127.0.0.1",
    }
    command = ["node", "client.mjs"]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **given}, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [(line["status"], line["told"]) for line in lines]


def test_no_address_is_locked() -> None:
    assert '"resolved"' not in (SOURCE / "package-lock.json").read_text()


def test_the_published_client_closes_and_reads_every_refusal(house: House, installed: Path) -> None:
    ticket = house.ticket()
    path = f"/tickets/{ticket['id']}/close"
    body = {
        "resolution_note": "Refund of $99.99 processed successfully...",
        "customer_satisfaction": 9,
        "resolution_time": 45,
        "root_cause": "system_error",
    }
    wrong, closed, again, missing = run(
        house,
        installed,
        (path, {**body, "customer_satisfaction": 11}),
        (path, body),
        (path, body),
        ("/tickets/ticket_nobody/close", {"resolution_note": None}),
    )
    assert wrong[0] == 422
    assert [entry["field"] for entry in wrong[1]["error"]["errors"]] == ["customer_satisfaction"]
    assert closed[0] == 200
    complete_ticket(closed[1]["data"])
    assert closed[1]["data"] == get(house, ticket)
    assert again[0] == 409
    assert again[1]["error"] == {
        "type": "conflict",
        "message": "Ticket is already closed",
        "code": "ticket_already_closed",
        "closed_at": closed[1]["data"]["closed_at"],
    }
    assert missing == (404, TICKET_NOT_FOUND)


def test_absent_and_null_bodies_close_too(house: House, installed: Path) -> None:
    bodies = [None, {}, {"resolution_note": None}]
    calls = [(f"/tickets/{house.ticket()['number']}/close", body) for body in bodies]
    assert [status for status, _ in run(house, installed, *calls)] == [200, 200, 200]
