"""Users: the people of a support team."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from ticketry.core.fields import Instant, StrictModel, brought_id, check_email, text

UserName = Annotated[str, text(200), Field(examples=["Jane Smith"])]
Email = Annotated[str, text(254, 3), AfterValidator(check_email), Field(examples=["jane@example.com"])]
Role = Annotated[
    Literal["admin", "agent"],
    Field(description="What the person is. What a program may do is said by its key's scopes."),
]


class UserIn(StrictModel):
    """A new user."""

    id: Annotated[str, brought_id("user")] | None = Field(
        None, description="An id to keep, for instance from an import."
    )
    name: UserName
    email: Email
    role: Role | None = "agent"


class UserPatch(StrictModel):
    """A change of a user; fields left out stay."""

    name: UserName = ""
    email: Email = ""
    role: Role = "agent"
    active: bool = Field(True, description="`false`: tickets stay, new assignments and the user's keys are refused.")


class User(BaseModel):
    """A support agent."""

    id: str = Field(examples=["user_jane_smith"])
    name: str
    email: str
    role: Literal["admin", "agent"]
    active: bool
    created_at: Instant
