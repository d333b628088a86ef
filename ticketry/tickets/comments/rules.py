"""What a comment does to its ticket."""

from datetime import datetime, timedelta
from typing import Literal

from ticketry.sla.models import Policy
from ticketry.tickets import rules
from ticketry.tickets.comments.models import Comment
from ticketry.tickets.models import Ticket

Effect = Literal["none", "open", "reopen", "follow_up"]


def effect(ticket: Ticket, by_customer: bool, now: datetime, reopen_window_days: int) -> Effect:
    """What a public comment calls for. Agents never reopen by speaking; they have a call for that."""
    if not by_customer:
        return "none"
    if ticket.status == "waiting_on_customer":
        return "open"
    if ticket.status == "resolved":
        return "reopen"
    if ticket.status != "closed" or ticket.closed_at is None:
        return "none"
    return "reopen" if now - ticket.closed_at <= timedelta(days=reopen_window_days) else "follow_up"


def commented(ticket: Ticket, policy: Policy, comment: Comment, wanted: Effect, now: datetime) -> Ticket:
    """The ticket after the comment. Only a user's public comment is a response."""
    at = rules.moment(ticket, now)
    if wanted == "reopen":
        return rules.reopen(ticket, policy, at)
    if wanted == "open":
        return rules.change(ticket, policy, at, status="open")
    responded = comment.author.type == "user" and comment.visibility == "public"
    return rules.change(ticket, policy, at, responded=responded)
