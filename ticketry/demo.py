"""A workspace full of sample data, made only by calling services, as if its people had worked for half a year.

Each ticket gets a story: steps at instants of the past. The steps of all stories are told in the order of time, so
numbers, events and instants fit together as they would in life.
"""

import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from ticketry.accounts.users import service as users
from ticketry.accounts.users.models import UserIn
from ticketry.accounts.workspaces import service as workspaces
from ticketry.accounts.workspaces.models import Workspace, WorkspaceIn
from ticketry.contacts import service as contacts
from ticketry.contacts.models import ContactIn
from ticketry.core.actor import Actor
from ticketry.db.pool import Pool, Tx, unit
from ticketry.mail.wording import service as wording
from ticketry.mail.wording.models import MailSettingsIn
from ticketry.tickets import service as tickets
from ticketry.tickets.comments import service as comments
from ticketry.tickets.comments.models import CommentIn
from ticketry.tickets.models import CloseIn, ReopenIn, Status, TicketIn, TicketPatch

Choice = TypeVar("Choice")

PERIOD = timedelta(days=180)
FRESH = timedelta(days=10)
"""Tickets younger than this may still be in any state; older ones are nearly all closed."""
EVERY_STATE: tuple[Status, ...] = (
    "closed", "reopened", "resolved", "waiting_on_third_party", "waiting_on_customer", "in_progress", "open", "new",
)  # fmt: skip
FRESH_STATES: dict[Status, int] = {
    "closed": 45, "resolved": 10, "open": 12, "new": 7, "in_progress": 12, "waiting_on_customer": 7,
    "waiting_on_third_party": 3, "reopened": 4,
}  # fmt: skip
OLD_STATES: dict[Status, int] = {"closed": 96, "waiting_on_customer": 2, "waiting_on_third_party": 2}
PRIORITIES = {1: 5, 2: 20, 3: 55, 4: 20}
ANSWER_MINUTES = {1: 60, 2: 480, 3: 1_440, 4: 10_080}  # the default targets, which most answers meet
SOLVE_MINUTES = {1: 480, 2: 1_440, 3: 4_320, 4: 20_160}
RATINGS = {10: 24, 9: 26, 8: 18, 7: 11, 6: 7, 5: 5, 4: 3, 3: 2, 2: 2, 1: 2}
RATED, ANSWERED_LATE, SOLVED_LATE, REOPENED = 0.65, 0.1, 0.15, 0.09  # shares of tickets


class Topic(NamedTuple):
    """What a customer may write about, and how it ends."""

    subject: str
    description: str
    category: str
    tags: list[str]
    root_cause: str
    solution: str


