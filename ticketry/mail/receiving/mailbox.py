"""A folder on an IMAP server. Every call blocks and belongs into a thread; `abandon` may be called from another one."""

import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from imap_tools import BaseMailBox, MailBox, MailBoxStartTls, MailBoxUnencrypted
from imap_tools.utils import check_command_status, encode_folder

from ticketry.core.errors import OperatorError
from ticketry.settings import Settings

TIMEOUT = 15
"""Seconds that the server may take for each answer. A worker that ends may have to wait for one."""
_SIZE = re.compile(rb"RFC822\.SIZE (\d+)")


class FetchFailed(Exception):
    """The server did not give a mail that it has."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the mail is, and how the way to it is protected."""

    host: str
    port: int
    tls: str
    ca_file: str | None
    user: str
    password: str
    folder: str
    move_to: str | None

    @classmethod
    def of(cls, settings: Settings) -> "Address | None":
        """The mailbox that the settings name, if any. Raises `OperatorError` if a part is missing."""
        if settings.imap_host is None:
            return None
        if settings.imap_user is None or settings.imap_password is None:
            raise OperatorError("imap_host needs imap_user and imap_password")
        return cls(
            host=settings.imap_host,
            port=settings.imap_port or (993 if settings.imap_tls == "tls" else 143),
            tls=settings.imap_tls,
            ca_file=None if settings.imap_ca_file is None else str(settings.imap_ca_file),
            user=settings.imap_user,
            password=settings.imap_password,
            folder=settings.imap_folder,
            move_to=settings.imap_move_to,
        )

    @property
    def name(self) -> str:
        """What the mailbox is called in the database."""
        return f"{self.user}@{self.host}/{self.folder}"[:500]


class Mailbox:
    """A folder, opened. Nothing is marked by looking at it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._box = _connect(address)
        try:
            self._box.login(address.user, address.password, initial_folder=None)
            self._box.folder.set(address.folder)
            found = self._box.folder.status(address.folder, ["UIDVALIDITY"])
        except BaseException:
            self.abandon()
            raise
        self.uid_validity = int(found["UIDVALIDITY"])

    def new(self) -> list[int]:
        """The mails that are to be taken in, the oldest first."""
        # Mail that is moved away needs no mark, so a mail that somebody looked at is not missed there.
        wanted = "UNDELETED" if self._address.move_to else "UNSEEN UNDELETED"
        return sorted(int(uid) for uid in self._box.uids(wanted, charset=None))

    def size(self, uid: int) -> int | None:
        """The bytes of a mail; None if it is gone."""
        for part in self._fetch(uid, "(RFC822.SIZE)"):
            text = part[0] if isinstance(part, tuple) else part
            if isinstance(text, bytes) and (found := _SIZE.search(text)):
                return int(found[1])
        return None

    def fetch(self, uid: int) -> bytes | None:
        """A mail as it came; None if it is gone."""
        return self._content(uid, "BODY.PEEK[]")

    def head(self, uid: int) -> bytes | None:
        """The headers of a mail; None if it is gone."""
        return self._content(uid, "BODY.PEEK[HEADER]")

    def _content(self, uid: int, what: str) -> bytes | None:
        answer = self._fetch(uid, f"({what})")
        for part in answer:
            if isinstance(part, tuple) and len(part) == 2:
                return bytes(part[1])
        if any(part for part in answer):
            raise FetchFailed(f"the server answered {str(answer[0])[:200]}")
        return None

    def _fetch(self, uid: int, what: str) -> list[Any]:
        status, answer = self._box.client.uid("FETCH", str(uid), what)
        if status != "OK":
            raise FetchFailed(f"the server answered {status} {str(answer)[:200]}")
        return list(answer)

    def settle(self, uid: int) -> None:
        """A mail is taken in: it is marked as seen or moved away, so that it does not come again."""
        client = self._box.client
        if self._address.move_to is None:
            check_command_status(client.uid("STORE", str(uid), "+FLAGS.SILENT", r"(\Seen)"), FetchFailed)
            return
        folder: Any = encode_folder(self._address.move_to)
        if "MOVE" in client.capabilities:
            check_command_status(client.uid("MOVE", str(uid), folder), FetchFailed)
            return
        check_command_status(client.uid("COPY", str(uid), folder), FetchFailed)
        # Not expunged: that would also delete for good what others have marked.
        check_command_status(client.uid("STORE", str(uid), "+FLAGS.SILENT", r"(\Seen \Deleted)"), FetchFailed)

    def close(self) -> None:
        """Ends the session."""
        with suppress(Exception):
            self._box.client.logout()
        self.abandon()

    def abandon(self) -> None:
        """Cuts the connection: whoever waits for the server in another thread gets an error."""
        client = self._box.client
        with suppress(OSError):
            client.sock.shutdown(socket.SHUT_RDWR)  # first: what reads in another thread holds the file
        with suppress(OSError):
            client.shutdown()


def _connect(address: Address) -> BaseMailBox:
    if address.tls == "none":
        return MailBoxUnencrypted(address.host, address.port, TIMEOUT)
    context = ssl.create_default_context(cafile=address.ca_file)
    if address.tls == "starttls":
        return MailBoxStartTls(address.host, address.port, TIMEOUT, ssl_context=context)
    return MailBox(address.host, address.port, TIMEOUT, ssl_context=context)
