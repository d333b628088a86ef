"""What stands beside tickets and holds words of theirs too: vocabulary, labels, counts, mails as they came, jobs."""

from collections.abc import Sequence
from typing import Any

from psycopg.types.json import Jsonb

from ticketry.core.text import like
from ticketry.db.pool import Tx
from ticketry.erasure.models import Run


async def note_words(tx: Tx, run: Run, ticket_ids: Sequence[str]) -> None:
    """Remembers the words of tickets whose texts are about to go, as far as they are in the vocabulary."""
    await tx.execute(
        """INSERT INTO erasure_words (workspace_id, erasure_id, word)
           SELECT DISTINCT v.workspace_id, %(run)s, v.word
           FROM (
               SELECT words FROM ticket_words WHERE workspace_id = %(workspace_id)s AND ticket_id = ANY(%(ids)s)
               UNION ALL
               SELECT jsonb_to_tsvector('simple', jsonb_build_array(
                          data #> '{ticket,subject}', data #> '{ticket,description}', data #> '{changes,subject}',
                          data #> '{changes,description}'), '["string"]')
               FROM events WHERE workspace_id = %(workspace_id)s AND ticket_id = ANY(%(ids)s)
           ) AS texts CROSS JOIN LATERAL unnest(tsvector_to_array(texts.words)) AS l (word)
           JOIN vocabulary v ON v.workspace_id = %(workspace_id)s AND v.word = l.word ON CONFLICT DO NOTHING""",
        {"run": run.id, "workspace_id": run.workspace_id, "ids": list(ticket_ids)},
    )


async def note_person(tx: Tx, run: Run, texts: Sequence[str]) -> None:
    """Remembers the words of the person's names and addresses: the vocabulary may have them from texts long gone."""
    await tx.execute(
        """INSERT INTO erasure_words (workspace_id, erasure_id, word)
           SELECT v.workspace_id, %s, v.word
           FROM unnest(tsvector_to_array(to_tsvector('simple', %s))) AS l (word)
           JOIN vocabulary v ON v.workspace_id = %s AND v.word = l.word ON CONFLICT DO NOTHING""",
        (run.id, " ".join(texts), run.workspace_id),
    )


async def forget_answers(tx: Tx, run: Run, event_ids: Sequence[str], instead: str) -> int:
    """Replaces what receivers of webhooks answered to events that were altered: they may have repeated the words."""
    return await tx.execute(
        """UPDATE webhook_attempts a SET answer = CASE WHEN answer IS NOT NULL THEN %(instead)s END,
               error = CASE WHEN error IS NOT NULL THEN %(instead)s END
           FROM webhook_deliveries d
           WHERE d.workspace_id = %(workspace_id)s AND d.event_id = ANY(%(ids)s)
               AND a.workspace_id = d.workspace_id AND a.delivery_id = d.id AND num_nonnulls(answer, error) > 0""",
        {"instead": instead, "workspace_id": run.workspace_id, "ids": list(event_ids)},
    )


async def drop_words(tx: Tx, run: Run, limit: int) -> str | None:
    """Takes the next remembered words out of the vocabulary if no ticket holds them; the last one looked at.

    Most words of a text are common: they are found among the newest tickets, and only the rest is looked up.
    """
    row = await tx.one(
        """WITH batch AS MATERIALIZED (
               SELECT word FROM erasure_words WHERE workspace_id = %(workspace_id)s AND erasure_id = %(run)s
               AND word > %(after)s ORDER BY word LIMIT %(limit)s),
           newest AS MATERIALIZED (
               SELECT id FROM tickets WHERE workspace_id = %(workspace_id)s
               ORDER BY created_at DESC, id DESC LIMIT 500),
           common AS MATERIALIZED (
               SELECT DISTINCT l.word FROM newest JOIN ticket_words w
                   ON w.workspace_id = %(workspace_id)s AND w.ticket_id = newest.id
               CROSS JOIN LATERAL unnest(tsvector_to_array(w.words)) AS l (word)),
           unused AS MATERIALIZED (
               SELECT word FROM batch WHERE word NOT IN (SELECT word FROM common) AND NOT EXISTS (
                   SELECT FROM ticket_words w
                   WHERE w.workspace_id = %(workspace_id)s AND w.words @@ quote_lexeme(batch.word)::tsquery)),
           dropped AS (
               DELETE FROM vocabulary v USING unused
               WHERE v.workspace_id = %(workspace_id)s AND v.word = unused.word),
           noted AS (
               UPDATE erasure_words e SET removed = true FROM unused
               WHERE e.workspace_id = %(workspace_id)s AND e.erasure_id = %(run)s AND e.word = unused.word)
           SELECT max(word) FROM batch""",
        {"workspace_id": run.workspace_id, "run": run.id, "after": run.place, "limit": limit},
    )
    return row[0] if row else None


