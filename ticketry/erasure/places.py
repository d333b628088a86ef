"""Where personal data stands: the one list of it. A test reads the catalogue and compares.

A column that holds text either stands in `PLACES` (an erasure goes through it row by row), in `BY_HAND` (it is emptied
in a way of its own) or in `IMPERSONAL`, with the reason why it holds nothing of a customer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Rule = Literal["words", "said", "name", "gone", "label", "file", "list", "object", "rows", "event"]
"""How a column is erased, on a ticket whose texts go / on any other that mentions the person:

- `words`: all of it goes / the mentions go;
- `said`: all of it if the person said it, else the mentions / the same;
- `name`: the name, if the row is the person's / the same;
- `gone`: becomes null / the mentions go;
- `label`: a word that things are counted by: stays, but for mentions, and unless it is a name's and nobody else's / the
  mentions go;
- `file`: the name of a file: the mentions go (the room of attachments erases what goes with the file) / the same;
- `list`, `object`, `rows`: becomes empty (text[], JSON object, JSON array) / the mentions go;
- `event`: JSON of an event, taken apart field by field / the same.
"""
SQL_TYPES: Mapping[Rule, str] = {"list": "text[]", "object": "jsonb", "rows": "jsonb", "event": "jsonb"}
"""The other columns are text."""


@dataclass(frozen=True, slots=True)
class Place:
    """A table with texts that belong to tickets. In SQL its rows are called `x`."""

    table: str
    key: Mapping[str, str]
    """Columns that with workspace_id make a row unique, with their types."""
    columns: Mapping[str, Rule]
    counted_as: str
    """The figure of `models.Counts` that its rows count for."""
    ticket: str = "x.ticket_id"
    joined: str = ""
    """What must be joined to know the ticket."""
    person: tuple[str, str] | None = None
    """What tells whose row it is: the kind (`contact` for a customer) and the id."""
    comment: str = "NULL"
    """The comment whose words it holds."""
    whole: bool = False
    """Whether a row of the person's goes as a whole, on whichever ticket it stands."""
    raws: bool = False
    """Whether its rows may have a mail as it came in the file store, which goes with whatever else of a row goes."""
    loose: bool = False
    """Whether there are rows that belong to no ticket."""
    loose_joined: str | None = None
    """What must be joined to find these, if it is something else, and `loose_where` that tells them."""
    loose_where: str | None = None
    held: bool = False
    """Whether nobody may write its rows until the step has ended."""


