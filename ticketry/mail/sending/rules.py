"""Who is told what by mail, when a failed attempt is made again, and whom no machine should write to."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from ticketry.mail.sending.models import NewMail, News
from ticketry.mail.wording.models import AgentKind, CustomerKind, Kind

GAPS_MINUTES = (1, 5, 15, 30, 60, 120, 240, 480, 720, 720, 960, 960)
"""Between two attempts; together three days."""
JITTER = 0.1
"""Share by which a gap is shortened or stretched, so that what failed together is not tried again together."""
MOST_ATTEMPTS = len(GAPS_MINUTES) + 10
"""One that is begun more often than that has killed its process again and again."""
NEWS = timedelta(days=3)
"""An event older than this when it is handed over tells nobody any more: an import, or a very long pause."""
MOST_ADMINS = 20
LIMIT_PERIOD = timedelta(hours=1)
MOST_ABOUT_A_TICKET = 20
"""Mails to one person about one ticket within the period. Two machines that answer each other end here."""
MOST_RECEIPTS = 10
"""Mails to one customer that a ticket was received, within the period: a machine may open a new one each time."""
LOOK = 1.0
"""Seconds between two looks for mail that is due."""
LONGEST_PAUSE = 300.0
"""Seconds between two looks while the server cannot be worked with."""
_SIGN_IN = frozenset({530, 534, 535, 538})
"""The server wants us to sign in, or differently."""
_ENHANCED = re.compile(r"\s*5\.(\d{1,3})\.(\d{1,3})\b", re.ASCII)
"""What is wrong, by RFC 3463: 1 the address, 2 the mailbox, 3 the system, 4 the way to it, 6 the content, 7 policy."""
_TOO_LARGE = frozenset({(2, 3), (3, 4)})
_SENDER = frozenset({(1, 7), (1, 8)})
_QUOTA = (4, 5)
_BLAMED = {
    "RCPT": re.compile(r"\brecipient\b", re.IGNORECASE),
    "DATA": re.compile(r"\b(content|spam|virus)\b", re.IGNORECASE),
}
"""What a policy is against, where it says so."""
_ROBOTS = frozenset(
    {"mailer-daemon", "postmaster", "bounce", "bounces", "noreply", "no-reply", "donotreply", "do-not-reply"}
)
_OPPOSITES = frozenset({"resolved", "reopened"})


def next_attempt(attempt: int, at: datetime, luck: float) -> datetime | None:
    """When to try again after the `attempt`-th try failed at `at`; None when that was the last.

    `luck` from 0 to 1 chooses within the jitter.
    """
    if attempt > len(GAPS_MINUTES):
        return None
    minutes = GAPS_MINUTES[attempt - 1] * (1 - JITTER + 2 * JITTER * luck)
    return at + timedelta(seconds=round(minutes * 60))


def refusal(command: str, code: int, words: str) -> tuple[bool, bool]:
    """What the server's refusal of a command (`MAIL`, `RCPT` or `DATA`) means: whether to try again, and whether the
    server can be worked with at all.

    For good is only what is wrong with the recipient or with what the mail holds. Our sign-in, our sender, a quota or a
    policy is for people to mend, and a mail that waits for them is not lost.
    """
    if code in _SIGN_IN:
        return True, False
    if code < 500:
        return True, code != 421
    found = _ENHANCED.match(words)
    what = (int(found[1]), int(found[2])) if found else (0, 0)
    if (code == 552 and not found) or what in _TOO_LARGE or what[0] == 6:
        return False, True
    if command == "MAIL" or what == _QUOTA or (command == "DATA" and what[0] in (3, 4)):
        return True, False
    if what in _SENDER:
        return True, True
    if what[0] == 7:
        return not _BLAMED[command].search(words), True
    return command == "RCPT" and (what[0] == 3 or "relay" in words.lower()), True


def pause(before: float, *, healthy: bool) -> float:
    """Seconds until the next look for due mail: ever longer while the server cannot be worked with."""
    return LOOK if healthy else min(max(2 * before, 2 * LOOK), LONGEST_PAUSE)


def base_address(address: str) -> str:
    """An address without what stands after a plus, in lower case: what two names of one mailbox have in common."""
    local, _, domain = address.lower().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def is_robot(address: str) -> bool:
    """Whether nobody reads what is sent there: bounces, and senders that want no answer."""
    return base_address(address).partition("@")[0] in _ROBOTS


def wanted(news: Iterable[News], admins: Mapping[str, Sequence[str]], now: datetime) -> list[NewMail]:
    """The mails that a batch of events calls for, in order. `admins` are the active ones of each workspace.

    Nobody is told of what they did themselves, and a change that is several events tells each person of it once.
    """
    found: dict[tuple[str, ...], NewMail] = {}
    for one in news:
        if one.silent or not one.enabled or now - one.at > NEWS:
            continue
        customer = _for_customer(one)
        if customer is not None and customer not in one.kinds_off:
            subject = "state" if customer in _OPPOSITES else f"{customer} {one.comment_id}"
            key = (one.change, one.ticket_id, str(one.contact_id), subject)
            found[key] = _mail(one, customer, "contact", str(one.contact_id))
        agents = _for_agents(one)
        if agents is not None and agents not in one.kinds_off:
            for user_id in _agents_told(one, agents, admins):
                # A breach in the same change takes the place of its warning.
                subject = f"sla {one.target}" if one.target else f"{agents} {one.comment_id}"
                found[(one.change, one.ticket_id, user_id, subject)] = _mail(one, agents, "user", user_id)
    return list(found.values())


def _mail(news: News, kind: Kind, recipient_type: str, recipient_id: str) -> NewMail:
    return NewMail(
        workspace_id=news.workspace_id,
        kind=kind,
        recipient_type="contact" if recipient_type == "contact" else "user",
        recipient_id=recipient_id,
        ticket_id=news.ticket_id,
        event_id=news.event_id,
        comment_id=news.comment_id,
    )


def _for_customer(news: News) -> CustomerKind | None:
    """What the ticket's customer is told. Only what they may see, and nothing that they did themselves."""
    if news.contact_id is None or not news.contact_reachable:
        return None
    if news.type == "ticket.created":
        return None if news.actor_type == "system" else "received"
    if (news.actor_type, news.actor_id) == ("contact", news.contact_id):
        return None
    if news.type == "ticket.commented":
        return "replied" if news.visibility == "public" and news.author_type != "contact" else None
    if news.type == "ticket.closed" and news.from_status == "resolved" and not news.note:
        return None  # told already when it was resolved, and there is nothing to add
    told: dict[str, CustomerKind] = {
        "ticket.resolved": "resolved",
        "ticket.closed": "resolved",
        "ticket.reopened": "reopened",
    }
    return told.get(news.type)


def _for_agents(news: News) -> AgentKind | None:
    if news.type == "ticket.commented":
        return "customer_replied" if news.visibility == "public" and news.author_type == "contact" else None
    told: dict[str, AgentKind] = {
        "ticket.assigned": "assigned",
        "ticket.sla_warning": "sla_warning",
        "ticket.sla_breached": "sla_breached",
    }
    return told.get(news.type)


def _agents_told(news: News, kind: AgentKind, admins: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """The assigned agent; a promise about a ticket that nobody has is the admins' to keep."""
    if news.assigned_to is not None:
        mine = (news.actor_type, news.actor_id) == ("user", news.assigned_to)
        return [news.assigned_to] if news.agent_reachable and not mine else []
    return admins.get(news.workspace_id, ())[:MOST_ADMINS] if kind.startswith("sla_") else []
