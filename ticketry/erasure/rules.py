"""What an erasure leaves of a text: pure functions from what stands there to what may stay."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

from ticketry.erasure import patterns
from ticketry.erasure.places import Rule

ERASED = "[erased]"
SHORT = "…"
"""Stands for an erased word where the longer mark would not fit."""
Mode = Literal["own", "part", "mention"]
"""How a ticket stands to the person: it is theirs (or too old), they spoke on it, or it is another's."""
_LIMITS = (50, 64, 100, 200, 254, 255, 320, 500, 998, 1000, 1024, 5000, 10_000, 20_000, 50_000, 1_000_000)
"""The bounds of texts in the tables: what fitted one of them must still fit it."""
_JOINT = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
"""Where one word ends and the next begins though nothing stands between them."""
_MINTED = re.compile(
    r"\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,}|[0-9a-hjkmnp-tv-z]{26})\b", re.IGNORECASE
)
"""Ids that programs make up at random: letters in them are nobody's name."""
_QUOTED = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_WHOLE = frozenset({
    "subject", "description", "resolution_note", "tags", "custom_fields", "metadata", "external_id", "email", "phone",
    "company",
})  # fmt: skip
"""Fields of an event that hold the person's words."""
_SAID = frozenset({"body", "reason"})
_LABELS = frozenset({"category", "root_cause"})
_FREE = frozenset({"custom_fields", "metadata"})
_STAYS = frozenset({
    "id", "number", "status", "priority", "priority_label", "type", "visibility", "satisfaction_source", "assigned_to",
    "assigned_name", "agent_name", "follow_up_of", "target", "cycle", "sla", "counts", "kind", "erasure",
})  # fmt: skip
"""Fields of an event that hold ids, figures, words of the program and the names of the agency's own people."""


