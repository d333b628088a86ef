"""What went wrong with a call, in words for the person who runs the other side."""

import socket
import ssl
from typing import Literal

import aiohttp

LONGEST = 1000


class NotAllowed(OSError):
    """The address that a connection would go to is not public."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"the address {address} {reason}")


def words_for_status(status: int) -> str | None:
    """What an answer's status means; None for success, any 2xx."""
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"It answered {status}; redirects are not followed. Set the URL to where it leads."
    return f"It answered {status}; only a status of 200 to 299 counts as received."


def words_for(failure: BaseException, seconds: float) -> str:
    """Why there was no answer."""
    return _words(failure, seconds)[:LONGEST]


def _words(failure: BaseException, seconds: float) -> str:
    inner = getattr(failure, "os_error", None) or failure
    if isinstance(failure, TimeoutError):
        return f"Timeout: no answer within {seconds:g} seconds."
    if "the address " in str(inner) and isinstance(inner, OSError):
        return f"Not allowed: {inner}. Webhooks go to public addresses only."
    if isinstance(failure, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return f"TLS: the certificate is not trusted: {_cause(failure)}"
    if isinstance(failure, aiohttp.ClientConnectorSSLError | ssl.SSLError):
        return f"TLS: no secure connection could be made: {_cause(failure)}"
    if isinstance(failure, aiohttp.ClientConnectorDNSError | socket.gaierror):
        return f"DNS: the name could not be resolved: {_cause(failure)}"
    if isinstance(inner, ConnectionRefusedError):
        return "Refused: nothing listens at that address and port."
    if isinstance(failure, aiohttp.ClientConnectorError):
        return f"Unreachable: no connection could be made: {_cause(failure)}"
    if isinstance(failure, aiohttp.ServerDisconnectedError | ConnectionError | aiohttp.ClientOSError):
        return "Broken off: the connection ended before an answer came."
    return f"No proper answer: what came is not HTTP: {_cause(failure)}"


def _cause(failure: BaseException) -> str:
    inner = getattr(failure, "certificate_error", None) or getattr(failure, "os_error", None) or failure
    said = getattr(inner, "verify_message", None) or getattr(inner, "strerror", None) or str(inner)
    return " ".join(str(said).split()) or type(inner).__name__


Kind = Literal["url", "not_allowed", "dns", "tls", "refused", "timeout", "status", "connection"]
_KINDS: dict[str, Kind] = {
    "It answered": "status",
    "Timeout:": "timeout",
    "Not allowed:": "not_allowed",
    "TLS:": "tls",
    "DNS:": "dns",
    "Refused:": "refused",
}


def kind_of(error: str | None) -> Kind | None:
    """A stable word for an error, by how its sentence begins."""
    if error is None:
        return None
    return next((kind for beginning, kind in _KINDS.items() if error.startswith(beginning)), "connection")
