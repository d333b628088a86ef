"""What both ways of mail read: the installation's secret."""

from ticketry.db.pool import Tx


async def secret(tx: Tx) -> bytes:
    """The installation's secret that signs message ids and reply addresses."""
    row = await tx.one("SELECT value FROM secrets WHERE name = 'mail'")
    assert row is not None
    return bytes(row[0])
