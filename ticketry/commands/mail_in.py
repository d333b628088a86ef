"""`ticketry mail receive`."""

import os
from collections.abc import AsyncIterator, Callable

import typer

from ticketry.commands import show
from ticketry.commands.database import existing, run_with_pool
from ticketry.commands.logs import configure_logging
from ticketry.commands.places import Place, find
from ticketry.core.actor import system
from ticketry.core.clock import system_clock
from ticketry.core.errors import InvalidRequest, OperatorError
from ticketry.db.pool import Pool, unit
from ticketry.mail.receiving.intake import spooled, take_in
from ticketry.mail.receiving.models import Received
from ticketry.settings import Settings
from ticketry.web.news import News
from ticketry.web.resources import Resources

PIECE = 65_536


def receive(load: Callable[[], Settings], place: Place, source: str) -> None:
    """Takes in a mail and tells what became of it. Whatever goes wrong is worth another try."""
    try:
        settings = load()
        configure_logging(settings.log_level)
        with existing(settings) as url:
            received = run_with_pool(url, lambda pool: _take(settings, url, pool, place, source))
    except InvalidRequest as error:
        _end(error, os.EX_DATAERR)
    except Exception as error:
        _end(error, os.EX_TEMPFAIL)
    else:
        typer.echo("\t".join(part for part in (received.outcome, received.number, received.mail_id) if part))


def _end(error: Exception, code: int) -> None:
    reason = " ".join(str(error).split()) or type(error).__name__
    show.note(f"ticketry: {reason}")
    raise typer.Exit(code) from None


async def _take(settings: Settings, url: str, pool: Pool, place: Place, source: str) -> Received:
    house = Resources(pool, system_clock, settings, News(url))
    async with unit(pool, system_clock()) as tx:
        workspace = await find(tx, place)
    async with spooled(_pieces(source), settings.mail_limit) as mail:
        return await take_in(house, system(workspace.id, "Mail"), mail, "command")


async def _pieces(source: str) -> AsyncIterator[bytes]:
    try:
        handle = os.dup(0) if source == "-" else os.open(source, os.O_RDONLY)
    except OSError as error:
        raise OperatorError(f"cannot read {source}: {error.strerror}") from None
    with os.fdopen(handle, "rb") as file:
        while piece := file.read(PIECE):
            yield piece
