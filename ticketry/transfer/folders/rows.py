"""What the API holds rows to and the database does not: a folder may have been changed by hand.

One model a table, of the fields that need it, with the API's own types. What the database checks itself stands there
and not here. A field that a file's columns lack is not asked for.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from ticketry.accounts.users.models import Email
from ticketry.accounts.workspaces.models import Environment, WorkspacePatch
from ticketry.contacts.models import ERASED_NAME, Company, ContactName, ExternalId, Phone
from ticketry.core.actor import ActorType
from ticketry.core.errors import ValidationFailed
from ticketry.core.fields import Instant, StrictModel, Tags, json_object
from ticketry.erasure.models import Counts
from ticketry.events.models import EventType
from ticketry.mail.wording.models import Kind
from ticketry.sla.policies.models import (
    DEFAULT_POLICY_ID,
    LAST_POSITION,
    ClosedDays,
    Conditions,
    Country,
    Escalations,
    OpeningHours,
    Targets,
    TimeZone,
)
from ticketry.sla.policies.rules import check as check_calendar
from ticketry.tickets.models import MAX_CUSTOM_BYTES
from ticketry.transfer.folders.models import WORKSPACE, HighestNumber

MOST_COUNTED = 1_000_000_000
"""Versions and the like go on being counted, in 32 bits."""
Counted = Annotated[int, Field(le=MOST_COUNTED)]
T = TypeVar("T")
Before = Annotated[list[T], Field(max_length=20)]
"""Values that a field had."""
Content = Annotated[dict[str, Any], json_object(10 * MAX_CUSTOM_BYTES)]
"""Fields of one's own. Stored with all digits of their numbers, they may be longer than they were sent."""


class Row(BaseModel):
    """Some fields of a row."""

    model_config = ConfigDict(extra="ignore", strict=True)


class WorkspaceRow(WorkspacePatch):
    """What may be changed of a workspace, and what its beginning gave it."""

    model_config = ConfigDict(extra="ignore")

    environment: Environment
    created_at: Instant
    updated_at: Instant


class UserRow(Row):
    """A user."""

    email: Email


class Former(StrictModel):
    """What fields of a contact held before."""

    name: Before[ContactName] = []
    email: Before[Email] = []
    phone: Before[Phone] = []
    company: Before[Company] = []
    external_id: Before[ExternalId] = []


class ContactRow(Row):
    """A contact."""

    name: str
    email: Email | None
    phone: str | None
    company: str | None
    external_id: str | None
    tags: Tags
    erased_at: Instant | None
    former: Former

    @model_validator(mode="after")
    def _erased_is_empty(self) -> Self:
        told = (self.email, self.phone, self.company, self.external_id, *self.tags, *self.former.model_fields_set)
        if self.erased_at is not None and (self.name != ERASED_NAME or any(one is not None for one in told)):
            raise PydanticCustomError("erased", "erased_at: an erased contact still has a name, an address or the like")
        return self


class Hours(Row):
    """When a team works."""

    opening_hours: OpeningHours
    time_zone: TimeZone
    country: Country | None
    closed_days: ClosedDays

    @model_validator(mode="after")
    def _is_understood(self) -> Self:
        try:
            check_calendar(self.opening_hours, self.time_zone, self.country)
        except ValidationFailed as error:
            raise PydanticCustomError("calendar", "{said}", {"said": str(error)}) from None
        return self


class PolicyRow(Row):
    """A policy. The default one stays what it is: the last, and for all tickets."""

    id: str
    version: Counted
    position: int
    active: bool

    @model_validator(mode="after")
    def _default_is_last(self) -> Self:
        if self.id == DEFAULT_POLICY_ID and not self.active:
            raise PydanticCustomError("default", "active: the default policy is always active")
        if self.id == DEFAULT_POLICY_ID and self.position != LAST_POSITION:
            raise PydanticCustomError("default", "position: the default policy is tried last")
        return self


class PolicyVersionRow(Hours):
    """A version of a policy."""

    policy_id: str
    version: Counted
    targets: Targets
    conditions: Conditions
    escalations: Escalations

    @model_validator(mode="after")
    def _default_is_for_all(self) -> Self:
        if self.policy_id == DEFAULT_POLICY_ID and any(self.conditions.model_dump().values()):
            raise PydanticCustomError("default", "conditions: the default policy is for all tickets")
        return self


class TicketRow(Row):
    """A ticket."""

    number: HighestNumber
    version: Counted
    tags: Tags
    custom_fields: Content
    metadata: Content
    reopen_count: Counted
    response_spent: Counted
    resolution_spent: Counted


class ResolutionRow(Row):
    """What one close recorded."""

    cycle: Counted
    actor_type: ActorType


class EventData(Row):
    """What an event tells, as far as the program reads it again."""

    ticket: dict[str, Any] | None = None
    changes: dict[str, Any] | None = None
    comment: dict[str, Any] | None = None


class EventRow(Row):
    """An event."""

    type: EventType
    data: EventData


class ErasureRow(Row):
    """An erasure that has ended: nobody goes on with one that was begun elsewhere."""

    counts: Counts
    finished_at: Instant


class MailSettingsRow(Row):
    """A workspace's mail settings."""

    sender_address: Email | None
    reply_to: Email | None
    inbound_address: Email | None
    kinds_off: list[Kind]


class MailTemplateRow(Row):
    """A template."""

    kind: Kind


ROWS: Mapping[str, type[BaseModel]] = {
    WORKSPACE: WorkspaceRow,
    "users": UserRow,
    "contacts": ContactRow,
    "sla_calendars": Hours,
    "sla_policies": PolicyRow,
    "sla_policy_versions": PolicyVersionRow,
    "tickets": TicketRow,
    "resolutions": ResolutionRow,
    "events": EventRow,
    "erasures": ErasureRow,
    "mail_settings": MailSettingsRow,
    "mail_templates": MailTemplateRow,
}
"""By table. What is not here the database checks alone."""


def fault(table: str, row: bytes) -> str | None:
    """What is wrong with a row, `field: why`; None if nothing is. `row` is JSON; only the fields that it has count."""
    try:
        ROWS[table].model_validate_json(row)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False):
            if one["type"] != "missing" or len(one["loc"]) > 1:
                return ": ".join(part for part in (".".join(map(str, one["loc"])), one["msg"]) if part)
    return None
