"""Comments: public replies and internal notes on a ticket."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ticketry.attachments.models import AttachmentIds, AttachmentItem
from ticketry.core.fields import Id, Instant, StrictModel, text

Visibility = Literal["public", "internal"]
Body = Annotated[str, text(10_000), Field(description="What is said. Markdown.", examples=["We are looking into it."])]


class CommentIn(StrictModel):
    """A new comment. Its author is the contact or user named, else the key's user, else the key itself."""

    body: Body
    visibility: Annotated[Visibility, Field(description="`internal` is never shown to customers.")] | None = "public"
    user_id: Id | None = Field(None, description="The user who says it.")
    contact_id: Id | None = Field(None, description="The customer who says it; always public.")
    attachment_ids: AttachmentIds | None = None


class Author(BaseModel):
    """Who says it."""

    type: Literal["user", "contact", "system"]
    id: str
    name: str


class Comment(BaseModel):
    """A public reply or an internal note."""

    id: str = Field(examples=["comment_01jhq3v9m4e5x8y7z6w5v4u3t2"])
    ticket_id: str = Field(description="The ticket it stands on; a late reply to a closed ticket opens a follow-up.")
    body: str
    visibility: Visibility
    author: Author
    created_at: Instant
    attachments: list[AttachmentItem] = Field([], description="The files that came with it.")
