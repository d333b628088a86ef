"""The worker's list of tasks: what a process that died leaves behind is taken up again."""

import asyncio
from typing import Any

import psycopg
from conftest import House

from ticketry.db.pool import make_pool
from ticketry.settings import load
from ticketry.web.news import News
from ticketry.web.resources import Resources, make_resources
from ticketry.worker import make_queue


def jobs(house: House) -> dict[str, str]:
    return dict(house.sql("SELECT task_name, status::text FROM procrastinate_jobs"))


def run_task(house: House, name: str, **options: Any) -> None:
    """Runs a periodic task once."""

    async def work() -> None:
        settings = load({"database_url": house.database_url, **options}, {})
        async with make_pool(house.database_url, 2) as pool:
            queue = make_queue(Resources(pool, house.clock, settings, News(house.database_url)))
            async with queue.open_async():
                await queue.tasks[name](timestamp=0)

    asyncio.run(work())


def dead(conn: psycopg.Connection[Any], task: str, queueing_lock: str | None) -> None:
    """A job that a worker was killed in the middle of."""
    query = """INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '5 minutes') RETURNING id"""
    row = conn.execute(query).fetchone()
    assert row is not None
    conn.execute(
        """INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, args, status, worker_id)
           VALUES ('default', %s, %s, '{}', 'doing', %s)""",
        (task, queueing_lock, row[0]),
    )


def test_jobs_of_a_dead_process_are_done_by_others(house: House) -> None:
    """Those that come again by themselves are dropped, also while the next of their kind waits already."""
    with psycopg.connect(house.database_url, autocommit=True) as conn:
        dead(conn, "ring_alarms", "ring_alarms")
        dead(conn, "deliver", None)
        conn.execute(
            """INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, args)
               VALUES ('default', 'close_resolved', 'ring_alarms', '{}')"""
        )
    run_task(house, "rescue_jobs")
    assert jobs(house) == {"deliver": "todo", "close_resolved": "todo"}
    run_task(house, "rescue_jobs")
    assert jobs(house) == {"deliver": "todo", "close_resolved": "todo"}


def test_no_timer_waits_for_another(house: House) -> None:
    """A lock that a killed process holds would keep alarms from ringing for longer than the promised minute."""
    queue = make_queue(make_resources(load({"database_url": house.database_url}, {}), house.clock))
    assert {task.lock for task in queue.tasks.values()} == {None}
