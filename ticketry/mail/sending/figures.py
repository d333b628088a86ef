"""What `/metrics` tells of mail out."""

from prometheus_client import Counter

from ticketry.db.pool import Tx
from ticketry.mail.sending import store

ATTEMPTS = Counter("ticketry_mail_attempts_total", "Attempts to hand a mail to the SMTP server.", ["outcome"])
"""Of this process."""


async def backlog(tx: Tx) -> dict[str, tuple[str, float]]:
    """How much mail of all workspaces waits, and for how long the oldest does."""
    count, since = await store.waiting(tx)
    age = max(0.0, (tx.now - since).total_seconds()) if since else 0.0
    return {
        "ticketry_mail_pending": ("Mails that wait to be sent.", count),
        "ticketry_mail_oldest_pending_seconds": ("Age of the oldest of them, seconds.", age),
    }
