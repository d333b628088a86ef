"""Agencies and their workspaces."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ticketry.core.fields import Instant, StrictModel, text

WorkspaceName = Annotated[str, text(200), Field(examples=["Acme Support"])]
Environment = Literal["live", "test"]
Tier = Literal["free", "professional", "business", "enterprise"]
Limit = Annotated[int, Field(ge=1, le=2_147_483_647)]
Days = Annotated[int, Field(ge=0, le=3650)]
Colour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$", examples=["#1a6fb5"])]
WebAddress = Annotated[str, text(500), Field(pattern="^https://", examples=["https://example.com/logo.svg"])]


class Branding(StrictModel):
    """How a workspace shows itself to its customers."""

    display_name: Annotated[str, text(100)] | None = None
    logo_url: WebAddress | None = None
    colour: Colour | None = None
    website: WebAddress | None = None


class WorkspaceIn(StrictModel):
    """A new workspace of the agency."""

    name: WorkspaceName
    environment: Environment | None = "live"
    tier: Tier | None = "enterprise"


class WorkspacePatch(StrictModel):
    """A change of a workspace's settings; fields left out stay."""

    name: WorkspaceName = ""
    tier: Tier = "enterprise"
    minute_limit: Limit | None = Field(None, description="Requests a minute of each key; `null` is the tier's.")
    day_limit: Limit | None = Field(None, description="Requests a day of each key; `null` is the tier's.")
    reopen_window_days: Days = Field(
        14, description="Days after a close in which a customer's reply reopens the ticket."
    )
    auto_close_days: Annotated[int, Field(ge=1, le=3650)] | None = Field(
        None, description="Days after which resolved tickets are closed by themselves; `null` is never."
    )
    retention_months: Annotated[int, Field(ge=1, le=1200)] | None = Field(
        None, description="Months after which the texts of closed tickets are erased; `null` keeps them for ever."
    )
    branding: Branding = Branding()


class Workspace(BaseModel):
    """One client's sealed environment."""

    id: str = Field(examples=["ws_01jhq3v9m4e5x8y7z6w5v4u3t2"])
    agency_id: str
    name: str
    environment: Environment
    is_home: bool = Field(description="Whether this is the agency's own workspace, whose keys may manage the others.")
    tier: Tier
    minute_limit: int | None
    day_limit: int | None
    reopen_window_days: int
    auto_close_days: int | None
    retention_months: int | None
    branding: Branding
    created_at: Instant
    updated_at: Instant
