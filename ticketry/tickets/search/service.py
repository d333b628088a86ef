"""Listing and searching tickets."""

import json
from typing import Any

from ticketry.core.actor import Actor
from ticketry.core.errors import ValidationFailed, field_error
from ticketry.db.paging import page_of
from ticketry.db.pool import Tx
from ticketry.tickets.search import store
from ticketry.tickets.search.marks import store as marks
from ticketry.tickets.search.models import Cursor, Found, TicketFilters, TicketsAsked
from ticketry.tickets.search.rules import MOST_SHORT, MOST_TERMS, Sought, is_too_much, read_search


async def find(tx: Tx, actor: Actor, asked: TicketsAsked) -> str:
    """The page of tickets asked for as JSON (see `TicketPage`), with the exact total of all that match."""
    _check_cursor(asked)
    total, items = await _found(tx, actor, asked)
    shown = items[: asked.per_page]
    next_cursor = _cursor_after(shown[-1], asked).text() if len(items) > len(shown) else None
    meta = {**page_of([], total, asked).meta.model_dump(), "next_cursor": next_cursor}
    return f'{{"data":[{",".join(shown)}],"meta":{json.dumps(meta)}}}'


async def _found(tx: Tx, actor: Actor, asked: TicketsAsked) -> Found:
    where = store.conditions(asked, actor.workspace_id, tx.now)
    sought = None if asked.search is None else await _sought(tx, actor, asked.search)
    if marks.serves(asked, sought):
        return await marks.found(tx, asked, where, sought)
    if asked.search is None and asked.tags is None:
        return await store.found(tx, asked, where)
    return await store.found_beside(tx, asked, where, sought)


async def everything(tx: Tx, actor: Actor, asked: TicketFilters, shown: str) -> tuple[str, dict[str, Any], int]:
    """The statement that shows all tickets of a list in its order, its parameters, and how many there are.

    `shown` are its columns, in SQL. Meant for a unit of work that sees one moment: then the number is exact.
    """
    filters = asked.model_dump(include=set(TicketFilters.model_fields), exclude_unset=True)
    total, _ = await _found(tx, actor, TicketsAsked(**filters, per_page=1))
    where = store.conditions(asked, actor.workspace_id, tx.now)
    if asked.search is None and asked.tags is None:
        await store.walk_an_index(tx)
    sought = None if asked.search is None else await _sought(tx, actor, asked.search)
    return *store.everything(asked, where, sought, shown), total


async def _sought(tx: Tx, actor: Actor, text: str) -> Sought:
    asked = read_search(text)
    if is_too_much(asked):
        most = (
            f"must be at most {MOST_TERMS} words or phrases, {MOST_SHORT} of them of two Chinese or Japanese characters"
        )
        raise ValidationFailed(field_error("search", "too_many_terms", most))
    sought = await store.read(tx, actor.workspace_id, asked)
    if sought is None:
        raise ValidationFailed(field_error("search", "too_many_words", "is a part of too many words; say more of it"))
    return sought


def _check_cursor(asked: TicketsAsked) -> None:
    """A cursor belongs to one order and counts no pages."""
    if asked.after is None:
        return
    if (asked.after.sort_by, asked.after.sort_order) != (asked.sort_by, asked.sort_order):
        raise ValidationFailed(field_error("cursor", "other_order", "belongs to a list in another order"))
    if asked.page != 1:
        raise ValidationFailed(field_error("cursor", "cursor_and_page", "cannot be combined with page"))


def _cursor_after(item: str, asked: TicketsAsked) -> Cursor:
    last = json.loads(item)
    return Cursor(asked.sort_by, asked.sort_order, last[asked.sort_by], last["id"])
