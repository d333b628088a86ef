"""The calls of the agency: its workspaces and their keys. One's own workspace is `/v1/workspaces/{its id}` too."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from ticketry.accounts.guard import GuardedRoute, Unit, needs
from ticketry.accounts.keys import service as keys
from ticketry.accounts.keys.api import KeyId, Rotation, new_key_answer
from ticketry.accounts.keys.models import Key, KeyIn, NewKey, RotateIn
from ticketry.accounts.keys.scopes import ALL_SCOPES
from ticketry.accounts.workspaces import service
from ticketry.accounts.workspaces.models import Workspace, WorkspaceIn, WorkspacePatch
from ticketry.core.actor import Actor
from ticketry.core.errors import PermissionDenied
from ticketry.core.fields import NO_NUL
from ticketry.db.paging import Data, Page, PageIn
from ticketry.db.pool import Tx
from ticketry.web.openapi import errors
from ticketry.web.resources import data_answer, json_answer

router = APIRouter(prefix="/v1/workspaces", tags=["workspaces"], route_class=GuardedRoute)

Reader = Annotated[Actor, needs("workspaces:read")]
Writer = Annotated[Actor, needs("workspaces:write")]
WorkspaceId = Annotated[str, Path(max_length=64, pattern=NO_NUL)]
Asked = Annotated[PageIn, Query()]


def _grantable(actor: Actor, workspace: Workspace) -> frozenset[str]:
    """Scopes that the agency may give: all of them to a client's key, only its own to a key of its home."""
    if workspace.id != actor.workspace_id:
        return frozenset(ALL_SCOPES)
    if "keys:write" not in actor.scopes:
        message = "The keys of one's own workspace ask for keys:write"
        raise PermissionDenied("insufficient_scope", message, required_scope="keys:write")
    return actor.scopes


async def _mine(tx: Tx, actor: Actor, workspace_id: str) -> Workspace:
    return await service.get_of_agency(tx, actor.workspace_id, workspace_id)


@router.post("", status_code=201, response_model=Data[Workspace], responses=errors(422))
async def create_workspace(actor: Writer, tx: Unit, body: WorkspaceIn) -> Response:
    """Add a workspace for a client."""
    home = await _mine(tx, actor, actor.workspace_id)
    workspace = await service.create(tx, home.agency_id, body)
    return data_answer(workspace, 201, {"Location": f"/v1/workspaces/{workspace.id}"})


@router.get("", response_model=Page[Workspace], responses=errors(422))
async def list_workspaces(actor: Reader, tx: Unit, asked: Asked) -> Response:
    """List the agency's workspaces, oldest first."""
    home = await _mine(tx, actor, actor.workspace_id)
    return json_answer((await service.page(tx, home.agency_id, asked)).model_dump_json())


@router.get("/{workspace_id}", response_model=Data[Workspace], responses=errors(404, 422))
async def get_workspace(actor: Reader, tx: Unit, workspace_id: WorkspaceId) -> Response:
    """Read a workspace's settings."""
    return data_answer(await _mine(tx, actor, workspace_id))


@router.patch("/{workspace_id}", response_model=Data[Workspace], responses=errors(404, 422))
@router.put("/{workspace_id}", response_model=Data[Workspace], responses=errors(404, 422))
async def update_workspace(actor: Writer, tx: Unit, workspace_id: WorkspaceId, body: WorkspacePatch) -> Response:
    """Change a workspace's settings: fields left out stay."""
    await _mine(tx, actor, workspace_id)
    return data_answer(await service.update(tx, workspace_id, body))


@router.post("/{workspace_id}/keys", status_code=201, response_model=Data[NewKey], responses=errors(404, 422))
async def create_workspace_key(actor: Writer, tx: Unit, workspace_id: WorkspaceId, body: KeyIn) -> Response:
    """Make a key in a workspace of the agency."""
    workspace = await _mine(tx, actor, workspace_id)
    until = await keys.end_of(tx, actor)
    return new_key_answer(await keys.create(tx, workspace_id, body, _grantable(actor, workspace), until))


@router.get("/{workspace_id}/keys", response_model=Page[Key], responses=errors(404, 422))
async def list_workspace_keys(actor: Reader, tx: Unit, workspace_id: WorkspaceId, asked: Asked) -> Response:
    """List a workspace's keys, newest first."""
    await _mine(tx, actor, workspace_id)
    return json_answer((await keys.page(tx, workspace_id, asked)).model_dump_json())


@router.post("/{workspace_id}/keys/{key_id}/revoke", response_model=Data[Key], responses=errors(404, 422))
async def revoke_workspace_key(actor: Writer, tx: Unit, workspace_id: WorkspaceId, key_id: KeyId) -> Response:
    """End a key of a workspace for good."""
    _grantable(actor, await _mine(tx, actor, workspace_id))
    return data_answer(await keys.revoke(tx, workspace_id, key_id))


@router.post(
    "/{workspace_id}/keys/{key_id}/rotate",
    status_code=201,
    response_model=Data[NewKey],
    responses=errors(404, 409, 422),
)
async def rotate_workspace_key(
    actor: Writer, tx: Unit, workspace_id: WorkspaceId, key_id: KeyId, body: Rotation = None
) -> Response:
    """Make a new key like this one, which goes on for `overlap_hours`."""
    workspace = await _mine(tx, actor, workspace_id)
    hours = RotateIn.hours_of(body)
    return new_key_answer(await keys.rotate(tx, workspace_id, key_id, hours, _grantable(actor, workspace)))
