"""The calls on users."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from ticketry.accounts.guard import GuardedRoute, Unit, needs
from ticketry.accounts.users import service
from ticketry.accounts.users.models import User, UserIn, UserPatch
from ticketry.core.actor import Actor
from ticketry.core.fields import NO_NUL
from ticketry.db.paging import Data, Page, PageIn
from ticketry.web.openapi import errors
from ticketry.web.resources import data_answer, json_answer

router = APIRouter(prefix="/v1/users", tags=["users"], route_class=GuardedRoute)

Reader = Annotated[Actor, needs("users:read")]
Writer = Annotated[Actor, needs("users:write")]
UserId = Annotated[str, Path(max_length=64, pattern=NO_NUL)]


class UsersAsked(PageIn):
    """Which users are asked for."""

    search: Annotated[
        str | None, Query(max_length=200, pattern=NO_NUL, description="Part of name or mail address.")
    ] = None


@router.post("", status_code=201, response_model=Data[User], responses=errors(409, 422))
async def create_user(actor: Writer, tx: Unit, body: UserIn) -> Response:
    """Add a user."""
    user = await service.create(tx, actor.workspace_id, body)
    return data_answer(user, 201, {"Location": f"/v1/users/{user.id}"})


@router.get("", response_model=Page[User], responses=errors(422))
async def list_users(actor: Reader, tx: Unit, asked: Annotated[UsersAsked, Query()]) -> Response:
    """List users by name."""
    return json_answer((await service.page(tx, actor.workspace_id, asked.search, asked)).model_dump_json())


@router.get("/{user_id}", response_model=Data[User], responses=errors(404, 422))
async def get_user(actor: Reader, tx: Unit, user_id: UserId) -> Response:
    """Read a user."""
    return data_answer(await service.get(tx, actor.workspace_id, user_id))


@router.patch("/{user_id}", response_model=Data[User], responses=errors(404, 409, 422))
@router.put("/{user_id}", response_model=Data[User], responses=errors(404, 409, 422))
async def update_user(actor: Writer, tx: Unit, user_id: UserId, body: UserPatch) -> Response:
    """Change a user. `active: false` takes no ticket away, but refuses new ones and the user's keys."""
    return data_answer(await service.update(tx, actor.workspace_id, user_id, body))
