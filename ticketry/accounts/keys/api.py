"""The calls on the keys of one's own workspace."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query
from fastapi.responses import Response

from ticketry.accounts.guard import GuardedRoute, Unit, needs
from ticketry.accounts.keys import service
from ticketry.accounts.keys.models import Key, KeyIn, NewKey, RotateIn
from ticketry.core.actor import Actor
from ticketry.core.fields import NO_NUL
from ticketry.db.paging import Data, Page, PageIn
from ticketry.web.openapi import errors
from ticketry.web.resources import data_answer, json_answer

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=GuardedRoute)

Reader = Annotated[Actor, needs("keys:read")]
Writer = Annotated[Actor, needs("keys:write")]
KeyId = Annotated[str, Path(max_length=64, pattern=NO_NUL)]
Rotation = Annotated[RotateIn | None, Body()]


def new_key_answer(key: NewKey) -> Response:
    """A new key with its secret, which is shown this once: a replay of this answer does not hold it."""
    answer = data_answer(key, 201, {"Location": f"/v1/keys/{key.id}"})
    answer.kept_body = data_answer(key.model_copy(update={"key": None})).body  # type: ignore[attr-defined]
    return answer


@router.post("", status_code=201, response_model=Data[NewKey], responses=errors(422))
async def create_key(actor: Writer, tx: Unit, body: KeyIn) -> Response:
    """Make a key. Its secret is in this answer and nowhere else, ever. A key hands on only scopes that it holds."""
    until = await service.end_of(tx, actor)
    return new_key_answer(await service.create(tx, actor.workspace_id, body, actor.scopes, until))


@router.get("", response_model=Page[Key], responses=errors(422))
async def list_keys(actor: Reader, tx: Unit, asked: Annotated[PageIn, Query()]) -> Response:
    """List keys, newest first."""
    return json_answer((await service.page(tx, actor.workspace_id, asked)).model_dump_json())


@router.get("/{key_id}", response_model=Data[Key], responses=errors(404, 422))
async def get_key(actor: Reader, tx: Unit, key_id: KeyId) -> Response:
    """Read a key, without its secret."""
    return data_answer(await service.get(tx, actor.workspace_id, key_id))


@router.post("/{key_id}/revoke", response_model=Data[Key], responses=errors(404, 422))
async def revoke_key(actor: Writer, tx: Unit, key_id: KeyId) -> Response:
    """End a key for good, within a second."""
    return data_answer(await service.revoke(tx, actor.workspace_id, key_id))


@router.post("/{key_id}/rotate", status_code=201, response_model=Data[NewKey], responses=errors(404, 409, 422))
async def rotate_key(actor: Writer, tx: Unit, key_id: KeyId, body: Rotation = None) -> Response:
    """Make a new key like this one, which goes on for `overlap_hours`."""
    hours = RotateIn.hours_of(body)
    return new_key_answer(await service.rotate(tx, actor.workspace_id, key_id, hours, actor.scopes))
