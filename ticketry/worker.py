"""Background work: the list of tasks and timers, and how a process runs them.

The queue lives in the same PostgreSQL (procrastinate): a job exists if and only if what called for it was committed.
"""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import procrastinate
import structlog
from procrastinate.jobs import Status

from ticketry.attachments import jobs as attachments
from ticketry.db.pool import unit
from ticketry.erasure import runs as erasures
from ticketry.feed.jobs import relay
from ticketry.feed.service import Subscriber
from ticketry.mail.receiving import jobs as mail_in
from ticketry.mail.sending import jobs as mail_jobs
from ticketry.mail.sending import service as mail
from ticketry.tickets.promises import jobs as promises
from ticketry.tickets.search.marks import store as marks
from ticketry.tickets.search.store import FOLDED_AT_ONCE, fold_counts
from ticketry.web import idempotency, limits
from ticketry.web.resources import Resources
from ticketry.webhooks.deliveries import jobs as deliveries
from ticketry.webhooks.dispatch.jobs import Dispatcher

log = structlog.get_logger()

CONCURRENCY = 4
"""Jobs that one process works on at a time."""
PAUSE = 2
"""Seconds between two attempts to reach a database that went away."""
JOB_GRACE = 5
"""Seconds that a job in progress gets to finish when the worker is asked to end."""
GRACE = JOB_GRACE + 3
ROUNDS = 3
EVERY_MINUTE = "* * * * *"
EVERY_TEN_SECONDS = "* * * * * */10"
EVERY_HOUR = "7 * * * *"


SUBSCRIBERS: tuple[Subscriber, ...] = (mail.plan,)
"""Who is given every event, in the relay's transaction, beside the dispatcher of webhooks."""


def alone(work: Callable[[int], Awaitable[None]]) -> Callable[[int], Awaitable[None]]:
    """A timer that is still at work is not started beside itself in the same process: it will find what is new."""
    busy = asyncio.Lock()

    @functools.wraps(work)
    async def start(timestamp: int) -> None:
        if not busy.locked():
            async with busy:
                await work(timestamp)

    return start


def _add_purges(queue: procrastinate.App, house: Resources) -> None:
    """What is old goes."""

    @queue.periodic(cron=EVERY_MINUTE)
    @queue.task(name="purge_rate_counters", queueing_lock="purge_rate_counters")
    async def purge_rate_counters(timestamp: int) -> None:
        """Forget the counters of rate-limit windows that have ended."""
        log.debug("purged rate counters", rows=await limits.purge(house.pool, house.clock()))

    @queue.periodic(cron=EVERY_HOUR)
    @queue.task(name="purge_idempotent_answers", queueing_lock="purge_idempotent_answers")
    async def purge_idempotent_answers(timestamp: int) -> None:
        """Forget stored answers that are older than 24 hours."""
        log.debug("purged idempotent answers", rows=await idempotency.purge(house.pool, house.clock()))

    @queue.periodic(cron=EVERY_HOUR)
    @queue.task(name="purge_deliveries", queueing_lock="purge_deliveries")
    @alone
    async def purge_deliveries(timestamp: int) -> None:
        """Forget webhook deliveries that were settled long ago."""
        log.debug("purged webhook deliveries", rows=await deliveries.purge(house.pool, house.clock))

    @queue.periodic(cron=EVERY_MINUTE)
    @queue.task(name="finish_deliveries", queueing_lock="finish_deliveries")
    @alone
    async def finish_deliveries(timestamp: int) -> None:
        """Go on with what was too much for one call, and give up webhook deliveries whose endpoint stays off."""
        log.debug("gave up webhook deliveries", rows=await deliveries.finish(house.pool, house.clock))

    @queue.periodic(cron=EVERY_HOUR)
    @queue.task(name="purge_inbound_mails", queueing_lock="purge_inbound_mails")
    @alone
    async def purge_inbound_mails(timestamp: int) -> None:
        """Delete mails that were kept as they came for as long as the operator wants."""
        log.debug("deleted old mails", mails=await mail_in.purge(house))

    @queue.periodic(cron=EVERY_HOUR)
    @queue.task(name="purge_mail_messages", queueing_lock="purge_mail_messages")
    @alone
    async def purge_mail_messages(timestamp: int) -> None:
        """Forget mails that were sent, failed or skipped long ago."""
        log.debug("forgot old mails", mails=await mail_jobs.purge(house.pool, house.clock, house.settings))


