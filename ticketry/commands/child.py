"""One API process of a crew: what it is to do comes by standard input, `ready` goes to standard output."""

import json
import os
import signal
import socket
import sys
import threading

from ticketry.commands.logs import configure_logging
from ticketry.serving import Stop, serve_here
from ticketry.settings import Settings


def main() -> None:
    """Serve until SIGTERM, or until the parent is gone."""
    told = json.loads(sys.stdin.readline())
    settings = Settings(**told["settings"])
    configure_logging(settings.log_level)
    sockets = [socket.socket(fileno=handle) for handle in told["sockets"]]
    stop = Stop()
    with stop.listening():
        threading.Thread(target=_follow_parent, args=[stop], daemon=True).start()
        serve_here(settings, sockets, stop, lambda: _say("ready\n"))


def _say(text: str) -> None:
    os.write(1, text.encode())


def _follow_parent(stop: Stop) -> None:
    """Ends this process when the parent was killed: it must not hold the port, nor the database."""
    os.read(0, 1)
    if not stop.asked:
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
