"""`ticketry worker`: background work in a process of its own."""

import asyncio
import os

import structlog

from ticketry.commands.logs import configure_logging
from ticketry.core.clock import system_clock
from ticketry.db.migrate import migrate
from ticketry.serving import Stop, database_of
from ticketry.settings import Settings
from ticketry.web.resources import make_resources
from ticketry.worker import running_worker

log = structlog.get_logger()

NICE = 10
"""Where the processor is short, requests go before background work."""


def run(settings: Settings) -> None:
    """Works until SIGTERM or Ctrl-C; a job in progress gets a few seconds to finish."""
    configure_logging(settings.log_level)
    with Stop().listening() as stop, database_of(settings) as url:
        migrate(url)
        os.nice(NICE)  # this thread alone: an embedded database that another one starts again is not slowed down
        asyncio.run(_work(settings.model_copy(update={"database_url": url}), stop))


async def _work(settings: Settings, stop: Stop) -> None:
    over, loop = asyncio.Event(), asyncio.get_running_loop()

    def obey() -> None:
        loop.call_soon_threadsafe(over.set)

    stop.listener = obey
    if stop.asked:
        obey()
    house = make_resources(settings, system_clock)
    async with house.pool, running_worker(house):
        log.info("worker runs")
        await over.wait()
    stop.listener = None
    log.info("worker stopped")
