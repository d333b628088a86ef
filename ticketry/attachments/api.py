"""The calls on files. Their bytes move outside of any unit of work."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, ValidationError
from starlette.background import BackgroundTask

from ticketry.accounts.guard import GuardedRoute, Unit, moves_bytes, needs
from ticketry.attachments import downloads, rules, service
from ticketry.attachments.files import Files, open_files
from ticketry.attachments.models import Attachment
from ticketry.attachments.service import Received
from ticketry.core.actor import Actor
from ticketry.core.errors import InvalidRequest
from ticketry.core.fields import NO_NUL, Id, StrictModel
from ticketry.db.paging import Data
from ticketry.db.pool import unit
from ticketry.web import idempotency
from ticketry.web.multipart import FileForm
from ticketry.web.openapi import errors
from ticketry.web.problems import render, validation_failed
from ticketry.web.resources import Resources, data_answer, resources
from ticketry.web.streams import Stream
from ticketry.web.turns import turn

router = APIRouter(prefix="/v1/attachments", tags=["attachments"], route_class=GuardedRoute)

Reader = Annotated[Actor, needs("tickets:read")]
Writer = Annotated[Actor, needs("tickets:write")]
AttachmentId = Annotated[
    str,
    Path(alias="attachment_id", max_length=64, pattern=NO_NUL, examples=["att_01jhq3v9m4e5x8y7z6w5v4u3t2"]),
]
Line = Annotated[str | None, Header(max_length=1000)]
_BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_SERVED: dict[str, Any] = dict.fromkeys(sorted({*rules.SERVED_AS_THEY_ARE, rules.UNKNOWN}), _BYTES)
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "The file, with its filename."},
                        "contact_id": {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": 64,
                            "pattern": NO_NUL,
                            "description": "The customer it belongs to: it can then be attached only to what this "
                            "customer says, or to this customer's tickets.",
                        },
                    },
                },
            }
        },
    }
}


class UploadIn(StrictModel):
    """What a form may say beside its file."""

    contact_id: Id | None = None


class Deleted(BaseModel):
    """What is gone."""

    id: str
    deleted: bool = Field(True, description="Always true.")


@router.post(
    "",
    status_code=201,
    response_model=Data[Attachment],
    responses=errors(408, 409, 422, 507),
    openapi_extra=_FORM,
)
@moves_bytes
async def upload_attachment(actor: Writer, request: Request) -> Response:
    """Upload a file.

    Send a form (`multipart/form-data`) with one file in the part `file`. Name the `id` of the answer in
    `attachment_ids` of a new ticket or comment within a day; what nobody has attached by then is deleted. With an
    `Idempotency-Key` the same file, name and type sent again is kept once.
    """
    house = resources(request)
    files = open_files(house.settings)
    if idempotency.IDEMPOTENCY_HEADER in request.headers:
        idempotency.Claim.of(request, actor, b"")  # a key of the wrong form is refused before the bytes come
    with turn(house.uploads, actor.workspace_id, house.settings.uploads_at_once, code="too_many_uploads"):
        return await _upload(request, house, actor, files)


async def _upload(request: Request, house: Resources, actor: Actor, files: Files) -> Response:
    form = FileForm(request, house.settings.upload_limit)
    await form.open()
    received = await service.receive(
        house.pool,
        house.clock,
        actor,
        files,
        form.file_name,
        form.file_type,
        _whole(form),
        limit=house.settings.upload_limit,
    )
    return await _Finish(request, house, actor, files, received, _said(form)).run()


def _said(form: FileForm) -> UploadIn:
    try:
        return UploadIn.model_validate(form.fields)
    except ValidationError as error:
        raise validation_failed([{**entry, "loc": ("body", *entry["loc"])} for entry in error.errors()]) from None


async def _whole(form: FileForm) -> AsyncIterator[bytes]:
    """The file's bytes, and then a look at the other fields: if they are wrong, nothing is kept."""
    async for piece in form.chunks():
        yield piece
    _said(form)


