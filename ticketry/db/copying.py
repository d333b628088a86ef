"""COPY: rows out of and into the database as bytes that PostgreSQL writes and reads itself."""

from collections.abc import AsyncGenerator
from typing import Any

from ticketry.db.pool import Tx

LINES = "(FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
"""Options for one column of JSON: a line is the value as it is, for JSON text holds no control character."""
CSV = "(FORMAT csv, HEADER)"
BLOCK = 65_536


async def copied(tx: Tx, query: str, params: dict[str, Any], options: str) -> AsyncGenerator[bytes, None]:
    """What a query finds, as COPY writes it with these options: whole lines, in blocks of about 64 KiB.

    Nothing is read ahead: the database makes rows as fast as they are taken. Closed early, the query is cancelled.
    """
    conn = await tx.conn()
    async with conn.cursor().copy(f"COPY ({query}) TO STDOUT {options}".encode(), params) as rows:
        block = bytearray()
        while line := await rows.read():
            block += line
            if len(block) >= BLOCK:
                yield bytes(block)
                block.clear()
        if block:
            yield bytes(block)
