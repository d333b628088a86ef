"""Contacts: the customers of a workspace."""

from typing import Annotated

from pydantic import BaseModel, Field

from ticketry.accounts.users.models import Email
from ticketry.core.fields import Instant, StrictModel, Tags, brought_id, text

ContactName = Annotated[str, text(200), Field(examples=["Sam Taylor"])]
Phone = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{1,14}$", description="E.164.", examples=["+14155550123"])]
Company = Annotated[str, text(200)]
ExternalId = Annotated[str, text(200), Field(description="The customer's id in a system of yours.")]


ERASED_NAME = "[erased]"
"""What an erased contact is called; the table holds it to that."""


class ContactIn(StrictModel):
    """A new contact."""

    id: Annotated[str, brought_id("contact")] | None = Field(
        None, description="An id to keep, for instance of an import."
    )
    name: ContactName
    email: Email | None = None
    phone: Phone | None = None
    company: Company | None = None
    external_id: ExternalId | None = None
    tags: Tags | None = None


class ContactPatch(StrictModel):
    """A change of a contact: fields left out stay, `null` clears one that can be empty."""

    name: ContactName = ""
    email: Email | None = None
    phone: Phone | None = None
    company: Company | None = None
    external_id: ExternalId | None = None
    tags: Annotated[Tags | None, Field(description="Replaces the tags.")] = None


class Contact(BaseModel):
    """A customer."""

    id: str = Field(examples=["contact_01jhq3v9m4e5x8y7z6w5v4u3t2"])
    name: str
    email: str | None
    phone: str | None
    company: str | None
    external_id: str | None
    tags: list[str]
    created_at: Instant
    updated_at: Instant
    erased_at: Instant | None = Field(
        None, description="When the person's data was erased: the id stays, and nothing else can be done with it."
    )
