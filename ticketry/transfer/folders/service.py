"""A whole workspace out into a folder, and in again as it was."""

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from psycopg import Error
from pydantic_core import from_json, to_json

from ticketry import __version__
from ticketry.accounts.workspaces.models import Workspace
from ticketry.attachments import service as attachments
from ticketry.attachments.files import Files
from ticketry.attachments.store import Place
from ticketry.core.errors import OperatorError
from ticketry.db.pool import Pool, Tx
from ticketry.sla.policies.models import DEFAULT_POLICY_ID
from ticketry.tickets.search.store import walk_an_index
from ticketry.transfer.folders import disk, rows, rules, store
from ticketry.transfer.folders.models import (
    FILES,
    FORMAT,
    MANIFEST,
    POLICIES,
    TABLES,
    WORKSPACE,
    Entry,
    Kept,
    Manifest,
    Origin,
    Table,
)

LINES_AT_ONCE = 5_000
Told = Callable[[int], None]
"""Is told of rows and files as they are done."""
KEPT_AT_HOME = ("name", "environment", "created_at")
"""What a workspace that was there before an import keeps."""


# ---- out


async def size(tx: Tx, workspace_id: str) -> int:
    """How many rows an export will have, its attachments counted twice: as rows, and as files."""
    counts = {table.name: await store.count(tx, workspace_id, table) for table in TABLES}
    return sum(counts.values()) + counts["attachments"]


async def take(tx: Tx, workspace: Workspace, files: Callable[[], Files], folder: Path, told: Told) -> Manifest:
    """Writes everything of a workspace into an empty folder. The unit must see one moment.

    `files` opens the file store; it is called if there are attachments. API keys and whatever else is secret stay.
    """
    if run_id := await store.erasing(tx, workspace.id):
        raise OperatorError(f"{run_id} is still erasing words of workspace {workspace.name}: export when it has ended")
    await walk_an_index(tx)
    entries = {WORKSPACE: await _take_workspace(tx, workspace.id, folder)}
    for table in TABLES:
        names = await store.columns(tx, table)
        with disk.Writing(folder / table.file) as out:
            async with aclosing(store.lines(tx, workspace.id, table, names)) as blocks:
                async for block in blocks:
                    told(out.write(block))
        entries[table.name] = Entry(rows=out.rows, bytes=out.bytes, sha256=out.sha256, columns=names)
    manifest = Manifest(
        format=FORMAT,
        program=f"ticketry {__version__}",
        made_at=tx.now,
        workspace=Origin(id=workspace.id, name=workspace.name, environment=workspace.environment),
        last_number=await store.last_number(tx, workspace.id),
        attachments=await _take_files(tx, workspace.id, files, folder / FILES, told),
        tables=entries,
    )
    disk.write_manifest(folder, manifest)
    return manifest


async def _take_workspace(tx: Tx, workspace_id: str, folder: Path) -> Entry:
    row, names = await store.workspace(tx, workspace_id)
    with disk.Writing(folder / f"{WORKSPACE}.ndjson") as out:
        out.write(to_json(row) + b"\n")
    return Entry(rows=1, bytes=out.bytes, sha256=out.sha256, columns=names)


async def _take_files(tx: Tx, workspace_id: str, files: Callable[[], Files], folder: Path, told: Told) -> int:
    taken = 0
    async for kept in store.attachments(tx, workspace_id):
        with disk.Writing(folder / kept.id) as out:
            try:
                path = attachments.path_of(Place(workspace_id, kept.id))
                async for piece in await files().read(path, 0, kept.size):
                    out.write(piece)
            except FileNotFoundError:
                raise OperatorError(f"the file of attachment {kept.id} is not in the file store") from None
        if (out.bytes, out.sha256) != (kept.size, kept.sha256):
            raise OperatorError(f"the file of attachment {kept.id} is not what was uploaded: the file store is damaged")
        told(1)
        taken += 1
    return taken


# ---- in


