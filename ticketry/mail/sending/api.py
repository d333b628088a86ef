"""The calls on mails: what was sent, what was not and why, and sending again."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from ticketry.accounts.guard import GuardedRoute, Unit, needs
from ticketry.core.actor import Actor
from ticketry.core.fields import NO_NUL
from ticketry.db.paging import Data, Page
from ticketry.mail.sending import service
from ticketry.mail.sending.models import MessageItem, MessageObject, MessagesAsked
from ticketry.web.openapi import errors, example
from ticketry.web.resources import data_answer, json_answer, resources

router = APIRouter(prefix="/v1/mail/messages", tags=["mail"], route_class=GuardedRoute)

Reader = Annotated[Actor, needs("tickets:read")]
Writer = Annotated[Actor, needs("tickets:write")]
MessageId = Annotated[str, Path(max_length=64, pattern=NO_NUL)]
_NOT_NOW = example("conflict", "mail_pending", "This mail is about to be sent already")


@router.get("", response_model=Page[MessageItem], responses=errors(422))
async def list_mail_messages(actor: Reader, tx: Unit, asked: Annotated[MessagesAsked, Query()]) -> Response:
    """List mails, newest first."""
    return json_answer((await service.page(tx, actor, asked)).model_dump_json())


@router.get("/{message_id}", response_model=Data[MessageObject], responses=errors(404, 422))
async def get_mail_message(actor: Reader, tx: Unit, message_id: MessageId) -> Response:
    """Read a mail: headers, texts, and every attempt to send it."""
    return data_answer(await service.get(tx, actor.workspace_id, message_id))


@router.post(
    "/{message_id}/resend",
    response_model=Data[MessageObject],
    responses=errors(404, 409, 422, examples={409: _NOT_NOW}),
)
async def resend_mail_message(actor: Writer, tx: Unit, request: Request, message_id: MessageId) -> Response:
    """Send a mail once more: one from the outbox, one that failed or was skipped, or one that got lost."""
    smtp = resources(request).settings.smtp_host is not None
    return data_answer(await service.send_again(tx, actor.workspace_id, message_id, smtp=smtp))
