"""The stage of every test: a real PostgreSQL, the real application behind a real socket, a clock that we move.

A module's tests share one house (a copy of the migrated template database and a server in a thread) and one cast:
an admin, an agent, a customer, and a stranger of another workspace.
"""

import asyncio
import os
import subprocess
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
import pytest
import uvicorn
from psycopg.conninfo import make_conninfo

from ticketry.accounts.keys import service as keys
from ticketry.accounts.keys.models import KeyIn
from ticketry.accounts.keys.scopes import ALL_SCOPES, HOME_SCOPES
from ticketry.accounts.users import service as users
from ticketry.accounts.users.models import UserIn
from ticketry.accounts.workspaces import service as workspaces
from ticketry.accounts.workspaces.models import WorkspaceIn
from ticketry.app import create_app
from ticketry.contacts import service as contacts
from ticketry.contacts.models import ContactIn
from ticketry.db.embedded import embedded
from ticketry.db.migrate import migrate
from ticketry.db.pool import Tx, make_pool, unit
from ticketry.settings import Settings, load

T = TypeVar("T")
START = datetime(2025, 1, 15, 9, 0, tzinfo=UTC)


class MovedClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **units: float) -> datetime:
        """Moves on by a `timedelta(**units)`."""
        self.now += timedelta(**units)
        return self.now


def run_with(url: str, work: Callable[[Tx], Coroutine[Any, Any, T]], now: datetime = START) -> T:
    """The result of services run in one transaction on the database at `url`."""

    async def inside() -> T:
        pool = make_pool(url, 2)
        await pool.open()
        try:
            async with unit(pool, now) as tx:
                return await work(tx)
        finally:
            await pool.close()

    return asyncio.run(inside())


@dataclass
class Cast:
    """The people and keys of a test."""

    workspace_id: str
    test_workspace_id: str
    stranger_workspace_id: str
    admin: str
    """Key of the home workspace with all scopes."""
    reader: str
    """Key with every read scope and no other."""
    test_key: str
    stranger: str
    """Key of another workspace, with all the scopes that it may have."""
    agent_key: str
    """Key that acts as the agent, with all scopes but those of the agency."""
    agent_id: str = "user_jane_smith"
    other_agent_id: str = "user_bob_jones"
    customer_id: str = "contact_sam_taylor"
    stranger_user_id: str = "user_eve_stranger"
    stranger_contact_id: str = "contact_mallory"


async def _key(tx: Tx, workspace_id: str, name: str, scopes: set[str], user_id: str | None = None) -> str:
    body = KeyIn.model_validate({"name": name, "scopes": sorted(scopes), "user_id": user_id})
    secret = (await keys.create(tx, workspace_id, body, frozenset(ALL_SCOPES))).key
    assert secret is not None
    return secret


async def _found(tx: Tx) -> Cast:
    founded = await workspaces.found(tx, "Acme Agency")
    assert founded is not None
    live, test = founded
    other = await workspaces.create(tx, live.agency_id, WorkspaceIn(name="Globex"))
    client_scopes = set(ALL_SCOPES) - HOME_SCOPES
    for workspace_id, people in (
        (live.id, [("user_jane_smith", "Jane Smith"), ("user_bob_jones", "Bob Jones")]),
        (other.id, [("user_eve_stranger", "Eve Stranger")]),
    ):
        for user_id, name in people:
            body = UserIn(id=user_id, name=name, email=f"{user_id[5:]}@example.com", role="agent")
            await users.create(tx, workspace_id, body)
    await contacts.create(tx, live.id, ContactIn(id="contact_sam_taylor", name="Sam Taylor", email="sam@example.com"))
    await contacts.create(tx, other.id, ContactIn(id="contact_mallory", name="Mallory", email="mal@example.com"))
    return Cast(
        live.id,
        test.id,
        other.id,
        admin=await _key(tx, live.id, "admin", set(ALL_SCOPES)),
        reader=await _key(tx, live.id, "reader", {s for s in ALL_SCOPES if s.endswith(":read")}),
        test_key=await _key(tx, test.id, "test", client_scopes),
        stranger=await _key(tx, other.id, "stranger", client_scopes),
        agent_key=await _key(tx, live.id, "agent", client_scopes, "user_jane_smith"),
    )


