"""What is sent: the body, made from an event, and the headers that prove where it comes from."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from pydantic_core import to_json
from standardwebhooks import Webhook

from ticketry import __version__

AGENT = f"Ticketry/{__version__}"


def body_of(event_id: str, event_type: str, at: datetime, data_json: str) -> str:
    """The envelope around an event's data, as JSON text. The same event gives the same bytes every time."""
    head = to_json({"event_id": event_id, "event_type": event_type, "timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}"}).decode()
    return f'{head[:-1]},"data":{data_json}}}'


def headers_of(event_id: str, at: datetime, body: str, secrets: Sequence[str]) -> dict[str, str]:
    """The headers of an attempt made at `at` (UTC). `secrets` are those that live, the newest first.

    `webhook-signature` holds one signature a secret. `X-Ayra-Signature` has no form for two: it is of the newest, and
    while an older one lives, `X-Ayra-Signature-Previous` is of that.
    """
    signed = [Webhook(secret).sign(event_id, at, body) for secret in secrets]
    headers = {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": AGENT,
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signed),
    }
    names = ("X-Ayra-Signature", "X-Ayra-Signature-Previous")
    return headers | {name: _plain(secret, body) for name, secret in zip(names, secrets, strict=False)}


def _plain(secret: str, body: str) -> str:
    return "sha256=" + hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
