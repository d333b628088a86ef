"""The sockets of a server: taken early, shared by its processes, and their address."""

import errno
import socket
import sys
from collections.abc import Sequence
from typing import Any

from ticketry.core.errors import OperatorError
from ticketry.serving import BACKLOG
from ticketry.settings import Settings


def bind(host: str, port: int, copies: int = 1) -> list[list[socket.socket]]:
    """Sockets bound to every address that `host` stands for, not yet listening: one list for each process.

    Taken before any slow work, so that a taken port is told at once. OperatorError names what is wrong.
    Each process has sockets of its own on the same port (Linux), so that the kernel spreads the connections: with
    one socket for all, whichever process wakes first would take them all.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise OperatorError(f"cannot listen on {host}: {error.strerror}") from None
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    spread = copies > 1 and sys.platform == "linux"
    first = _bind_all(addresses, host, port, spread=False)
    if copies == 1:
        return [first]
    if not spread:
        return [first] * copies
    held = [(one.family, one.getsockname()) for one in first]
    _close(first)  # it showed that nobody else is there; sockets that share a port must all say so from the first on
    return [_bind_all(held, host, port, spread=True) for _ in range(copies)]


def _bind_all(addresses: Sequence[tuple[int, Any]], host: str, port: int, *, spread: bool) -> list[socket.socket]:
    """A socket for each address that this machine has; one port for all of them, also where 0 asks for any."""
    sockets: list[socket.socket] = []
    failure: OSError | None = None
    for family, (name, wanted, *rest) in addresses:
        chosen = wanted or (sockets[0].getsockname()[1] if sockets else 0)
        try:
            sockets.append(_bound(family, (name, chosen, *rest), alone=len(addresses) == 1, spread=spread))
        except OSError as error:
            failure = error
            if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:  # "localhost" without IPv6 is fine
                break
    if failure and (not sockets or failure.errno == errno.EADDRINUSE):
        _close(sockets)
        raise _cannot_listen(host, port, failure)
    return sockets


def _bound(family: int, address: Any, *, alone: bool, spread: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if spread:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6 and not alone:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def _close(sockets: Sequence[socket.socket]) -> None:
    for one in sockets:
        one.close()


def _cannot_listen(host: str, port: int, error: OSError) -> OperatorError:
    why = f"cannot listen on {host} port {port}: "
    if error.errno == errno.EADDRINUSE:
        return OperatorError(why + "another program uses this port; stop it, or choose another with --port")
    if error.errno == errno.EACCES:
        return OperatorError(why + "ports below 1024 need more rights; choose another with --port")
    return OperatorError(why + (error.strerror or str(error)))


def listen(sockets: Sequence[socket.socket], settings: Settings) -> None:
    """From here on callers are let in. Two servers that started at the same moment find out here."""
    for one in sockets:
        try:
            one.listen(BACKLOG)
        except OSError as error:
            raise _cannot_listen(settings.host, settings.port, error) from None


def address_of(host: str, sockets: Sequence[socket.socket]) -> str:
    """The address to call, for instance `http://127.0.0.1:8000`; for a server on all addresses, a local one."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"http://{f'[{name}]' if ':' in name and name[0] != '[' else name}:{sockets[0].getsockname()[1]}"
