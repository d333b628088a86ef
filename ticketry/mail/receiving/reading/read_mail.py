"""What is understood of a mail, in a form that goes from the process that reads it to the one that acts on it."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Self

RAW = "raw"
READ = "read.json"
FULL_TEXT = "text"
"""Names in the folder of a mail: as it came, what was understood, and its whole text if that is long."""
LONGEST_TEXT = 1_000_000
"""Characters of a mail's text that are kept in its row; the whole of a longer one is an attachment."""


@dataclass(slots=True)
class File:
    """Something that was attached. `path` is the name of the file that holds it, in the folder of the mail."""

    path: str
    name: str
    type: str


@dataclass(slots=True)
class ReadMail:
    """A mail as it was understood. Texts hold nothing that PostgreSQL cannot store.

    `problem` says in words why the mail could not be read through; then only its first headers are known.
    `reply` is the text without what it quotes, `text` with it; both are empty where there is none.
    """

    fingerprint: str = ""
    """By which the same mail is known when it comes again, in hexadecimal."""
    problem: str | None = None
    message_id: str = ""
    from_name: str = ""
    from_address: str = ""
    subject: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    media_type: str = ""
    text: str = ""
    reply: str = ""
    trimmed: bool = True
    """Whether `reply` is known to hold nothing that the mail quotes."""
    cut: bool = False
    """Whether the text is longer than `text`."""
    whole: bool = False
    """Whether it holds more files than are kept one by one, so that it is to be kept whole."""
    reported_ids: list[str] = field(default_factory=list)
    """Message ids of the mails that a report (a bounce, a receipt) is about."""
    files: list[File] = field(default_factory=list)

    def header(self, name: str) -> str:
        """The first header of this name, without case, or nothing."""
        return next(iter(self.all_of(name)), "")

    def all_of(self, *names: str) -> list[str]:
        """Every header of these names, in the order of the names."""
        return [value for name in names for key, value in self.headers if key.lower() == name.lower()]

    def to_json(self) -> str:
        """The mail as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The mail that `to_json` wrote."""
        told: dict[str, Any] = json.loads(text)
        files = [File(**one) for one in told.pop("files")]
        headers = [(name, value) for name, value in told.pop("headers")]
        return cls(files=files, headers=headers, **told)


def joined(parts: Iterable[str]) -> str:
    """Texts one below the other, with an empty line between them."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())