def check(folder: Path) -> Manifest:
    """What a folder holds, every file of rows compared with its SHA-256. Raises `OperatorError`."""
    manifest = disk.read_manifest(folder)
    for name, entry in manifest.tables.items():
        disk.check_file(folder / f"{name}.ndjson", entry)
    return manifest


def rows_of(manifest: Manifest) -> int:
    """What an import will tell of as done."""
    return sum(entry.rows for entry in manifest.tables.values()) + manifest.attachments


async def settings_of(folder: Path) -> dict[str, Any]:
    """The workspace's own row."""
    text = b"".join([block async for block in disk.blocks(folder / f"{WORKSPACE}.ndjson")])
    try:
        row = from_json(text)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise OperatorError(f"{WORKSPACE}.ndjson line 1: is no JSON object")
    return row


async def bring(
    tx: Tx,
    pool: Pool,
    workspace: Workspace,
    folder: Path,
    manifest: Manifest,
    files: Callable[[], Files],
    told: Told,
    *,
    new: bool,
) -> None:
    """Stores everything that a folder holds in a workspace that is as good as new. All of it, when the unit commits.

    Each file that it writes into the file store is announced by a unit of `pool`, so that it goes again should `tx` not
    commit, however that ends. Raises `OperatorError` naming file, line and field of what cannot be stored.
    """
    if found := await store.used_for(tx, workspace.id):
        raise OperatorError(f"workspace {workspace.name} holds {found}: import into a new one (--new NAME)")
    if manifest.attachments:
        await attachments.found(pool, lambda: tx.now, files())
    await _bring_settings(tx, workspace.id, folder, manifest, new=new)
    told(1)
    await store.make_room(tx)
    for table in TABLES:
        await _bring_table(tx, workspace.id, table, folder, manifest.tables[table.name], told)
    async for kept in store.attachments(tx, workspace.id):
        place = Place(workspace.id, kept.id)
        await attachments.announce(pool, tx, place)
        await files().write(attachments.path_of(place), _checked(folder / FILES / kept.id, kept))
        told(1)
    for table in TABLES:
        if table.later:
            await store.receive(tx, disk.blocks(folder / table.file))
            await store.complete(tx, workspace.id, table)
    await _check_promises(tx, workspace.id, folder / f"{POLICIES}.ndjson")
    await store.settle_feed(tx, workspace.id)
    await store.move_numbers(tx, workspace.id, manifest.last_number)


async def _bring_settings(tx: Tx, workspace_id: str, folder: Path, manifest: Manifest, *, new: bool) -> None:
    given = manifest.tables[WORKSPACE].columns
    rules.check_columns(WORKSPACE, given, await store.workspace_columns(tx))
    row = await settings_of(folder)
    if missing := [name for name in given if name not in row]:
        raise OperatorError(f"{WORKSPACE}.ndjson line 1: {missing[0]}: is missing")
    if wrong := rows.fault(WORKSPACE, to_json({name: row[name] for name in given})):
        raise OperatorError(f"{WORKSPACE}.ndjson line 1: {wrong}")
    stay = ("name",) if new else KEPT_AT_HOME
    try:
        async with store.savepoint(tx):
            await store.set_workspace(tx, workspace_id, row, [name for name in given if name not in stay])
    except store.REFUSALS as error:
        field = rules.field_of(WORKSPACE, error.diag.column_name, error.diag.constraint_name)
        raise _refusal(f"{WORKSPACE}.ndjson", 1, field, error) from None


