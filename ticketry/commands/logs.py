"""Log lines of the long-running commands."""

import logging
import sys

import structlog
from structlog.typing import Processor

CHATTY = ("uvicorn", "procrastinate", "psycopg.pool", "asyncio", "yoyo")
"""Libraries whose ordinary messages tell an operator nothing."""


def configure_logging(level: str) -> None:
    """Log lines go to standard error: readable on a terminal, else one JSON object a line."""
    shared: list[Processor] = [structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    # Plain tracebacks: the pretty ones show local variables, and so secrets.
    last: list[Processor] = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    if not sys.stderr.isatty():
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = logging.StreamHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[meta, *last]))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in CHATTY if level != "DEBUG" else ():
        logging.getLogger(name).setLevel(logging.WARNING)
