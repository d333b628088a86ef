"""Attachments: files on tickets and comments."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from ticketry.core.fields import Id, Instant

MOST_AT_ONCE = 20
"""Attachments that one ticket or comment can be given."""
MAX_NAME = 255
MAX_TYPE = 255
Visibility = Literal["public", "internal"]


def _each_once(ids: list[str]) -> list[str]:
    if len(set(ids)) != len(ids):
        raise PydanticCustomError("duplicate", "must not name an attachment twice")
    return ids


AttachmentIds = Annotated[
    list[Id],
    Field(
        max_length=MOST_AT_ONCE,
        description="Files uploaded before, to be attached; each once.",
        examples=[["att_01jhq3v9m4e5x8y7z6w5v4u3t2"]],
        json_schema_extra={"uniqueItems": True},
    ),
    AfterValidator(_each_once),
]
"""What a new ticket or comment may name."""


class AttachmentItem(BaseModel):
    """A file as a comment shows it."""

    id: str = Field(examples=["att_01jhq3v9m4e5x8y7z6w5v4u3t2"])
    name: str = Field(description="The file's name: no path, no control characters.", examples=["receipt.pdf"])
    content_type: str = Field(description="What the bytes look like.", examples=["application/pdf"])
    size: int = Field(description="Bytes.", examples=[48213])


class Attachment(AttachmentItem):
    """A file and what is known of it."""

    claimed_type: str | None = Field(description="What the uploader said it is.", examples=["application/pdf"])
    sha256: str | None = Field(description="Of the bytes, in hexadecimal; `null` once they were erased.")
    contact_id: str | None = Field(description="The customer it belongs to.")
    ticket_id: str | None = Field(description="The ticket it is attached to; `null` until then.")
    comment_id: str | None = Field(description="The comment it came with; `null` on the ticket itself.")
    visibility: Visibility | None = Field(description="`internal` files are never shown to customers.")
    created_at: Instant

    def item(self) -> AttachmentItem:
        """As a comment shows it."""
        return AttachmentItem(id=self.id, name=self.name, content_type=self.content_type, size=self.size)