TOPICS = (
    Topic("Refund not received", "I returned order **1042** two weeks ago, and the refund has not arrived.", "billing",
          ["refund"], "system_error", "Refund processed; it arrives within three working days."),
    Topic("Charged twice", "My card was charged twice for the same order.", "billing", ["refund", "card"],
          "payment_provider", "The second charge was cancelled with the payment provider."),
    Topic("Invoice shows the wrong address", "Please put our new address on the invoice for May.", "billing",
          ["invoice"], "user_error", "Invoice corrected and sent again; the new address is stored."),
    Topic("Cannot sign in", "It says *wrong password*, though I reset it this morning.", "account", ["login"],
          "configuration", "The account was locked after five attempts. Unlocked, and the limit explained."),
    Topic("Two-factor code does not arrive", "I wait for the message, but none comes.", "account", ["login", "sms"],
          "third_party", "The SMS provider had an outage; switched to an authenticator app meanwhile."),
    Topic("Please delete my account", "I no longer use the service and want my data deleted.", "account", ["privacy"],
          "customer_request", "Account and personal data deleted; confirmation sent."),
    Topic("Export stops halfway", "The CSV export ends after 10,000 rows. I need all 48,000.", "bug", ["export"],
          "software_bug", "Fixed in release 4.12: exports are no longer cut off."),
    Topic("Page stays empty on the phone", "After the update the start page stays white on my phone.", "bug",
          ["mobile"], "software_bug", "A script failed on older phones; fixed and released."),
    Topic("Search finds nothing", "Since yesterday the search finds none of our documents.", "bug", ["search"],
          "system_error", "The search index was rebuilt; results are complete again."),
    Topic("Very slow in the morning", "Between 8 and 9 every click takes ten seconds.", "performance", ["slow"],
          "capacity", "Capacity was raised for the morning hours; clicks take under a second."),
    Topic("Parcel arrived damaged", "The box was crushed and the lamp inside is broken.", "shipping",
          ["parcel", "damage"], "carrier", "Replacement sent by express; the carrier was informed."),
    Topic("Where is my parcel?", "The tracking page has not changed for six days.", "shipping", ["parcel"], "carrier",
          "The parcel was found in the depot and delivered."),
    Topic("How do I add a colleague?", "I would like to give a colleague access to our projects.", "question",
          ["how-to"], "documentation", "Explained the invitation page, and improved the guide."),
    Topic("Dark mode?", "Working at night, I would love a dark mode.", "feature", ["idea"], "feature_request",
          "Noted for the next planning; the customer hears from us when it comes."),
    Topic("Webhook arrives twice", "Our endpoint gets every event two times.", "api", ["webhook"], "user_error",
          "The endpoint was registered twice; one registration removed."),
    Topic("API answers 429", "We call once a second and still get *too many requests*.", "api", ["limits"],
          "configuration", "The plan's limit was raised, and batching explained."),
)  # fmt: skip
AGENTS = ("Jane Smith", "Bob Jones", "Amira Haddad", "Luca Rossi", "Mei Tanaka", "Olu Adeyemi")
FIRST_NAMES = (
    "Sam", "Noor", "Elena", "Jonas", "Priya", "Mateo", "Hannah", "Tomasz", "Aisha", "Pierre", "Ingrid", "Diego", "Yuki",
    "Fatima", "Oscar", "Leila",
)  # fmt: skip
LAST_NAMES = (
    "Taylor", "Okafor", "Novak", "Lindqvist", "Sharma", "García", "Weber", "Kowalski", "Rahman", "Dubois", "Haugen",
    "Silva", "Sato", "Yilmaz", "Byrne", "Petrov",
)  # fmt: skip
COMPANIES = ("Globex", "Initech", "Umbrella Foods", "Hooli", "Vandelay Imports", "Wonka Sweets", None, None)
ANSWERS = (
    "Thank you for writing. I am looking into it and come back to you today.",
    "I am sorry for the trouble. I have passed this on to the team and keep you posted.",
    "Thanks for the report! I could reproduce it and am working on it.",
)
QUESTIONS = ("Could you send me a screenshot?", "Which order number is it about?", "Does it also happen at home?")
REPLIES = ("Here you are. I hope this helps.", "It is the one from last Monday.", "Yes, it is the same everywhere.")
NOTES = ("Same as last week, see the wiki.", "Customer is important: renewal next month.", "Asked operations for logs.")
REASONS = ("It happened again this morning.", "The problem is only partly solved.", "The money has still not arrived.")


class Step(NamedTuple):
    """One thing that happens to a ticket: `act` gets the unit of work and the ticket's id."""

    after: timedelta
    act: Callable[[Tx, str], Awaitable[Any]]


@dataclass
class Story:
    """A ticket's life: when it begins, who brings it, and what follows."""

    begin: datetime
    customer: Actor
    opening: TicketIn
    steps: list[Step] = field(default_factory=list)
    ticket_id: str = ""

    def moments(self, now: datetime) -> Iterator[datetime]:
        """The instants of the steps; a story too long for the time since its begin is told faster."""
        total = sum((step.after for step in self.steps), timedelta())
        pace = min(1.0, (now - self.begin) * 0.98 / total) if total else 1.0
        at = self.begin
        for step in self.steps:
            at = (at + step.after * pace).replace(microsecond=0)
            yield at


