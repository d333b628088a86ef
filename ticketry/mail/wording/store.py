"""What mails are about and how they are worded, in SQL."""

from dataclasses import asdict
from datetime import datetime

from ticketry.db.pool import Tx
from ticketry.mail.wording.models import About, Content, StoredSettings


async def about(tx: Tx, workspace_id: str, event_id: str) -> About | None:
    """What an event says of its ticket, as far as mails tell it."""
    return await tx.one_of(
        About,
        """SELECT e.data #>> '{ticket,number}' AS number, e.data #>> '{ticket,subject}' AS subject,
               e.data #>> '{ticket,status}' AS status, e.data #>> '{ticket,priority_label}' AS priority,
               e.data #>> '{ticket,category}' AS category, e.data #>> '{ticket,description}' AS description,
               e.data #>> '{ticket,resolution_note}' AS note, t.contact_id, c.name AS contact_name,
               CASE e.actor_type WHEN 'user' THEN e.actor_name END AS agent_name, e.data ->> 'target' AS target,
               e.data ->> 'due_at' AS due_at
           FROM events e JOIN tickets t ON t.workspace_id = e.workspace_id AND t.id = e.ticket_id
           LEFT JOIN contacts c ON c.workspace_id = t.workspace_id AND c.id = t.contact_id
           WHERE e.workspace_id = %s AND e.id = %s""",
        (workspace_id, event_id),
    )


async def comment(tx: Tx, workspace_id: str, comment_id: str) -> tuple[str, str | None] | None:
    """What a comment that customers may see says, and the agent who says it; None if there is no such comment."""
    row = await tx.one(
        """SELECT body, CASE author_type WHEN 'user' THEN author_name END FROM comments
           WHERE workspace_id = %s AND id = %s AND visibility = 'public'""",
        (workspace_id, comment_id),
    )
    return (str(row[0]), row[1]) if row else None


async def last_comment(
    tx: Tx, workspace_id: str, ticket_id: str, *, by_customer: bool
) -> tuple[str, str | None] | None:
    """The newest public comment of a ticket by its customer, or by others, and the agent who says it."""
    row = await tx.one(
        """SELECT body, CASE author_type WHEN 'user' THEN author_name END FROM comments
           WHERE workspace_id = %s AND ticket_id = %s AND visibility = 'public' AND (author_type = 'contact') = %s
           ORDER BY position DESC LIMIT 1""",
        (workspace_id, ticket_id, by_customer),
    )
    return (str(row[0]), row[1]) if row else None


async def settings(tx: Tx, workspace_id: str) -> StoredSettings:
    """What a workspace has set, or the defaults."""
    found = await tx.one_of(
        StoredSettings,
        """SELECT enabled, sender_address, sender_name, reply_to, inbound_address, kinds_off, updated_at
           FROM mail_settings WHERE workspace_id = %s""",
        (workspace_id,),
    )
    return found or StoredSettings()


async def keep_settings(tx: Tx, workspace_id: str, wanted: StoredSettings) -> None:
    """Stores what a workspace has set."""
    await tx.execute(
        """INSERT INTO mail_settings (workspace_id, enabled, sender_address, sender_name, reply_to, inbound_address,
               kinds_off, updated_at)
           VALUES (%(workspace_id)s, %(enabled)s, %(sender_address)s, %(sender_name)s, %(reply_to)s,
               %(inbound_address)s, %(kinds_off)s, %(now)s)
           ON CONFLICT (workspace_id) DO UPDATE SET enabled = excluded.enabled,
               sender_address = excluded.sender_address, sender_name = excluded.sender_name,
               reply_to = excluded.reply_to, inbound_address = excluded.inbound_address,
               kinds_off = excluded.kinds_off, updated_at = excluded.updated_at""",
        {**asdict(wanted), "workspace_id": workspace_id, "now": tx.now},
    )


async def template(tx: Tx, workspace_id: str, kind: str) -> tuple[Content, datetime] | None:
    """A workspace's own template of a kind and since when, None if it has none."""
    row = await tx.one(
        """SELECT subject, body_text, body_html, updated_at FROM mail_templates
           WHERE workspace_id = %s AND kind = %s""",
        (workspace_id, kind),
    )
    return (Content(*row[:3]), row[3]) if row else None


async def keep_template(tx: Tx, workspace_id: str, kind: str, content: Content) -> None:
    """Stores a template, in place of the one before."""
    await tx.execute(
        """INSERT INTO mail_templates (workspace_id, kind, subject, body_text, body_html, updated_at)
           VALUES (%s, %s, %s, %s, %s, %s)
           ON CONFLICT (workspace_id, kind) DO UPDATE SET subject = excluded.subject, body_text = excluded.body_text,
               body_html = excluded.body_html, updated_at = excluded.updated_at""",
        (workspace_id, kind, content.subject, content.text, content.html, tx.now),
    )


async def drop_template(tx: Tx, workspace_id: str, kind: str) -> None:
    """Forgets a template of one's own."""
    await tx.execute("DELETE FROM mail_templates WHERE workspace_id = %s AND kind = %s", (workspace_id, kind))
