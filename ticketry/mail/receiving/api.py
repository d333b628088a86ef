"""The calls on mail that comes in."""

import re
from contextlib import nullcontext
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from ticketry.accounts.guard import GuardedRoute, Unit, moves_bytes, needs
from ticketry.core.actor import Actor
from ticketry.core.errors import InvalidRequest, NotFound
from ticketry.core.fields import NO_NUL
from ticketry.db.paging import Data, Page
from ticketry.db.pool import unit
from ticketry.mail.receiving import intake, service
from ticketry.mail.receiving.models import Inbound, InboundAsked, InboundDetail, Received
from ticketry.web.body import too_large
from ticketry.web.openapi import errors
from ticketry.web.resources import data_answer, json_answer, resources
from ticketry.web.streams import Stream, patiently

router = APIRouter(prefix="/v1/inbound", tags=["mail in"], route_class=GuardedRoute)

Reader = Annotated[Actor, needs("tickets:read")]
Writer = Annotated[Actor, needs("tickets:write")]
MailId = Annotated[
    str, Path(alias="mail_id", max_length=64, pattern=NO_NUL, examples=["mail_01jhq3v9m4e5x8y7z6w5v4u3t2"])
]
MEDIA_TYPE = "message/rfc822"
_TYPE = re.compile(rf"\s*{MEDIA_TYPE}\s*(;.*)?", re.IGNORECASE)
_MAIL: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The mail as it came (RFC 5322), headers and all.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}
_RAW: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The mail as it came.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "/email",
    status_code=201,
    response_model=Data[Received],
    responses=errors(408, 409, 422, 507),
    openapi_extra=_MAIL,
)
@moves_bytes
async def receive_email(actor: Writer, request: Request) -> Response:
    """Hand in a mail.

    It becomes a comment on the ticket that it answers, or a new ticket. Any bytes are taken: what cannot be understood
    becomes a ticket that says so. The same mail sent again is recognised and does nothing, so an answer that did not
    arrive, or a 5xx, is a reason to send it again.
    """
    house = resources(request)
    limit = house.settings.mail_limit
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise too_large(limit)
    if not _TYPE.fullmatch(request.headers.get("content-type", "")):
        raise InvalidRequest("unsupported_media_type", f"Send the mail as {MEDIA_TYPE}")
    async with intake.spooled(patiently(request), limit) as mail:
        received = await intake.take_in(house, actor, mail, "api")
    return data_answer(received, 201, {"Location": f"/v1/inbound/emails/{received.mail_id}"})


@router.get("/emails", response_model=Page[Inbound], responses=errors(422))
async def list_emails(actor: Reader, tx: Unit, asked: Annotated[InboundAsked, Query()]) -> Response:
    """List the mails that came and what became of each, the newest first."""
    return json_answer((await service.page(tx, actor, asked)).model_dump_json())


@router.get("/emails/{mail_id}", response_model=Data[InboundDetail], responses=errors(404, 422))
async def get_email(actor: Reader, tx: Unit, mail_id: MailId) -> Response:
    """Read a mail that came: its headers, and its text with what it quotes."""
    return data_answer(await service.get(tx, actor, mail_id))


@router.get("/emails/{mail_id}/raw", response_class=Response, responses={**_RAW, **errors(404, 422)})
@moves_bytes
async def get_raw_email(actor: Reader, request: Request, mail_id: MailId) -> Response:
    """Download a mail as it came. After `TICKETRY_MAIL_KEEP_DAYS` it is not found any more."""
    house = resources(request)
    async with unit(house.pool, house.clock(), atomic=False) as tx:
        found = await service.get(tx, actor, mail_id)
    pieces = await intake.read_raw(house, actor, found.id, found.size) if found.raw_until is not None else None
    if pieces is None:
        raise NotFound("mail_not_found", "The mail is no longer kept as it came")
    headers = {"Content-Disposition": f'attachment; filename="{found.id}.eml"'}
    return Stream(pieces, nullcontext(), "application/octet-stream", headers)
