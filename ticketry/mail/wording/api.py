"""The calls on mail settings and templates."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel

from ticketry.accounts.guard import GuardedRoute, Unit, needs
from ticketry.core.actor import Actor
from ticketry.core.errors import PermissionDenied
from ticketry.core.fields import NO_NUL
from ticketry.db.paging import Data
from ticketry.mail.wording import service
from ticketry.mail.wording.models import MailSettings, MailSettingsIn, Preview, PreviewIn, Template, TemplateIn
from ticketry.web.openapi import errors, example
from ticketry.web.resources import data_answer, json_answer, resources

router = APIRouter(prefix="/v1/mail", tags=["mail"], route_class=GuardedRoute)

Reader = Annotated[Actor, needs("users:read")]
Writer = Annotated[Actor, needs("users:write")]
KindName = Annotated[str, Path(alias="kind", max_length=64, pattern=NO_NUL, examples=["replied"])]
_WRONG_TEMPLATE = example(
    "validation_error",
    "invalid_parameters",
    "text: line 3: there is no ticket.nubmer",
    errors=[{"field": "text", "code": "template_error", "message": "line 3: there is no ticket.nubmer"}],
)
_TEMPLATE_ERRORS = errors(404, 422, examples={422: _WRONG_TEMPLATE})


class Templates(BaseModel):
    """How every kind of mail is worded."""

    data: list[Template]


def _smtp(request: Request) -> bool:
    return resources(request).settings.smtp_host is not None


@router.get("/settings", response_model=Data[MailSettings], responses=errors(422))
async def get_mail_settings(actor: Reader, tx: Unit, request: Request) -> Response:
    """Read how the workspace sends mail."""
    return data_answer(await service.settings(tx, actor.workspace_id, smtp=_smtp(request)))


@router.patch("/settings", response_model=Data[MailSettings], responses=errors(422))
@router.put("/settings", response_model=Data[MailSettings], responses=errors(422))
async def change_mail_settings(actor: Writer, tx: Unit, request: Request, body: MailSettingsIn) -> Response:
    """Change how the workspace sends mail: fields left out stay."""
    return data_answer(await service.change_settings(tx, actor.workspace_id, body, smtp=_smtp(request)))


@router.get("/templates", response_model=Templates, responses=errors(422))
async def list_mail_templates(actor: Reader, tx: Unit) -> Response:
    """List how each kind of mail is worded."""
    return json_answer(Templates(data=await service.all_templates(tx, actor.workspace_id)).model_dump_json())


@router.get("/templates/{kind}", response_model=Data[Template], responses=errors(404, 422))
async def get_mail_template(actor: Reader, tx: Unit, kind: KindName) -> Response:
    """Read how one kind of mail is worded."""
    return data_answer(await service.template(tx, actor.workspace_id, service.known(kind)))


@router.put("/templates/{kind}", response_model=Data[Template], responses=_TEMPLATE_ERRORS)
async def put_mail_template(actor: Writer, tx: Unit, kind: KindName, body: TemplateIn) -> Response:
    """Word a kind of mail yourself. A template that cannot work is refused, naming part and line."""
    return data_answer(await service.keep_template(tx, actor.workspace_id, service.known(kind), body))


@router.delete("/templates/{kind}", response_model=Data[Template], responses=errors(404, 422))
async def delete_mail_template(actor: Writer, tx: Unit, kind: KindName) -> Response:
    """Go back to the words that come with the program, which are the answer."""
    return data_answer(await service.drop_template(tx, actor.workspace_id, service.known(kind)))


@router.post("/templates/{kind}/preview", response_model=Data[Preview], responses=_TEMPLATE_ERRORS)
async def preview_mail_template(
    actor: Writer, tx: Unit, kind: KindName, body: Annotated[PreviewIn | None, Body()] = None
) -> Response:
    """See a mail as it would be, with sample data or, for keys with `tickets:read`, about a ticket.

    Nothing is stored or sent.
    """
    if body is not None and body.ticket_id is not None and "tickets:read" not in actor.scopes:
        message = "A preview about a ticket asks for tickets:read"
        raise PermissionDenied("insufficient_scope", message, required_scope="tickets:read")
    return data_answer(await service.preview(tx, actor, service.known(kind), body or PreviewIn()))
