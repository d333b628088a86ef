"""Whether the process lives, whether it can work, and its figures. No key is asked for; nothing private is told."""

import asyncio
import os
import time

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from psycopg import Error
from psycopg_pool import PoolTimeout

from ticketry.db import migrate
from ticketry.db.pool import Tx, unit
from ticketry.web.resources import Resources, resources

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""Where the processes of one server keep their figures; set by who starts them."""

FIGURES_KEPT = 5.0
"""Seconds that figures from the database are told again: whoever asks needs no key, so asking must cost nothing."""

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """The database answers and has the schema that this program was written for; else 503."""
    house = resources(request)
    try:
        async with unit(house.pool, house.clock(), atomic=False) as tx:
            state = await migrate.schema_state_of(await tx.conn())
    except (Error, PoolTimeout):
        return JSONResponse({"status": "unavailable", "database": "unreachable"}, 503)
    told = {"database": "ok", "pending_migrations": state.pending, "unknown_migrations": state.unknown}
    return JSONResponse({"status": "ok" if state.current else "unavailable", **told}, 200 if state.current else 503)


async def _stored(house: Resources) -> bytes:
    """The figures that stand in the database, for all processes together; none while it cannot be reached."""
    asking: asyncio.Lock = house.caches.setdefault("asking for figures", asyncio.Lock())
    async with asking:  # however many ask, one connection is enough
        kept: tuple[float, bytes] = house.caches.get("figures", (0.0, b""))
        if kept[0] > time.monotonic():
            return kept[1]
        told = await _asked(house)
        house.caches["figures"] = (time.monotonic() + FIGURES_KEPT, told)
        return told


async def _asked(house: Resources) -> bytes:
    registry = CollectorRegistry()
    try:
        async with unit(house.pool, house.clock(), atomic=False) as tx:
            for figures in (*house.figures, _jobs):
                for name, (meaning, value) in (await figures(tx)).items():
                    Gauge(name, meaning, registry=registry).set(value)
    except (Error, PoolTimeout):
        return b""
    return generate_latest(registry)


async def _jobs(tx: Tx) -> dict[str, tuple[str, float]]:
    row = await tx.one(
        "SELECT count(*) FROM (SELECT FROM procrastinate_jobs WHERE status = 'todo' LIMIT 10001) AS waiting"
    )
    return {"ticketry_jobs_waiting": ("Jobs that wait for a worker.", float(row[0]) if row else 0.0)}


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    registry: CollectorRegistry = REGISTRY
    if MULTIPROCESS in os.environ:  # several API processes: whichever answers tells the sum of all
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    told = generate_latest(registry) + await _stored(resources(request))
    return Response(told, media_type=CONTENT_TYPE_LATEST)
