"""One operation of a bulk request, by the very function of its single call."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from ticketry.core.actor import Actor
from ticketry.core.errors import TicketryError
from ticketry.core.fields import StrictModel
from ticketry.db.pool import Tx
from ticketry.tickets import rules
from ticketry.tickets import service as tickets
from ticketry.tickets.bulk.models import Action, Operation
from ticketry.tickets.comments import service as comments
from ticketry.tickets.comments.models import CommentIn
from ticketry.tickets.models import CloseIn, ReopenIn, Ticket, TicketPatch
from ticketry.web.conditional import etag
from ticketry.web.problems import status_of, told, validation_failed

BODIES: dict[Action, type[StrictModel]] = {
    "close": CloseIn,
    "reopen": ReopenIn,
    "update": TicketPatch,
    "comment": CommentIn,
}
MAY_SAY_NOTHING: frozenset[Action] = frozenset({"close", "reopen"})
"""Actions whose single calls need no body."""


def is_one_statement(body: StrictModel) -> bool:
    """Whether an operation writes by one statement, as its single call does: it needs no transaction around it."""
    return isinstance(body, ReopenIn) or (isinstance(body, CloseIn) and body.duplicate_of is None)


def body_of(operation: Operation) -> StrictModel:
    """The operation's `params` as the single call reads its body. Raises the same `ValidationFailed`."""
    kind, given = BODIES[operation.action], operation.params
    try:
        if given is None and operation.action not in MAY_SAY_NOTHING:
            raise validation_failed([{"loc": ("body",), "type": "missing", "msg": "Field required"}])
        return kind.model_validate(given or {})
    except ValidationError as error:
        wrong: list[Any] = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise validation_failed(wrong) from None


async def perform(tx: Tx, actor: Actor, operation: Operation, body: StrictModel, ticket: str | Ticket) -> bytes:
    """Does an operation on a ticket, named or read a moment ago; its result as JSON."""
    match operation.action, body:
        case "close", CloseIn():
            changed = await tickets.close(tx, actor, ticket, body, operation.if_match)
        case "reopen", ReopenIn():
            changed = await tickets.reopen(tx, actor, ticket, body, operation.if_match)
        case "update", TicketPatch():
            changed = await tickets.update(tx, actor, ticket, body, operation.if_match)
        case _, CommentIn():
            comment = await comments.add(tx, actor, ticket, body, operation.if_match)
            return f'{{"status":201,"data":{comment.model_dump_json()}}}'.encode()
        case _:
            raise AssertionError(operation.action)
    tag = to_json(etag(changed.version)).decode()
    return f'{{"status":200,"data":{rules.as_json(changed, changed.updated_at)},"etag":{tag}}}'.encode()


def refused(error: TicketryError) -> bytes:
    """The result of an operation that was refused, as JSON."""
    return b'{"status":%d,"error":%s}' % (status_of(error), to_json(told(error)))