class _Finish:
    """The end of an upload: the file is seen from now on, once for an Idempotency-Key, or it goes again."""

    def __init__(
        self, request: Request, house: Resources, actor: Actor, files: Files, received: Received, said: UploadIn
    ) -> None:
        self.request, self.house, self.actor = request, house, actor
        self.files, self.received, self.said = files, received, said
        self.kept = False

    async def run(self) -> Response:
        """The answer. A file that is not kept is deleted."""
        try:
            return await self._answer()
        except BaseException:
            self.kept = False
            raise
        finally:
            if not self.kept:
                await service.discard(self.house.pool, self.house.clock, self.files, self.received)

    async def _answer(self) -> Response:
        if idempotency.IDEMPOTENCY_HEADER in self.request.headers:
            claim = idempotency.Claim.of(self.request, self.actor, self._fingerprint())
            return await idempotency.once(self.request, claim, self._work)
        async with unit(self.house.pool, self.house.clock()) as tx:
            self.request.state.tx = tx
            return await self._work(self.request)

    def _fingerprint(self) -> bytes:
        """What makes two uploads the same. Not the body: each has its own boundary."""
        said = (self.received.name, self.received.claimed_type, self.said.contact_id, self.received.sha256)
        return hashlib.sha256(repr(said).encode()).digest()

    async def _work(self, request: Request) -> Response:
        done = await service.finish(request.state.tx, self.received, self.said.contact_id)
        self.kept = True
        return data_answer(done, 201, {"Location": f"/v1/attachments/{done.id}"})


@router.get(
    "/{attachment_id}",
    response_class=Response,
    responses={
        200: {"description": "The bytes.", "content": _SERVED},
        206: {"description": "The part of them that was asked for.", "content": _SERVED},
        304: {"description": "They are those that `If-None-Match` names."},
        **errors(404, 416, 422),
    },
)
@moves_bytes
async def download_attachment(
    actor: Reader,
    request: Request,
    attachment_id: AttachmentId,
    byte_range: Annotated[Line, Header(alias="Range", description="One range of bytes, as in `bytes=0-99`.")] = None,
    if_range: Line = None,
    if_none_match: Line = None,
) -> Response:
    """Download a file.

    It always comes as a download, never to be shown in place; what a browser could run comes as plain bytes. `Range`
    asks for a part of it, `ETag` stays the same for the same bytes.
    """
    house = resources(request)
    files = open_files(house.settings)
    async with unit(house.pool, house.clock(), atomic=False) as tx:
        found = await service.get(tx, actor, attachment_id)
    headers = downloads.headers(found)
    if downloads.names(if_none_match, headers["ETag"]):
        return Response(None, 304, headers)
    asked = byte_range if if_range is None or if_range.strip() == headers["ETag"] else None
    part = downloads.part(asked, found.size)
    if part is None:
        return render(_unsatisfiable(found.size), {"Content-Range": f"bytes */{found.size}"})
    start, end = part
    status = 200
    headers["Content-Length"] = str(end - start)
    if downloads.is_one_range(asked):
        headers["Content-Range"], status = f"bytes {start}-{end - 1}/{found.size}", 206
    pieces = await service.open_file(files, actor.workspace_id, found, start, end)
    return Stream(pieces, nullcontext(), None, headers, status)


def _unsatisfiable(size: int) -> InvalidRequest:
    return InvalidRequest("range_not_satisfiable", f"The file has {size} bytes; none of them is in this range")


@router.get("/{attachment_id}/details", response_model=Data[Attachment], responses=errors(404, 422))
async def get_attachment(actor: Reader, tx: Unit, attachment_id: AttachmentId) -> Response:
    """Read what is known of a file."""
    return data_answer(await service.get(tx, actor, attachment_id))


@router.delete("/{attachment_id}", response_model=Data[Deleted], responses=errors(404, 409, 422))
async def delete_attachment(actor: Writer, tx: Unit, request: Request, attachment_id: AttachmentId) -> Response:
    """Delete a file that is not attached yet. One that is stays with its ticket."""
    house = resources(request)
    files = open_files(house.settings)
    place = await service.mark_deleted(tx, actor, attachment_id)
    answer = data_answer(Deleted(id=attachment_id))
    answer.background = BackgroundTask(service.sweep_one, house.pool, house.clock, files, place)  # after the commit
    return answer