_ID = {"id": "text"}
_DELIVERY = "JOIN webhook_deliveries d ON d.workspace_id = x.workspace_id AND d.id = x.delivery_id"
PLACES: tuple[Place, ...] = (
    Place(
        "tickets",
        _ID,
        {
            "subject": "words",
            "description": "words",
            "category": "label",
            "conversation_id": "gone",
            "tags": "list",
            "custom_fields": "object",
            "metadata": "object",
            "resolution_note": "words",
            "root_cause": "label",
        },
        "tickets",
        ticket="x.id",
    ),
    Place(
        "resolutions",
        _ID,
        {"resolution_note": "words", "root_cause": "label", "actor_name": "name"},
        "resolutions",
        person=("x.actor_type", "x.actor_id"),
    ),
    Place(
        "comments",
        _ID,
        {"body": "said", "author_name": "name"},
        "comments",
        person=("x.author_type", "x.author_id"),
        comment="x.id",
    ),
    Place(
        "events",
        _ID,
        {"actor_name": "name", "data": "event"},
        "events",
        person=("x.actor_type", "x.actor_id"),
        loose=True,
    ),
    Place("attachments", _ID, {"name": "file"}, "file_names", ticket="x.ticket_id", loose=True),
    Place(
        "webhook_deliveries",
        _ID,
        {"body": "words"},
        "deliveries",
        ticket="e.ticket_id",
        joined="JOIN events e ON e.workspace_id = x.workspace_id AND e.id = x.event_id",
        loose=True,
        loose_joined="",
        loose_where="x.ticket_id IS NULL",
        held=True,
    ),
    Place(
        "webhook_attempts",
        {"delivery_id": "text", "number": "integer"},
        {"answer": "words", "error": "words"},
        "deliveries",
        ticket="e.ticket_id",
        joined=f"{_DELIVERY} JOIN events e ON e.workspace_id = d.workspace_id AND e.id = d.event_id",
        loose=True,
        loose_joined=_DELIVERY,
        loose_where="d.ticket_id IS NULL",
    ),
    Place(
        "mail_messages",
        _ID,
        {
            "reason": "words", "address": "gone", "headers": "rows", "subject": "words", "body_text": "words",
            "body_html": "words",
        },
        "mails",
        person=("x.recipient_type", "x.recipient_id"),
        comment="x.comment_id",
        whole=True,
        loose=True,
    ),
    Place(
        "mail_attempts",
        {"message_id": "text", "attempt": "integer"},
        {"words": "words"},
        "mails",
        ticket="m.ticket_id",
        joined="JOIN mail_messages m ON m.workspace_id = x.workspace_id AND m.id = x.message_id",
        person=("m.recipient_type", "m.recipient_id"),
        whole=True,
        loose=True,
    ),
    Place(
        "inbound_mails",
        _ID,
        {
            "automatic": "words", "problem": "words", "message_id": "gone", "from_name": "gone", "from_address": "gone",
            "subject": "words", "headers": "rows", "full_text": "words",
        },
        "mails",
        person=("'contact'", "x.contact_id"),
        whole=True,
        raws=True,
        loose=True,
    ),
)  # fmt: skip

BY_HAND: Mapping[str, str] = {
    "contacts.name": "the row itself is emptied when the erasure begins",
    "contacts.email": "as the name",
    "contacts.phone": "as the name",
    "contacts.company": "as the name",
    "contacts.external_id": "as the name",
    "contacts.tags": "as the name",
    "contacts.former": "as the name",
    "ticket_words.words": "a trigger writes it anew from the ticket",
    "ticket_words.tags": "a trigger writes it anew from the ticket",
    "vocabulary.word": "words that stand nowhere else are removed",
    "erasure_words.word": "removed at the end of the erasure",
    "erasures.sought": "removed at the end of the erasure",
    "event_erasures.actor_name": "passes through, is never stored",
    "event_erasures.data": "passes through, is never stored",
    "attachments.claimed_type": "the room of attachments erases its rows, and deletes the files",
    "attachments.sha256": "as the type",
    "idempotent_answers.idempotency_key": "one that names the person is hashed",
    "idempotent_parts.body": "as the answer of which it is a part",
    "idempotent_answers.headers": "an answer that mentions the person is replaced",
    "idempotent_answers.body": "an answer that mentions the person is replaced",
    "ticket_counts.category": "counts of no tickets are removed when a category was erased",
    "ticket_rollups.value": "counts of no tickets are removed when a category was erased",
    "ticket_count_changes.category": "folded into the counts",
    "ticket_marks.mark": "goes when what was noted of its tickets is folded",
    "ticket_marks.tickets": "a bit for each ticket",
    "ticket_mark_changes.gone": "folded into the marks",
    "procrastinate_jobs.args": "jobs name ids; mentions are taken out all the same",
}