@dataclass
class House:
    """A running server on a database of its own."""

    url: str
    database_url: str
    clock: MovedClock
    cast: Cast
    files: Path = Path("/nonexistent")
    """Where this server keeps attachments."""
    _clients: dict[str | None, httpx.Client] = field(default_factory=dict)

    def client(self, key: str | None) -> httpx.Client:
        """A client that sends `key` with every request; None sends none."""
        if key not in self._clients:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            self._clients[key] = httpx.Client(base_url=self.url, headers=headers, timeout=30)
        return self._clients[key]

    def run(self, work: Callable[[Tx], Coroutine[Any, Any, T]]) -> T:
        """The result of services run in one transaction, for what no call can do."""
        return run_with(self.database_url, work, self.clock())

    def sql(self, query: str, params: Any = None) -> list[tuple[Any, ...]]:
        """The rows of a query, straight from the database."""
        with psycopg.connect(self.database_url, autocommit=True) as conn:
            cursor = conn.execute(query, params)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def ticket(self, **fields: Any) -> dict[str, Any]:
        """A new ticket."""
        body = {"subject": "Refund not received", "description": "I was charged twice.", **fields}
        answer = self.client(self.cast.admin).post("/v1/tickets", json=body)
        assert answer.status_code == 201, answer.text
        ticket: dict[str, Any] = answer.json()["data"]
        return ticket

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A PostgreSQL server of this test run, its database `ticketry` migrated: the template of all others."""
    with (
        tempfile.TemporaryDirectory(prefix="ticketry-test-", dir="/tmp") as folder,
        embedded(Path(folder) / "d") as url,
    ):
        migrate(url)
        yield url


def copy_database(server_url: str) -> str:
    """The URL of a new copy of the migrated template."""
    name = f"copy_{uuid.uuid4().hex}"
    with psycopg.connect(make_conninfo(server_url, dbname="postgres"), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE ticketry")  # type: ignore[arg-type]
    return make_conninfo(server_url, dbname=name)


@pytest.fixture(scope="module")
def database_url(server_url: str) -> str:
    """A migrated, empty database for this module."""
    return copy_database(server_url)


def serve(database_url: str, clock: MovedClock, **options: Any) -> Iterator[str]:
    """Runs the application behind a socket in a thread; yields its address."""
    with tempfile.TemporaryDirectory(prefix="ticketry-files-", dir="/tmp") as folder:
        settings = {"database_url": database_url, "run_worker": False, "files_dir": folder, **options}
        yield from _serving(load(settings, {}), clock)


def _serving(settings: Settings, clock: MovedClock) -> Iterator[str]:
    config = uvicorn.Config(
        create_app(settings, clock), port=0, log_config=None, lifespan="on", http="httptools", timeout_keep_alive=75
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        threading.Event().wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def house(database_url: str) -> Iterator[House]:
    """The server and the cast of this module."""
    clock = MovedClock()
    cast = run_with(database_url, _found)
    with tempfile.TemporaryDirectory(prefix="ticketry-files-", dir="/tmp") as folder:
        for url in serve(database_url, clock, files_dir=folder):
            house = House(url, database_url, clock, cast, Path(folder))
            yield house
            house.close()


@pytest.fixture
def tiny_disk() -> Iterator[Path]:
    """A file system with room for 2 MB."""
    with tempfile.TemporaryDirectory(prefix="ticketry-full-", dir="/tmp") as folder:
        words = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder]
        if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode != 0:
            pytest.skip("only root may mount a small file system")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Numbers tests of one id (schemathesis makes one for each call): side by side, pytest runs each id only once."""
    seen: Counter[str] = Counter()
    for item in items:
        name = item.nodeid
        seen[name] += 1
        if seen[name] > 1:
            item._id = type(item.id).parse(f"{name}[{seen[name]}]")
    assert len({item.nodeid for item in items}) == len(items), "some tests would be left out"
