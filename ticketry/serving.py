"""The processes of a server: one API process, several of them, and the embedded database they live on."""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import IO

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ticketry.app import create_app
from ticketry.core.errors import OperatorError
from ticketry.db.embedded import EmbeddedServer
from ticketry.db.embedded_host import command_line, locked
from ticketry.settings import Settings
from ticketry.web.health import MULTIPROCESS
from ticketry.web.resources import Resources

log = structlog.get_logger()

HEAD_LIMIT = 65_536  # bytes of a request line and its headers
HEAD_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    b'{"error":{"type":"invalid_request","message":"The request headers are too large","code":"headers_too_large"}}'
)
BACKLOG = 2048  # connections that wait to be accepted; the kernel lowers it to its own limit
GRACE = 20  # seconds that requests in flight get to finish
KEEP_ALIVE = 75  # seconds an idle connection stays: longer than a proxy before us keeps it, or requests would be lost
CHILD_PATIENCE = GRACE + 15  # seconds until an API process that does not end is killed
CHILD = "ticketry.commands.child"  # the module that an API process of a crew runs
LOOK = 0.2  # seconds between two looks at the processes we keep alive
SHORT_LIFE = 5  # seconds: a process that dies younger than this is not started again at once


# ---- the wish to stop


class Stop:
    """The operator's wish to stop: the first signal asks, a second Ctrl-C no longer waits for anybody."""

    def __init__(self) -> None:
        self.asked = False
        self.forced = False
        self.listener: Callable[[], None] | None = None

    @contextmanager
    def listening(self) -> Iterator["Stop"]:
        """Take SIGTERM and SIGINT for ourselves while the block runs."""
        before = {number: signal.signal(number, self._take) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.forced = self.forced or (self.asked and number == signal.SIGINT)
        self.asked = True
        if self.listener is not None:
            self.listener()
        elif self.forced:  # still starting, or ending: whatever runs is left by its `finally` blocks
            raise KeyboardInterrupt


# ---- one API process


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose request heads are bounded: the parser would keep whatever a stranger sends."""

    head = 0

    def data_received(self, data: bytes) -> None:
        """Counts what belongs to a head that is not complete; too much of it ends the connection with 431."""
        super().data_received(data)
        self.head = self.head + len(data) if self.head >= 0 else self.head
        if self.head > HEAD_LIMIT and not self.transport.is_closing():
            self.transport.write(HEAD_REFUSAL)
            self.transport.close()

    def on_message_begin(self) -> None:
        """A new request: its head begins to count."""
        self.head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is complete; what follows is the body, which is bounded elsewhere."""
        self.head = -1
        super().on_headers_complete()


class ApiServer(uvicorn.Server):
    """uvicorn's server, which tells when it answers and leaves the signals to us."""

    def __init__(self, settings: Settings, on_ready: Callable[[], None]) -> None:
        app = create_app(settings)
        self.house: Resources = app.state.resources
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http=BoundedProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=GRACE,
            timeout_keep_alive=KEEP_ALIVE,
        )
        super().__init__(config)
        self.on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends when requests are answered."""
        await super().startup(sockets)
        self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Who waits for news gets his answer now; other requests in flight finish."""
        await self.house.news.end()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are taken by `Stop`: uvicorn would raise them again at the end, before the database has stopped."""
        yield


def serve_here(settings: Settings, sockets: list[socket.socket], stop: Stop, on_ready: Callable[[], None]) -> None:
    """Serve in this process until asked to stop; requests in flight finish."""
    server = ApiServer(settings, on_ready)

    def obey() -> None:
        server.should_exit = True
        server.force_exit = stop.forced

    stop.listener = obey
    if stop.asked:
        obey()
    try:
        server.run(sockets)
    finally:
        stop.listener = None


# ---- several API processes


@dataclass
class Member:
    """One API process of a crew, on its own sockets."""

    process: subprocess.Popen[bytes]
    sockets: list[socket.socket]
    figures: str
    born: float = field(default_factory=time.monotonic)
    ready: bool = False

    @classmethod
    def start(cls, settings: Settings, sockets: list[socket.socket], figures: str) -> "Member":
        """A new process. The settings go through a pipe, where nobody else on the machine can read a password.

        `figures` is the folder where all processes of the crew keep what /metrics tells.
        """
        handles = [one.fileno() for one in sockets]
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=handles,
            env={**os.environ, MULTIPROCESS: figures},
            process_group=0,  # Ctrl-C is for the parent, which ends its children in order
        )
        told = {"settings": settings.model_dump(mode="json"), "sockets": handles}
        assert process.stdin is not None
        process.stdin.write(json.dumps(told).encode() + b"\n")
        process.stdin.flush()  # and it stays open: its end tells the child that the parent is gone
        return cls(process, sockets, figures)

    @property
    def output(self) -> IO[bytes]:
        """Where the process says that it answers."""
        assert self.process.stdout is not None
        return self.process.stdout

    def end(self, number: int) -> None:
        """Send a signal, if the process still lives."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def forget(self) -> None:
        """Close the pipes of a process that has ended."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Crew:
    """N API processes on one port. One that dies is replaced; its sockets stay open meanwhile, so callers wait."""

    def __init__(self, settings: Settings, sockets: list[list[socket.socket]], on_ready: Callable[[], None]) -> None:
        self.settings = settings
        self.on_ready = on_ready
        self.was_ready = False
        self.figures = tempfile.TemporaryDirectory(prefix="ticketry-metrics-")
        self.members = [Member.start(settings, own, self.figures.name) for own in sockets]

    def run(self, stop: Stop) -> None:
        """Serve until asked to stop. OperatorError when a process cannot even start."""
        stop.listener = lambda: None  # looked at in every round, also while ending
        try:
            while not stop.asked:
                self._hear()
                for position, member in enumerate(self.members):
                    if member.process.poll() is not None:
                        self.members[position] = self._replaced(member)
        finally:
            self._end(stop)
            self.figures.cleanup()
            stop.listener = None

    def _hear(self) -> None:
        """Wait a moment for processes to say that they answer."""
        with selectors.DefaultSelector() as waiting:
            for member in self.members:
                if not member.ready:
                    waiting.register(member.output, selectors.EVENT_READ, member)
            for key, _ in waiting.select(LOOK) if waiting.get_map() else ():
                key.data.ready = bool(os.read(key.fd, 100))
        if all(member.ready for member in self.members):
            if not self.was_ready:
                self.was_ready = True
                self.on_ready()
            time.sleep(LOOK)

    def _replaced(self, dead: Member) -> Member:
        dead.forget()
        if not self.was_ready:
            raise OperatorError("an API process did not start; the log above tells why")
        log.error("an API process died; starting another", pid=dead.process.pid, exit_code=dead.process.returncode)
        if time.monotonic() - dead.born < SHORT_LIFE:
            time.sleep(1)
        return Member.start(self.settings, dead.sockets, dead.figures)

    def _end(self, stop: Stop) -> None:
        """Ask all to end and wait; no new connection is taken meanwhile."""
        for member in self.members:
            member.end(signal.SIGTERM)
            for one in member.sockets:
                one.close()
        deadline = time.monotonic() + CHILD_PATIENCE
        while any(member.process.poll() is None for member in self.members):
            if stop.forced or time.monotonic() > deadline:
                for member in self.members:
                    member.end(signal.SIGKILL)
            time.sleep(0.05)
        for member in self.members:
            member.forget()


# ---- the database


class Keeper:
    """Starts the embedded PostgreSQL again when its first process dies while we live on it."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="postgres keeper", daemon=True)

    def __enter__(self) -> "Keeper":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(LOOK):
            if not self._lives():
                self._revive()

    def _lives(self) -> bool:
        """Cheap enough to be asked all the time: no program is started, no connection opened."""
        try:
            pid = int((self.server.cluster / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return False
        return str(self.server.cluster) in command_line(pid)

    def _revive(self) -> None:
        log.error("the embedded PostgreSQL is gone; starting it again")
        try:
            # Under the lock: a command that starts at this moment would start a server too.
            with locked(self.server.data_dir / "postgres.start"):
                self.server.ensure_running()
            log.info("the embedded PostgreSQL runs again")
        except Exception as error:  # whatever it is, the next attempt comes in a second
            log.error("the embedded PostgreSQL did not start", error=str(error))
            self._over.wait(1)


@contextmanager
def database_of(settings: Settings) -> Iterator[str]:
    """The URL of the database to live on: the one named, or the embedded one, kept running until the block ends."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    server = EmbeddedServer(settings.data_dir)
    url = server.enter()
    try:
        with Keeper(server):
            yield url
    finally:
        server.leave()
