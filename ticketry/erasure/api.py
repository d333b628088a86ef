"""The call that erases a person."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from ticketry.accounts.guard import GuardedRoute, needs, one_statement
from ticketry.contacts.api import ContactId
from ticketry.core.actor import Actor
from ticketry.core.errors import ValidationFailed, field_error
from ticketry.core.fields import NO_NUL
from ticketry.db.paging import Data
from ticketry.erasure import runs
from ticketry.erasure.models import Erasure
from ticketry.web.openapi import errors
from ticketry.web.resources import data_answer, resources

router = APIRouter(prefix="/v1/contacts", tags=["contacts"], route_class=GuardedRoute)

Confirm = Annotated[
    str | None,
    Query(
        max_length=20,
        pattern=NO_NUL,
        description="Must be `true`: what is erased cannot be brought back.",
        json_schema_extra={"enum": ["true"]},
    ),
]


@router.delete(
    "/{contact_id}",
    response_model=Data[Erasure],
    responses={**errors(404, 422), 202: {"model": Data[Erasure], "description": "It goes on by itself."}},
)
@one_statement
async def erase_contact(
    actor: Annotated[Actor, needs("contacts:write")], request: Request, contact_id: ContactId, confirm: Confirm = None
) -> Response:
    """Erase a person for good. **This cannot be undone.**

    Name, addresses and words of the person disappear from the contact, tickets, comments, events, mails, stored
    answers and files. Figures and ids stay. Answers 200 when all of it is gone; after ten seconds 202, and the rest
    follows by itself: the same call again tells how far it is. To repeat it is harmless.
    """
    if confirm != "true":
        message = "must be true: erasing is irreversible, nothing of the person can be brought back"
        raise ValidationFailed(field_error("confirm", "not_confirmed", message))
    house = resources(request)
    run = await runs.erase(house.pool, house.clock, house.settings, actor, contact_id, runs.PATIENCE)
    return data_answer(run.view, 202 if run.finished_at is None else 200)
