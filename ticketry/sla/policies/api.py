"""The calls on calendars and policies."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from ticketry.accounts.guard import GuardedRoute, Unit, needs
from ticketry.core.actor import Actor
from ticketry.core.fields import NO_NUL
from ticketry.db.paging import Data, Page, PageIn
from ticketry.sla.policies import service
from ticketry.sla.policies.models import CalendarIn, CalendarObject, CalendarPatch, PolicyIn, PolicyObject, PolicyPatch
from ticketry.web.openapi import errors
from ticketry.web.resources import data_answer, json_answer

router = APIRouter(prefix="/v1/sla", tags=["sla"], route_class=GuardedRoute)

Reader = Annotated[Actor, needs("sla:read")]
Writer = Annotated[Actor, needs("sla:write")]
CalendarId = Annotated[str, Path(max_length=64, pattern=NO_NUL)]
PolicyId = Annotated[str, Path(max_length=64, pattern=NO_NUL)]
Asked = Annotated[PageIn, Query()]


@router.post("/calendars", status_code=201, response_model=Data[CalendarObject], responses=errors(422))
async def create_calendar(actor: Writer, tx: Unit, body: CalendarIn) -> Response:
    """Add a calendar."""
    calendar = await service.create_calendar(tx, actor.workspace_id, body)
    return data_answer(calendar, 201, {"Location": f"/v1/sla/calendars/{calendar.id}"})


@router.get("/calendars", response_model=Page[CalendarObject], responses=errors(422))
async def list_calendars(actor: Reader, tx: Unit, asked: Asked) -> Response:
    """List calendars by name."""
    return json_answer((await service.calendars(tx, actor.workspace_id, asked)).model_dump_json())


@router.get("/calendars/{calendar_id}", response_model=Data[CalendarObject], responses=errors(404, 422))
async def get_calendar(actor: Reader, tx: Unit, calendar_id: CalendarId) -> Response:
    """Read a calendar."""
    return data_answer(await service.get_calendar(tx, actor.workspace_id, calendar_id))


@router.patch("/calendars/{calendar_id}", response_model=Data[CalendarObject], responses=errors(404, 422))
@router.put("/calendars/{calendar_id}", response_model=Data[CalendarObject], responses=errors(404, 422))
async def update_calendar(actor: Writer, tx: Unit, calendar_id: CalendarId, body: CalendarPatch) -> Response:
    """Change a calendar. Policies that use it get a new version; tickets keep the one they have."""
    return data_answer(await service.update_calendar(tx, actor.workspace_id, calendar_id, body))


@router.post("/policies", status_code=201, response_model=Data[PolicyObject], responses=errors(422))
async def create_policy(actor: Writer, tx: Unit, body: PolicyIn) -> Response:
    """Add a policy. New tickets get the first policy whose conditions they meet."""
    policy = await service.create(tx, actor.workspace_id, body)
    return data_answer(policy, 201, {"Location": f"/v1/sla/policies/{policy.id}"})


@router.get("/policies", response_model=Page[PolicyObject], responses=errors(422))
async def list_policies(actor: Reader, tx: Unit, asked: Asked) -> Response:
    """List policies in the order in which they are tried."""
    return json_answer((await service.page(tx, actor.workspace_id, asked)).model_dump_json())


@router.get("/policies/{policy_id}", response_model=Data[PolicyObject], responses=errors(404, 422))
async def get_policy(actor: Reader, tx: Unit, policy_id: PolicyId) -> Response:
    """Read a policy."""
    return data_answer(await service.get(tx, actor.workspace_id, policy_id))


@router.patch("/policies/{policy_id}", response_model=Data[PolicyObject], responses=errors(404, 422))
@router.put("/policies/{policy_id}", response_model=Data[PolicyObject], responses=errors(404, 422))
async def update_policy(actor: Writer, tx: Unit, policy_id: PolicyId, body: PolicyPatch) -> Response:
    """Change a policy, which makes a new version. Tickets keep theirs until it is applied."""
    return data_answer(await service.update(tx, actor.workspace_id, policy_id, body))
