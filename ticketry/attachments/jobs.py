"""The timer of attachments."""

import structlog

from ticketry.attachments import service
from ticketry.attachments.files import open_files
from ticketry.core.clock import Clock
from ticketry.core.errors import TicketryError
from ticketry.db.pool import Pool
from ticketry.settings import Settings

log = structlog.get_logger()


async def purge(pool: Pool, clock: Clock, settings: Settings) -> int:
    """Deletes files that nobody attached within a day, and those that are marked to go. Returns how many.

    A store that does not answer is no reason to lose track: what is marked stays marked until the next round.
    """
    if settings.files_dir is None and settings.s3_bucket is None:
        return 0
    try:
        return await service.purge(pool, clock, open_files(settings))
    except TicketryError as error:
        log.warning("attachments wait to be deleted", reason=error.message)
        return 0