async def mend_words(tx: Tx, run: Run, limit: int) -> int:
    """Forgets the words remembered, and gives back to the vocabulary those that came into use meanwhile."""
    row = await tx.one(
        """WITH batch AS (
               DELETE FROM erasure_words WHERE workspace_id = %(workspace_id)s AND erasure_id = %(run)s
               AND word IN (SELECT word FROM erasure_words
                            WHERE workspace_id = %(workspace_id)s AND erasure_id = %(run)s LIMIT %(limit)s)
               RETURNING word, removed),
           mended AS (
               INSERT INTO vocabulary (workspace_id, word)
               SELECT %(workspace_id)s, word FROM batch WHERE removed AND EXISTS (
                   SELECT FROM ticket_words w
                   WHERE w.workspace_id = %(workspace_id)s AND w.words @@ quote_lexeme(batch.word)::tsquery)
               ORDER BY word ON CONFLICT DO NOTHING)
           SELECT count(*) FROM batch""",
        {"workspace_id": run.workspace_id, "run": run.id, "limit": limit},
    )
    return int(row[0]) if row else 0


async def forget_former(tx: Tx, run: Run, values: Sequence[str]) -> None:
    """Takes the person's names, addresses and numbers out of what other contacts' fields held before, by mistake."""
    await tx.execute(
        """UPDATE contacts SET former = (
               SELECT coalesce(jsonb_object_agg(field, kept), '{}') FROM (
                   SELECT field, jsonb_agg(value ORDER BY place) AS kept
                   FROM jsonb_each(former) AS f (field, held),
                        jsonb_array_elements_text(held) WITH ORDINALITY AS v (value, place)
                   WHERE lower(value) <> ALL(%(values)s) GROUP BY field) AS fields)
           WHERE workspace_id = %(workspace_id)s AND former <> '{}' AND EXISTS (
               SELECT FROM jsonb_each(former) AS f (field, held), jsonb_array_elements_text(held) AS v (value)
               WHERE lower(value) = ANY(%(values)s))""",
        {"workspace_id": run.workspace_id, "values": [value.lower() for value in values]},
    )


async def labels(tx: Tx, run: Run, ticket_ids: Sequence[str]) -> list[str]:
    """The categories and root causes that these tickets have or had."""
    rows = await tx.all(
        """SELECT DISTINCT label FROM (
               SELECT unnest(ARRAY[category, root_cause]) FROM tickets
               WHERE workspace_id = %(workspace_id)s AND id = ANY(%(ids)s)
               UNION ALL SELECT root_cause FROM resolutions
               WHERE workspace_id = %(workspace_id)s AND ticket_id = ANY(%(ids)s)
               UNION ALL SELECT unnest(ARRAY[data #>> '{ticket,category}', data #>> '{ticket,root_cause}'])
               FROM events WHERE workspace_id = %(workspace_id)s AND ticket_id = ANY(%(ids)s)) AS l (label)
           WHERE label IS NOT NULL""",
        {"workspace_id": run.workspace_id, "ids": list(ticket_ids)},
    )
    return [label for (label,) in rows]


async def others_labels(tx: Tx, run: Run, ticket_ids: Sequence[str], labels: Sequence[str]) -> set[str]:
    """Those of these categories and root causes that tickets have which are not the person's, nor among these."""
    rows = await tx.all(
        """SELECT label FROM unnest(%(labels)s::text[]) AS l (label) WHERE EXISTS (
               SELECT FROM tickets WHERE workspace_id = %(workspace_id)s AND (category = label OR root_cause = label)
               AND contact_id IS DISTINCT FROM %(contact_id)s AND id <> ALL(%(ids)s))""",
        {
            "workspace_id": run.workspace_id, "contact_id": run.contact_id, "ids": list(ticket_ids),
            "labels": list(labels),
        },
    )  # fmt: skip
    return {label for (label,) in rows}