_SETTING = "a setting that the agency wrote"
_STAFF = "a person of the agency's team, or a program of theirs"
_WORD = "one of a few words that the program itself chooses"
_QUEUE = "the job queue's own words"
IMPERSONAL: Mapping[str, str] = {
    "agencies.name": _SETTING,
    "workspaces.name": _SETTING,
    "workspaces.environment": _WORD,
    "workspaces.tier": _WORD,
    "workspaces.branding": _SETTING,
    "users.name": _STAFF,
    "users.email": _STAFF,
    "users.role": _WORD,
    "api_keys.name": _STAFF,
    "api_keys.scopes": _WORD,
    "api_keys.key_hash": "a hash",
    "api_keys.key_hint": "the ends of a secret",
    "tickets.status": _WORD,
    "tickets.satisfaction_source": _WORD,
    "resolutions.satisfaction_source": _WORD,
    "resolutions.agent_name": _STAFF,
    "resolutions.actor_type": _WORD,
    "resolutions.actor_id": "an id",
    "comments.visibility": _WORD,
    "comments.author_type": _WORD,
    "comments.author_id": "an id",
    "events.type": _WORD,
    "events.actor_type": _WORD,
    "events.actor_id": "an id",
    "rate_counters.bucket": "a key, or the address of a calling program; forgotten within two days",
    "idempotent_parts.idempotency_key": "a word that a program made up for a request; forgotten after a day",
    "idempotent_answers.fingerprint": "a hash; forgotten after a day",
    "ticket_counts.status": _WORD,
    "ticket_counts.assigned_to": "an id",
    "ticket_rollups.facet": _WORD,
    "ticket_count_changes.status": _WORD,
    "ticket_count_changes.assigned_to": "an id",
    "sla_calendars.name": _SETTING,
    "sla_calendars.opening_hours": _SETTING,
    "sla_calendars.time_zone": _SETTING,
    "sla_calendars.country": _SETTING,
    "sla_policy_versions.name": _SETTING,
    "sla_policy_versions.targets": _SETTING,
    "sla_policy_versions.conditions": _SETTING,
    "sla_policy_versions.escalations": _SETTING,
    "sla_policy_versions.calendar_name": _SETTING,
    "sla_policy_versions.opening_hours": _SETTING,
    "sla_policy_versions.time_zone": _SETTING,
    "sla_policy_versions.country": _SETTING,
    "attachments.state": _WORD,
    "attachments.content_type": "what the bytes look like",
    "attachments.visibility": _WORD,
    "webhook_endpoints.url": _SETTING,
    "webhook_endpoints.event_types": _WORD,
    "webhook_endpoints.description": _SETTING,
    "webhook_endpoints.disabled_reason": _WORD,
    "webhook_endpoints.secret": "a secret of the agency",
    "webhook_endpoints.old_secret": "a secret of the agency",
    "webhook_endpoints.leased_by": "a process of ours",
    "webhook_deliveries.event_type": _WORD,
    "webhook_deliveries.status": _WORD,
    "secrets.name": _WORD,
    "secrets.value": "a secret of the installation",
    "mail_settings.sender_address": _SETTING,
    "mail_settings.sender_name": _SETTING,
    "mail_settings.reply_to": _SETTING,
    "mail_settings.inbound_address": _SETTING,
    "mail_settings.kinds_off": _WORD,
    "mail_templates.kind": _WORD,
    "mail_templates.subject": _SETTING,
    "mail_templates.body_text": _SETTING,
    "mail_templates.body_html": _SETTING,
    "mail_messages.kind": _WORD,
    "mail_messages.recipient_type": _WORD,
    "mail_messages.status": _WORD,
    "mail_messages.message_id": "made by us from ids",
    "mail_attempts.outcome": _WORD,
    "inbound_mails.fingerprint": "a hash",
    "inbound_mails.source": _WORD,
    "inbound_mails.outcome": _WORD,
    "inbound_mails.matched_by": _WORD,
    "inbound_failures.mailbox": _SETTING,
    "inbound_failures.words": "what went wrong at the mail server, in the program's words",
    "erasures.kind": _WORD,
    "erasures.stage": _WORD,
    "erasures.place": "an id",
    "erasures.counts": "figures",
    "erasures.actor_type": _WORD,
    "erasures.actor_id": "an id",
    "erasures.actor_name": _STAFF,
    "procrastinate_jobs.queue_name": _QUEUE,
    "procrastinate_jobs.task_name": _QUEUE,
    "procrastinate_jobs.lock": _QUEUE,
    "procrastinate_jobs.queueing_lock": _QUEUE,
    "procrastinate_periodic_defers.task_name": _QUEUE,
    "procrastinate_periodic_defers.periodic_id": _QUEUE,
}