async def _bring_table(tx: Tx, workspace_id: str, table: Table, folder: Path, entry: Entry, told: Told) -> None:
    rules.check_columns(table.name, entry.columns, await store.columns(tx, table))
    try:
        received = await store.receive(tx, disk.blocks(folder / table.file))
    except store.REFUSALS as error:
        line = rules.line_of_copy(error.diag.context)
        raise _refusal(table.file, line, None, error) from None
    if received != entry.rows:
        raise OperatorError(f"{table.file}: {received} lines, and {MANIFEST} says {entry.rows}")
    if wrong := await store.misshapen(tx, entry.columns):
        line, missing, unknown = wrong
        said = f"{missing}: is missing" if missing else f"{unknown}: is no field of it" if unknown else "is no object"
        raise OperatorError(f"{table.file} line {line}: {said}")
    if inexact := await store.no_instants(tx, table.name):
        line, field, value = inexact
        raise OperatorError(f"{table.file} line {line}: {field}: {value} is no instant like 2025-01-15T16:30:00Z")
    await _check_rows(tx, table, entry.columns)
    await store.defer(tx)
    names = [name for name in entry.columns if name not in table.later]
    for first in range(1, received + 1, LINES_AT_ONCE):
        last = min(first + LINES_AT_ONCE - 1, received)
        await _bring_lines(tx, workspace_id, table, names, first, last)
        told(last - first + 1)
    if lost := await store.dangling(tx, workspace_id, table):
        line, field, value = lost
        raise OperatorError(f"{table.file} line {line}: {field}: there is no {value} in {table.file}")


async def _check_rows(tx: Tx, table: Table, present: Sequence[str]) -> None:
    """The lines received hold what the API would have taken."""
    asked = [name for name in rows.ROWS[table.name].model_fields if name in present] if table.name in rows.ROWS else []
    if not asked:
        return
    line = 0
    async with aclosing(store.received(tx, asked)) as blocks:
        async for block in blocks:
            for row in block.splitlines():
                line += 1
                if wrong := rows.fault(table.name, row):
                    raise OperatorError(f"{table.file} line {line}: {wrong}")


async def _check_promises(tx: Tx, workspace_id: str, file: Path) -> None:
    """Every new ticket will find a policy, and every policy has its newest version."""
    await store.receive(tx, disk.blocks(file))
    if not await store.holds(tx, DEFAULT_POLICY_ID):
        raise OperatorError(f"{file.name}: id: there is no {DEFAULT_POLICY_ID}, which is for all other tickets")
    if lost := await store.unpromised(tx, workspace_id):
        line, version = lost
        raise OperatorError(f"{file.name} line {line}: version: there is no {version} in sla_policy_versions.ndjson")


async def _bring_lines(tx: Tx, workspace_id: str, table: Table, names: Sequence[str], first: int, last: int) -> None:
    """Stores lines; if they are refused, halves of them, until the line is found that cannot be."""
    try:
        await store.insert(tx, workspace_id, table, names, first, last)
    except store.REFUSALS as error:
        if first == last:
            found = await store.unreadable(tx, table, names, first)
            field = (
                found[0] if found else rules.field_of(table.name, error.diag.column_name, error.diag.constraint_name)
            )
            raise _refusal(table.file, first, field, found[1] if found else error) from None
        middle = (first + last) // 2
        await _bring_lines(tx, workspace_id, table, names, first, middle)
        await _bring_lines(tx, workspace_id, table, names, middle + 1, last)


def _refusal(file: str, line: int | None, field: str | None, error: Error) -> OperatorError:
    place = file if line is None else f"{file} line {line}"
    said = [part for part in (field, error.diag.message_primary, error.diag.message_detail) if part]
    return OperatorError(f"{place}: {': '.join(said)}")


async def _checked(path: Path, kept: Kept) -> AsyncIterator[bytes]:
    """The bytes of an attachment; `OperatorError` at their end if they are not those that its row tells of."""
    digest, length = hashlib.sha256(), 0
    try:
        async for block in disk.blocks(path):
            digest.update(block)
            length += len(block)
            yield block
    except OSError as error:
        raise OperatorError(f"{FILES}/{kept.id}: {error.strerror or error}") from None
    if (length, digest.hexdigest()) != (kept.size, kept.sha256):
        raise OperatorError(f"{FILES}/{kept.id}: is not what attachments.ndjson says: the folder is damaged")