async def drop_empty_counts(tx: Tx, workspace_id: str) -> bool:
    """Removes counts of no tickets, which may name an erased category; False while differences wait to be folded."""
    row = await tx.one("SELECT EXISTS (SELECT FROM ticket_count_changes WHERE workspace_id = %s)", (workspace_id,))
    await tx.execute("DELETE FROM ticket_counts WHERE workspace_id = %s AND tickets = 0", (workspace_id,))
    await tx.execute("DELETE FROM ticket_rollups WHERE workspace_id = %s AND tickets = 0", (workspace_id,))
    return not (row and row[0])


async def has_mark_changes(tx: Tx, workspace_id: str) -> bool:
    """Whether changes of tickets wait to be folded into the marks."""
    row = await tx.one("SELECT EXISTS (SELECT FROM ticket_mark_changes WHERE workspace_id = %s)", (workspace_id,))
    return row is not None and bool(row[0])


async def tables(tx: Tx) -> list[str]:
    """Every table that holds anything of a workspace."""
    rows = await tx.all(
        """SELECT c.oid::regclass::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
           WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace AND a.attname = 'workspace_id'
           ORDER BY 1"""
    )
    return [name for (name,) in rows]


async def renew_statistics(tx: Tx, table: str) -> None:
    """Makes the planner's statistics of a table anew: they hold values, also of rows that are gone.

    An empty table's are cleared: ANALYZE would leave them. (Before PostgreSQL 18 they stay until it has rows.)
    """
    await tx.execute(f"ANALYZE {table}")
    row = await tx.one(f"SELECT EXISTS (SELECT FROM {table}), to_regproc('pg_clear_attribute_stats') IS NOT NULL")
    if row == (False, True):
        await tx.all(
            """SELECT pg_clear_attribute_stats(schemaname::text, tablename::text, attname::text, inherited)
               FROM pg_stats WHERE schemaname = current_schema() AND (tablename = %(table)s OR tablename IN (
                   SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = %(table)s::text::regclass))
               AND has_table_privilege(%(table)s::text, 'MAINTAIN')""",
            {"table": table},
        )


async def raws(tx: Tx, workspace_id: str, mail_ids: Sequence[str]) -> list[str]:
    """Those of these mails that the file store has as they came."""
    query = "SELECT mail_id FROM inbound_raws WHERE workspace_id = %s AND mail_id = ANY(%s)"
    return [mail_id for (mail_id,) in await tx.all(query, (workspace_id, list(mail_ids)))]


async def forget_raw(tx: Tx, workspace_id: str, mail_id: str) -> None:
    """A mail as it came is deleted."""
    await tx.execute("DELETE FROM inbound_raws WHERE workspace_id = %s AND mail_id = %s", (workspace_id, mail_id))


async def drop_mails(tx: Tx, run: Run) -> None:
    """Mails to the person that were not sent yet are not sent any more."""
    await tx.execute(
        """UPDATE mail_messages SET status = 'skipped', reason = 'erased', next_attempt_at = NULL
           WHERE workspace_id = %s AND recipient_type = 'contact' AND recipient_id = %s AND status = 'pending'""",
        (run.workspace_id, run.contact_id),
    )


async def jobs(tx: Tx, rough: Sequence[str]) -> list[tuple[int, dict[str, Any]]]:
    """Queued jobs whose arguments may mention the person."""
    query = "SELECT id, args FROM procrastinate_jobs WHERE lower(args::text) LIKE ANY(%s) FOR UPDATE"
    return [(job_id, args) for job_id, args in await tx.all(query, ([like(part) for part in rough],))]


async def write_job(tx: Tx, job_id: int, args: dict[str, Any]) -> None:
    """Stores a job's arguments."""
    await tx.execute("UPDATE procrastinate_jobs SET args = %s WHERE id = %s", (Jsonb(args), job_id))
