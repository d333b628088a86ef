"""Where a command works: the agency, and the workspace that the options name."""

from dataclasses import dataclass
from typing import Literal

from ticketry.accounts.workspaces import service as workspaces
from ticketry.accounts.workspaces.models import Workspace
from ticketry.commands import show
from ticketry.core.errors import ValidationFailed, field_error
from ticketry.db.pool import Tx

AGENCY_NAME = "My agency"
"""What an agency is called until somebody gives it a name."""
Environment = Literal["live", "test"]


@dataclass(frozen=True)
class Place:
    """The options `--workspace` (an id or a name) and `--env` as they were given."""

    workspace: str | None = None
    environment: Environment | None = None

    @property
    def named(self) -> bool:
        """Whether any of them was given."""
        return self.workspace is not None or self.environment is not None


async def agency(tx: Tx) -> str:
    """The agency of this installation. The first command makes it, should no server have started yet."""
    known = await workspaces.agency(tx)
    if known is None:
        await workspaces.found(tx, AGENCY_NAME)
        known = await workspaces.agency(tx)
    assert known is not None
    return known


async def all_workspaces(tx: Tx) -> list[Workspace]:
    """Every workspace of the agency, oldest first."""
    agency_id = await agency(tx)
    return await show.every(lambda asked: workspaces.page(tx, agency_id, asked))


async def find(tx: Tx, place: Place) -> Workspace:
    """The workspace meant: by default the agency's own, live or test. Raises `ValidationFailed` naming the option."""
    known = await all_workspaces(tx)
    if place.workspace is None:
        wanted = place.environment or "live"
        return next(one for one in known if (one.is_home if wanted == "live" else one.environment == "test"))
    named = [one for one in known if place.workspace in {one.id, one.name}]
    fitting = [one for one in named if place.environment in {None, one.environment}]
    if len(fitting) == 1:
        return fitting[0]
    raise ValidationFailed(_complaint(place, named, fitting))


def _complaint(place: Place, named: list[Workspace], fitting: list[Workspace]) -> dict[str, str]:
    if not named:
        return field_error(
            "workspace",
            "not_found",
            f'no workspace has the id or name "{place.workspace}"; see `ticketry workspaces list`',
        )
    if not fitting:
        return field_error("env", "wrong_environment", f'"{place.workspace}" is a {named[0].environment} workspace')
    return field_error("workspace", "ambiguous", f'several workspaces are called "{place.workspace}"; name an id')
