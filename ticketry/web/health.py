"""Whether the process lives, whether it can work, and its figures. No key is asked for; nothing private is told."""

import os

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from psycopg import Error
from psycopg_pool import PoolTimeout

from ticketry.db import migrate
from ticketry.db.pool import unit
from ticketry.web.resources import resources

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""Where the processes of one server keep their figures; set by who starts them."""

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


@router.get("/metrics")
async def metrics() -> Response:
    """Figures for Prometheus."""
    registry: CollectorRegistry = REGISTRY
    if MULTIPROCESS in os.environ:  # several API processes: whichever answers tells the sum of all
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
