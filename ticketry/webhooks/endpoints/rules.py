"""What holds for endpoints: which URLs are taken, how a secret looks, who hears of what."""

import base64
import secrets
from collections.abc import Sequence
from ipaddress import ip_address

from yarl import URL

from ticketry.core.errors import ValidationFailed, field_error
from ticketry.settings import Settings
from ticketry.webhooks.sending.addresses import why_not

SECRET_BYTES = 32


def new_secret() -> str:
    """A fresh secret in the form of Standard Webhooks: `whsec_` and 32 random bytes in base 64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def subscribes(enabled: bool, event_types: Sequence[str], event_type: str) -> bool:
    """Whether an endpoint hears of events of this type."""
    return enabled and (not event_types or event_type in event_types)


def check_url(url: str, settings: Settings) -> None:
    """Raises `ValidationFailed` if webhooks must not be sent there. A name is looked up when it is called, not here."""
    if problem := url_problem(url, settings):
        raise ValidationFailed(field_error("url", problem[0], problem[1]))


def url_problem(url: str, settings: Settings) -> tuple[str, str] | None:
    """Code and sentence for a URL that is not taken. Read by the very parser that the calls are made with."""
    if not url.isascii() or any(char <= " " or char in '\\"<>^`{|}\x7f' for char in url):
        return "invalid_url", "must be an ASCII URL without spaces; write names and signs in their encoded form"
    try:
        parsed = URL(url)
        host, port = parsed.host, parsed.port
    except ValueError:
        return "invalid_url", "is no URL"
    if parsed.scheme not in {"https", "http"} or not host or port is None:
        return "invalid_url", "must be a full URL such as https://example.com/path"
    if parsed.user is not None or parsed.password is not None or "@" in parsed.raw_authority:
        return "credentials_in_url", "must not hold a user or password; messages are signed instead"
    if parsed.raw_fragment:
        return "invalid_url", "must not have a fragment (#…), which is never sent"
    return None if settings.allow_insecure_webhooks else _insecure(parsed.scheme, host, port, settings)


def _insecure(scheme: str, host: str, port: int, settings: Settings) -> tuple[str, str] | None:
    if scheme != "https":
        return "https_only", "must begin with https://"
    if port not in ports(settings):
        return "port_not_allowed", f"must use one of the ports {settings.webhook_ports.replace(',', ', ')}"
    if host.rstrip(".").lower() == "localhost":
        return "address_not_allowed", "must be a public address"
    try:
        ip_address(host)
    except ValueError:
        return None
    reason = why_not(host)
    return ("address_not_allowed", f"must be a public address; {host} {reason}") if reason else None


def ports(settings: Settings) -> frozenset[int]:
    """The ports that the operator allows."""
    return frozenset(int(port) for port in settings.webhook_ports.split(","))
