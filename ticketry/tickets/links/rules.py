"""Which links there may be, and what is told of them."""

from collections.abc import Sequence
from typing import Any

from ticketry.core.errors import Conflict, ValidationFailed, field_error
from ticketry.tickets.links.models import LinkType
from ticketry.tickets.models import Ticket
from ticketry.tickets.rules import label

HELD: tuple[LinkType, ...] = ("follow_up_of", "duplicate_of")
"""Links that a ticket has once, in a field of its own; the chains of them run in no circle."""


def check_new(ticket: Ticket, kind: LinkType, chain: Sequence[Ticket], field: str) -> None:
    """Raises unless `ticket` may be linked to the first of `chain`, which goes on from it by links of this kind.

    `field` is what the caller named the other ticket in.
    """
    if ticket.id == chain[0].id:
        raise ValidationFailed(field_error(field, "self_link", "a ticket is not linked to itself"))
    held = getattr(ticket, kind) if kind in HELD else None
    if held is not None:
        raise link_exists(kind, held)
    if kind in HELD and ticket.id in {end.id for end in chain}:
        raise Conflict("link_cycle", f"{label(chain[0].number)} is linked to this ticket by {kind} itself")


def link_exists(kind: LinkType, ticket_id: str) -> Conflict:
    """The link is there, or another one that a ticket has once; it is named."""
    return Conflict("link_exists", f"The ticket is {kind} {ticket_id} already", link_type=kind, ticket_id=ticket_id)


def held(kind: LinkType, other: Ticket, made: bool) -> dict[str, Any]:
    """What a ticket itself holds of the link."""
    return {kind: other.id if made else None} if kind in HELD else {}


def change(kind: LinkType, other: Ticket, *, made: bool) -> dict[str, Any]:
    """The change of a ticket's links as its history tells it."""
    link = {"type": kind, "ticket_id": other.id, "number": label(other.number)}
    return {"links": {"from": None if made else link, "to": link if made else None}}


def on_duplicate(original: Ticket) -> str:
    """What a customer reads on a ticket that is closed as a duplicate."""
    number = label(original.number)
    if original.status == "closed":
        return f"This ticket is a duplicate of {number} and was closed. So is {number}."
    return f"This ticket is a duplicate of {number} and was closed. We go on there."


def on_original(duplicate: Ticket) -> str:
    """What the team reads on the original."""
    return f"{label(duplicate.number)} was closed as a duplicate of this ticket."


def on_word(duplicate: Ticket) -> str:
    """What the team reads on the original when the customer of a duplicate says something there."""
    return f"The customer commented on {label(duplicate.number)}, a closed duplicate of this ticket."