def make_queue(house: Resources) -> procrastinate.App:
    """The queue of this process with every task registered."""
    connector = procrastinate.PsycopgConnector(
        conninfo=house.settings.database_url,
        min_size=1,
        max_size=2,
        kwargs={"application_name": "ticketry worker"},
    )
    queue = procrastinate.App(connector=connector)

    _add_purges(queue, house)

    @queue.periodic(cron=EVERY_TEN_SECONDS)
    @queue.task(name="fold_ticket_counts", queueing_lock="fold_ticket_counts")
    @alone
    async def fold_ticket_counts(timestamp: int) -> None:
        """Fold what changes of tickets have left into the counts and marks that lists read."""
        for fold, most in ((fold_counts, FOLDED_AT_ONCE), (marks.fold, marks.FOLDED_AT_ONCE)):
            rows = most
            while rows == most:
                async with unit(house.pool, house.clock()) as tx:
                    rows = await fold(tx)
                log.debug("folded", what=fold.__module__, rows=rows)

    @queue.periodic(cron=EVERY_TEN_SECONDS)
    @queue.task(name="ring_alarms", queueing_lock="ring_alarms")
    @alone
    async def ring_alarms(timestamp: int) -> None:
        """Tell the SLA warnings and breaches that are due."""
        log.debug("told SLA alarms", tickets=await promises.ring_alarms(house.pool, house.clock))

    @queue.periodic(cron=EVERY_MINUTE)
    @queue.task(name="close_resolved", queueing_lock="close_resolved")
    @alone
    async def close_resolved(timestamp: int) -> None:
        """Close tickets that have been resolved for as long as their workspace allows."""
        log.debug("closed resolved tickets", tickets=await promises.close_resolved(house.pool, house.clock))

    @queue.periodic(cron=EVERY_MINUTE)
    @queue.task(name="rescue_jobs", queueing_lock="rescue_jobs")
    async def rescue_jobs(timestamp: int) -> None:
        """Give the jobs of processes that died to others; what is done periodically comes again by itself."""
        for job in await queue.job_manager.get_stalled_jobs():
            log.warning("rescued a job of a process that died", job=job.id, task=job.task_name)
            if job.queueing_lock is None:
                await queue.job_manager.retry_job(job)
            else:
                await queue.job_manager.finish_job(job, Status.ABORTED, delete_job=True)

    _add_timer_of_files(queue, house)
    _add_erasures(queue, house)
    return queue


def _add_erasures(queue: procrastinate.App, house: Resources) -> None:
    @queue.periodic(cron=EVERY_TEN_SECONDS)
    @queue.task(name="finish_erasures", queueing_lock="finish_erasures")
    @alone
    async def finish_erasures(timestamp: int) -> None:
        """Go on with erasures whose process died, or that were too long for one request."""
        log.debug("finished erasures", erasures=await erasures.finish_all(house))

    @queue.periodic(cron=EVERY_HOUR)
    @queue.task(name="erase_old_tickets", queueing_lock="erase_old_tickets")
    @alone
    async def erase_old_tickets(timestamp: int) -> None:
        """Erase the texts of tickets that were closed for as long as their workspace keeps them."""
        log.debug("erased old tickets", workspaces=await erasures.retain(house))


def _add_timer_of_files(queue: procrastinate.App, house: Resources) -> None:
    @queue.periodic(cron=EVERY_MINUTE)
    @queue.task(name="purge_attachments", queueing_lock="purge_attachments")
    @alone
    async def purge_attachments(timestamp: int) -> None:
        """Delete files that were never attached, uploads that never ended, and what was erased."""
        files = await attachments.purge(house.pool, house.clock, house.settings)
        log.debug("deleted attachments", files=files)


async def _jobs(house: Resources, connected: asyncio.Event) -> None:
    queue = make_queue(house)
    async with queue.open_async():
        connected.set()
        await queue.run_worker_async(
            concurrency=CONCURRENCY,
            install_signal_handlers=False,
            delete_jobs="always",
            shutdown_graceful_timeout=JOB_GRACE,
        )


def _cancelled() -> bool:
    """Whether this task was asked to end. What ends it may look different: the database may fail on the way out."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _keep_going(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Works until cancelled. When the database goes away it waits and comes back."""
    while not _cancelled():
        reason = "it ended"
        try:
            await work()
        except Exception as error:
            reason = " ".join(str(error).split())
        if not _cancelled():
            log.warning("interrupted; trying again", work=name, reason=reason)
            await asyncio.sleep(PAUSE)


@asynccontextmanager
async def running_worker(house: Resources) -> AsyncIterator[None]:
    """A worker beside whatever the block does."""
    connected, dispatcher = asyncio.Event(), Dispatcher(house)
    work: dict[str, Callable[[], Awaitable[None]]] = {
        "jobs": lambda: _jobs(house, connected),
        "mail": lambda: mail_jobs.deliver(house),
        "mailbox": lambda: mail_in.watch(house),
        "relay": lambda: relay(house, (dispatcher.hear, *SUBSCRIBERS)),
        "webhooks": dispatcher.run,
    }
    tasks = [asyncio.create_task(_keep_going(name, one)) for name, one in work.items()]
    try:
        yield
    finally:
        # A pool that is just opening swallows the cancellation and leaves tasks behind, for which the loop would wait.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(connected.wait(), GRACE)
        await asyncio.gather(*(_end(task) for task in tasks))


async def _end(task: asyncio.Task[None]) -> None:
    for _ in range(ROUNDS):
        if task.done():
            break
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE)
    if task.done() and not task.cancelled() and (error := task.exception()):
        log.warning("worker ended badly", reason=" ".join(str(error).split()))