@dataclass(frozen=True, slots=True)
class Sought:
    """What an erasure looks for. `contact_id` is None where tickets are erased for their age: then all of them goes."""

    contact_id: str | None = None
    names: tuple[str, ...] = ()
    email: str | None = None
    phone: str | None = None
    shared_phone: bool = False
    """Whether another contact has this number too: then it is theirs as well, and stays in others' tickets."""
    others: tuple[str, ...] = ()
    """Companies and external ids."""
    former: tuple[str, ...] = ()
    """Other mail addresses: those they had before, from which they wrote, or to which mail went."""
    others_emails: tuple[str, ...] = ()
    """Those addresses, in small letters, that the team or another contact has too: they stay in others' tickets."""

    former_phones: tuple[str, ...] = ()
    """The numbers that they had before."""
    others_phones: tuple[str, ...] = ()
    """Those numbers that another contact has too."""

    @classmethod
    def of_person(cls, contact_id: str, was: Mapping[str, Any], former: Mapping[str, Sequence[str]]) -> Self:
        """What a contact's fields hold, and what they held before."""

        def before(field: str) -> tuple[str, ...]:
            return tuple(value for value in former.get(field, ()) if value != was[field])

        others = [was["company"], was["external_id"], *before("company"), *before("external_id")]
        return cls(
            contact_id, (was["name"], *before("name")), was["email"], was["phone"], False,
            tuple(text for text in others if text), before("email"), former_phones=before("phone"),
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """As it was stored."""
        given: dict[str, Any] = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
        return cls(**given)

    @property
    def emails(self) -> list[str]:
        """All mail addresses."""
        return [*([self.email] if self.email else []), *self.former]

    @property
    def public_emails(self) -> list[str]:
        """The mail addresses that are looked for everywhere: they are the person's alone."""
        return [email for email in self.emails if email.lower() not in self.others_emails]

    @property
    def phones(self) -> list[str]:
        """All phone numbers."""
        return [*([self.phone] if self.phone else []), *self.former_phones]

    @property
    def public_phones(self) -> list[str]:
        """The numbers that are looked for everywhere."""
        shared = {*self.others_phones, *([self.phone] if self.shared_phone else [])}
        return [phone for phone in self.phones if phone not in shared]

    def rough(self) -> list[str]:
        """Parts in small letters, one of which every text must hold that can hold a mention."""
        return [part for text in (*self.public_emails, *self.public_phones) if (part := patterns.rough(text))]


class Eraser:
    """Takes a person out of texts."""

    def __init__(self, sought: Sought) -> None:
        everywhere = [*map(patterns.mail, sought.public_emails), *map(patterns.phone_exactly, sought.public_phones)]
        full = [patterns.whole(name) for name in sought.names if len(patterns.words(name)) > 1]
        own: list[str | None] = [*everywhere, *map(patterns.mail, sought.emails)]
        for phone in sought.phones:
            own += [patterns.phone_exactly(phone), patterns.phone_loosely(phone)]
        own += map(patterns.inflected, sought.names)
        own += [patterns.inflected(part) for name in sought.names for part in patterns.parts(name)]
        own += [patterns.running(text) for text in sought.others if patterns.is_telling(text)]
        self.sought = sought
        self.said_in: set[str] = set()
        """Comments that hold the person's words, whoever is their author."""
        self.labels: set[str] = set()
        """Categories and root causes that go as a whole: a word of the person's, and on no ticket of anybody else."""
        self._addresses = {email.lower() for email in sought.public_emails}
        self._patterns: dict[Mode, re.Pattern[str] | None] = {
            "own": patterns.any_of(own),
            "part": patterns.any_of([*everywhere, *full]),
            "mention": patterns.any_of(everywhere),
        }
        self._in_file_names = patterns.any_of(map(patterns.mail_in_file_name, sought.public_emails))

    def mentioned(self, text: str, mode: Mode) -> bool:
        """Whether the text holds what goes on such a ticket."""
        pattern = self._patterns[mode]
        return pattern is not None and pattern.search(text) is not None

    def theirs(self, kind: str | None, id_: str | None) -> bool:
        """Whether it is the person who acts; with no person named, whether it is any customer."""
        return kind == "contact" and self.sought.contact_id in {None, id_}

    def told_by(self, key: str) -> bool:
        """Whether a program's word, in which letters, digits and words may stand together, names the person."""
        key = _MINTED.sub(" ", key)
        return any(self.mentioned(text, "own") for text in (key, _JOINT.sub(" ", key)))

    def told_in(self, answer: str) -> bool:
        """Whether a stored answer names the person, be it in the name of a file."""
        pattern = self._in_file_names
        return self.mentioned(answer, "mention") or (pattern is not None and pattern.search(answer) is not None)

    def wrote(self, address: str | None) -> bool:
        """Whether a mail from this address is the person's."""
        return address is not None and address.lower() in self._addresses

    def all_goes(self, mode: Mode) -> bool:
        """Whether the agency's words go too: those of tickets that are too old."""
        return mode == "own" and self.sought.contact_id is None

    def text(self, text: str, mode: Mode) -> str:
        """The text without mentions; it still fits where the old one fitted."""
        return self._without(self._patterns[mode], text)

    def _without(self, pattern: re.Pattern[str] | None, text: str) -> str:
        if pattern is None:
            return text
        left = pattern.sub(ERASED, text)
        limit = next((limit for limit in _LIMITS if len(text) <= limit), len(text))
        return left if len(left) <= limit else pattern.sub(SHORT, text)

    def said(self, text: str, mode: Mode, *, mine: bool) -> str:
        """What stays of somebody's words. On the person's tickets others' quotations of them go too."""
        if mine or self.all_goes(mode):
            return ERASED
        return self.text(_QUOTED.sub(f"> {ERASED}", text) if mode == "own" else text, mode)

    def column(self, rule: Rule, value: Any, mode: Mode, *, mine: bool) -> Any:
        """What stays of a column's value; `mine` if the row is the person's."""
        if value is None or (rule == "name" and not mine):
            return value
        if rule == "name":
            return ERASED
        if rule == "said":
            return self.said(value, mode, mine=mine)
        if rule == "label":
            return self._label(value, mode)
        if rule == "file":
            return self.text(self._without(self._in_file_names, value), mode)
        if rule == "event":
            return self._event("", value, "own" if self._was_theirs(value) else mode, mine)
        if mode == "own":
            return _blank(value) if rule != "gone" else None
        return self.anything(value, mode)

    def _label(self, value: str, mode: Mode) -> str:
        if mode != "own":
            return self.text(value, mode)
        return ERASED if value in self.labels else self.text(value, "part")

    def anything(self, value: Any, mode: Mode) -> Any:
        """JSON of any shape without mentions, also in its keys."""
        if isinstance(value, str):
            return self.text(value, mode)
        if isinstance(value, list):
            return [self.anything(item, mode) for item in value]
        if isinstance(value, dict):
            return {self.text(name, mode): self.anything(item, mode) for name, item in value.items()}
        return value

    def _was_theirs(self, event: dict[str, Any]) -> bool:
        """Whether the ticket was the person's when this happened, whoever has it now."""
        holders = {(event.get("ticket") or {}).get("contact_id")}
        holders |= set(((event.get("changes") or {}).get("contact_id") or {}).values())
        return self.sought.contact_id is not None and self.sought.contact_id in holders

    def _event(self, key: str, value: Any, mode: Mode, mine: bool) -> Any:
        if value is None or _stays(key):
            return value
        if key in _LABELS:
            return self.column("label", value, mode, mine=mine)
        if mode == "own" and key == "conversation_id":
            return None
        if mode == "own" and key in _WHOLE:
            return _blank(value)
        if key in _FREE:
            return self.anything(value, mode)
        if isinstance(value, str):
            return self.said(value, mode, mine=mine) if key in _SAID else self.text(value, mode)
        if isinstance(value, list):
            return [self._event(key, item, mode, mine) for item in value]
        return self._inner(key, value, mode, mine) if isinstance(value, dict) else value

    def _inner(self, key: str, value: dict[str, Any], mode: Mode, mine: bool) -> dict[str, Any]:
        if key == "attachments":
            name = str(value.get("name", ""))
            return {**value, "name": ERASED if mode == "own" or mine else self.column("file", name, mode, mine=False)}
        if key == "changes":
            return {
                field: {side: self._event(field, was, mode, mine) for side, was in change.items()}
                for field, change in value.items()
            }
        if {"type", "id", "name"} <= value.keys():
            theirs = self.theirs(value["type"], value["id"])
            return {**value, "name": ERASED} if theirs else value
        if isinstance(author := value.get("author"), dict):
            mine = self.theirs(author.get("type"), author.get("id")) or value.get("id") in self.said_in
        return {name: self._event(name, item, mode, mine) for name, item in value.items()}


def _stays(key: str) -> bool:
    return key in _STAYS or (key.endswith(("_id", "_at")) and key not in {"conversation_id", "external_id"})


def _blank(value: Any) -> Any:
    """What stands for a value that goes as a whole."""
    if isinstance(value, str):
        return ERASED
    if isinstance(value, dict):
        return {}
    return [] if isinstance(value, list) else None
