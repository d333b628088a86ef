"""A ticket's published object as PostgreSQL writes it: JSON and the cells of CSV, without a detour through Python.

The text says what `tickets/rules.view` says of the same row at the same instant, and a test holds the two together.
The expressions speak of a row `t` of tickets and of the parameter `now`.
"""

from collections.abc import Mapping

from ticketry.tickets.models import PRIORITY_LABELS

MISSED = {
    name: f"(t.{name}_met IS NOT TRUE AND (t.{name}_met IS FALSE OR coalesce(t.{name}_due_at < %(now)s, false)))"
    for name in ("response", "resolution")
}
"""Whether a promise is broken as seen at `now`, see `sla/rules.seen`. Never null."""


def _met(name: str) -> str:
    return f"CASE WHEN {MISSED[name]} THEN false ELSE t.{name}_met END"


_BREACHED = f"({MISSED['response']} OR {MISSED['resolution']})"
_LABEL = f"CASE t.priority {' '.join(f'WHEN {n} THEN {label!r}' for n, label in PRIORITY_LABELS.items())} END"

_TEXTS = frozenset({
    "id", "number", "subject", "description", "priority_label", "status", "category", "contact_id", "conversation_id",
    "assigned_to", "assigned_name", "follow_up_of", "duplicate_of", "resolution_note", "satisfaction_source",
    "root_cause",
})  # fmt: skip
_INSTANTS = frozenset({
    "due_date", "created_at", "updated_at", "resolved_at", "closed_at", "response_due_at", "resolution_due_at",
    "first_response_at",
})  # fmt: skip
_TAGS = "to_jsonb(t.tags)"
_SLA: Mapping[str, str] = {
    "response_met": _met("response"),
    "resolution_met": _met("resolution"),
    "response_due_at": "t.response_due_at",
    "resolution_due_at": "t.resolution_due_at",
    "first_response_at": "t.first_response_at",
    "breached": _BREACHED,
    "paused": "t.sla_paused",
}
_FIELDS: Mapping[str, str | Mapping[str, str]] = {
    "id": "t.id",
    "number": "'TICK-' || t.number",
    "subject": "t.subject",
    "priority": "t.priority",
    "priority_label": _LABEL,
    "status": "t.status",
    "category": "t.category",
    "contact_id": "t.contact_id",
    "conversation_id": "t.conversation_id",
    "assigned_to": "t.assigned_to",
    "assigned_name": "(SELECT u.name FROM users u WHERE u.workspace_id = t.workspace_id AND u.id = t.assigned_to)",
    "follow_up_of": "t.follow_up_of",
    "duplicate_of": "t.duplicate_of",
    "due_date": "t.due_date",
    "tags": _TAGS,
    "custom_fields": "t.custom_fields",
    "metadata": "t.metadata",
    "resolution_note": "t.resolution_note",
    "customer_satisfaction": "t.customer_satisfaction",
    "satisfaction_source": "t.satisfaction_source",
    "resolution_time": "t.resolution_time",
    "root_cause": "t.root_cause",
    "sla": _SLA,
    "reopen_count": "t.reopen_count",
    "created_at": "t.created_at",
    "updated_at": "t.updated_at",
    "resolved_at": "t.resolved_at",
    "closed_at": "t.closed_at",
    "description": "t.description",
}
"""The ticket object: each field as SQL, in the order of the API."""
NEVER_NULL = frozenset({
    "id", "number", "subject", "priority", "priority_label", "status", "tags", "custom_fields", "metadata", "breached",
    "paused", "reopen_count", "created_at", "updated_at", "description",
})  # fmt: skip


_FREE_TEXT = _TEXTS - {"id", "number", "priority_label", "status", "satisfaction_source"}
"""Texts in which people may have written anything."""

_UNSEEN = r"[\u0001-\u0020\u007f-\u00a0\u00ad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]"
"""Blanks, controls, and signs without width, as a regular expression of PostgreSQL."""


def _json(name: str, value: str) -> str:
    """A value as JSON text. `to_json` writes texts and instants; numbers, booleans and JSON are it already."""
    if name in _TEXTS:
        text = f"to_json(({value})::text)::text"
    elif name in _INSTANTS:
        text = f"left(to_json({value} AT TIME ZONE 'UTC')::text, 20) || 'Z\"'"  # instants have no fractions
    else:
        text = f"({value})::text"
    return text if name in NEVER_NULL else f"coalesce({text}, 'null')"


def _object(fields: Mapping[str, str | Mapping[str, str]]) -> str:
    """An object as JSON text. `concat` copies its parts once; a chain of `||` would copy each of them many times."""
    return f"concat('{{', {_members(fields)}, '}}')"


def _members(fields: Mapping[str, str | Mapping[str, str]]) -> str:
    parts = []
    for position, (name, value) in enumerate(fields.items()):
        key = f'{"," if position else ""}"{name}":'
        if isinstance(value, str):
            parts += [f"'{key}'", _json(name, value)]
        else:
            parts += [f"'{key}{{'", _members(value), "'}'"]
    return ", ".join(parts)


def _cell(name: str, value: str) -> str:
    """A value as a cell of CSV: null is nothing."""
    if name in _FREE_TEXT:
        return _defused(f"({value})::text")
    if name in _INSTANTS:
        return f"substr(to_json({value} AT TIME ZONE 'UTC')::text, 2, 19) || 'Z'"
    return f"({value})::text"


def _defused(text: str) -> str:
    """A text that no spreadsheet takes for a formula: one that begins like it gets an apostrophe before it.

    What defusedcsv takes for such, what begins with a tab or a line's end, and wide and small signs, also behind what
    cannot be seen: programs cut it off. Numbers stay.
    """
    begins = rf"(?=[\t\r\n]|{_UNSEEN}*[-=+@|%%＝＋－＠﹦﹢﹣﹫])(?!-?[0-9,.]+$)"
    return f"regexp_replace({text}, '^{begins}', '''')"


def _cells() -> dict[str, str]:
    cells: dict[str, str] = {}
    for name, value in _FIELDS.items():
        if isinstance(value, str):
            cells[name] = _cell(name, value)
        else:
            cells |= {f"{name}_{inner}": _cell(inner, one) for inner, one in value.items()}
    return cells


TICKET_JSON = _object(_FIELDS)
"""The ticket object, see `rules.view`."""
ITEM_JSON = _object({name: value for name, value in _FIELDS.items() if name != "description"})
"""The ticket as a list shows it, see `rules.item`."""
_CELLS = _cells()
CSV_COLUMNS = tuple(_CELLS)
TICKET_CELLS = ", ".join(f"{value} AS {column}" for column, value in _CELLS.items())
"""The ticket object as cells of CSV: `sla` is spread over columns of its own."""