async def fill(pool: Pool, agency_id: str, count: int, now: datetime, told: Callable[[float], None]) -> Workspace:
    """Makes the workspace with `count` tickets. `told` hears of progress, as a share from 0 to 1."""
    chance = random.Random(20250115)  # noqa: S311 - the same sample data every time
    async with unit(pool, now - PERIOD) as tx:
        workspace = await workspaces.create(tx, agency_id, WorkspaceIn(name="Demo"))
        await wording.change_settings(tx, workspace.id, MailSettingsIn(enabled=False), smtp=False)
        agents = [await _agent(tx, workspace.id, name) for name in AGENTS]
        customers = [await _customer(tx, workspace.id, n, chance) for n in range(max(12, min(500, count // 6)))]
    author = Author(chance, now, agents)
    beginnings = sorted(author.beginning() for _ in range(count))
    stories = [
        author.story(begin, chance.choice(customers), _ending(chance, index - count, begin, now))
        for index, begin in enumerate(beginnings)
    ]
    await _tell(pool, stories, now, told)
    return workspace


def _ending(chance: random.Random, from_end: int, begin: datetime, now: datetime) -> Status:
    """The state in which a ticket is today. The last few show every state there is."""
    if from_end >= -len(EVERY_STATE):
        return EVERY_STATE[from_end]
    return _pick(chance, FRESH_STATES if now - begin < FRESH else OLD_STATES)


def _pick(chance: random.Random, weights: dict[Choice, int]) -> Choice:
    return chance.choices(list(weights), list(weights.values()))[0]


async def _agent(tx: Tx, workspace_id: str, name: str) -> Actor:
    email = f"{name.lower().replace(' ', '.')}@support.example.com"
    body = UserIn(name=name, email=email, role="admin" if name == AGENTS[0] else "agent")
    user = await users.create(tx, workspace_id, body)
    return Actor(workspace_id, "user", user.id, user.name, user_id=user.id)


async def _customer(tx: Tx, workspace_id: str, number: int, chance: random.Random) -> Actor:
    name = f"{chance.choice(FIRST_NAMES)} {chance.choice(LAST_NAMES)}"
    body = ContactIn(
        name=name,
        email=f"customer{number + 1}@example.com",
        company=chance.choice(COMPANIES),
        external_id=f"crm-{10_000 + number}",
        tags=["vip"] if chance.random() < 0.1 else [],
    )
    contact = await contacts.create(tx, workspace_id, body)
    return Actor(workspace_id, "contact", contact.id, contact.name)


class Author:
    """Makes up stories."""

    def __init__(self, chance: random.Random, now: datetime, agents: Sequence[Actor]) -> None:
        self.chance = chance
        self.now = now
        self.agents = agents

    def beginning(self) -> datetime:
        """An instant of the period: more of late than long ago, more by day than by night."""
        at: datetime = self.now - PERIOD * float(self.chance.random() ** 1.3)
        if not 7 <= at.hour < 19 and self.chance.random() < 0.8:
            at = at.replace(hour=self.chance.randrange(7, 19))
        return min(at, self.now - timedelta(minutes=20)).replace(microsecond=0)

    def story(self, begin: datetime, customer: Actor, ending: Status) -> Story:
        """A ticket's life up to the state `ending`."""
        topic = self.chance.choice(TOPICS)
        priority = _pick(self.chance, PRIORITIES)
        opening = TicketIn(
            subject=topic.subject,
            description=topic.description,
            priority=priority,
            category=topic.category,
            contact_id=customer.id,
            tags=topic.tags,
            metadata={"source": self.chance.choice(["mail", "web", "phone"])},
        )
        story = Story(begin, customer, opening)
        if ending != "new":
            self._work(story, topic, priority, ending)
        return story

    def _work(self, story: Story, topic: Topic, priority: int, ending: Status) -> None:
        agent = self.chance.choice(self.agents)
        self._answer(story, agent, priority)
        left = self._solving_time(priority)
        if ending != "open":
            story.steps.append(_set(left * 0.1, agent, status="in_progress"))
            self._detours(story, agent, left * 0.6)
        if ending in {"waiting_on_customer", "waiting_on_third_party", "resolved"}:
            story.steps.append(_set(left * 0.2, agent, status=ending))
        if ending in {"closed", "reopened"}:
            self._end(story, topic, agent, left * 0.3, again=ending == "reopened")

    def _answer(self, story: Story, agent: Actor, priority: int) -> None:
        """The ticket finds its agent, who writes back, mostly in time."""
        late = self.chance.random() < ANSWERED_LATE
        minutes = ANSWER_MINUTES[priority] * (self.chance.uniform(1.1, 2) if late else self.chance.uniform(0.02, 0.6))
        story.steps.append(_set(timedelta(minutes=minutes * 0.3), agent, assigned_to=agent.id))
        story.steps.append(_say(timedelta(minutes=minutes * 0.7), agent, self.chance.choice(ANSWERS)))

    def _solving_time(self, priority: int) -> timedelta:
        late = self.chance.random() < SOLVED_LATE
        factor = self.chance.uniform(1.1, 2.5) if late else self.chance.uniform(0.1, 0.8)
        return timedelta(minutes=SOLVE_MINUTES[priority] * factor)

    def _detours(self, story: Story, agent: Actor, time: timedelta) -> None:
        """Some tickets need a note, an answer of the customer, or somebody else."""
        if self.chance.random() < 0.3:
            story.steps.append(_say(time * 0.1, agent, self.chance.choice(NOTES), visibility="internal"))
        if self.chance.random() < 0.4:
            story.steps.append(_say(time * 0.1, agent, self.chance.choice(QUESTIONS)))
            story.steps.append(_set(timedelta(minutes=1), agent, status="waiting_on_customer"))
            story.steps.append(_say(time * 0.5, story.customer, self.chance.choice(REPLIES)))
            story.steps.append(_set(time * 0.05, agent, status="in_progress"))
        if self.chance.random() < 0.15:
            story.steps.append(_set(time * 0.1, agent, status="waiting_on_third_party"))
            story.steps.append(_set(time * 0.3, agent, status="in_progress"))

    def _end(self, story: Story, topic: Topic, agent: Actor, time: timedelta, *, again: bool) -> None:
        """The close; some come back, and of those all but the ones to be shown so are closed once more."""
        story.steps.append(self._close(time, topic, agent))
        if not again and self.chance.random() > REOPENED:
            return
        reason = self.chance.choice(REASONS)
        story.steps.append(_reopen(timedelta(hours=self.chance.uniform(3, 60)), story.customer, reason))
        if not again:
            story.steps.append(_set(timedelta(hours=1), agent, status="in_progress"))
            story.steps.append(_say(timedelta(minutes=5), agent, self.chance.choice(ANSWERS)))
            story.steps.append(self._close(timedelta(hours=self.chance.uniform(2, 30)), topic, agent))

    def _close(self, after: timedelta, topic: Topic, agent: Actor) -> Step:
        body = CloseIn(
            resolution_note=topic.solution,
            customer_satisfaction=_pick(self.chance, RATINGS) if self.chance.random() < RATED else None,
            resolution_time=self.chance.randrange(5, 180),
            root_cause=topic.root_cause,
        )
        return Step(after, lambda tx, ticket_id: tickets.close(tx, agent, ticket_id, body))


def _set(after: timedelta, actor: Actor, **changes: Any) -> Step:
    body = TicketPatch(**changes)
    return Step(after, lambda tx, ticket_id: tickets.update(tx, actor, ticket_id, body))


def _say(after: timedelta, actor: Actor, text: str, **more: Any) -> Step:
    body = CommentIn(body=text, **more)
    return Step(after, lambda tx, ticket_id: comments.add(tx, actor, ticket_id, body))


def _reopen(after: timedelta, actor: Actor, reason: str) -> Step:
    return Step(after, lambda tx, ticket_id: tickets.reopen(tx, actor, ticket_id, ReopenIn(reason=reason)))


async def _tell(pool: Pool, stories: Sequence[Story], now: datetime, told: Callable[[float], None]) -> None:
    """All stories at once, moment by moment."""
    moments = [(story.begin, number, 0) for number, story in enumerate(stories)]
    for number, story in enumerate(stories):
        moments += [(at, number, position) for position, at in enumerate(story.moments(now), 1)]
    for done, (at, number, position) in enumerate(sorted(moments), 1):
        story = stories[number]
        async with unit(pool, at) as tx:
            if position == 0:
                story.ticket_id = (await tickets.create(tx, story.customer, story.opening)).id
            else:
                await story.steps[position - 1].act(tx, story.ticket_id)
        told(done / len(moments))
