"""Use cases of agencies and workspaces."""

from datetime import datetime

from ticketry.accounts.workspaces import store
from ticketry.accounts.workspaces.models import Branding, Environment, Tier, Workspace, WorkspaceIn, WorkspacePatch
from ticketry.core.errors import NotFound
from ticketry.core.ids import mint
from ticketry.db.paging import Page, PageIn, page_of
from ticketry.db.pool import Tx


async def found(tx: Tx, agency_name: str) -> tuple[Workspace, Workspace] | None:
    """Makes the agency with a live (home) and a test workspace; None if it exists already."""
    await store.lock_founding(tx)
    if await store.first_agency(tx) is not None:
        return None
    agency_id = mint("agency")
    await store.insert_agency(tx, agency_id, agency_name)
    live = await _add(tx, agency_id, agency_name, "live", is_home=True)
    return live, await _add(tx, agency_id, f"{agency_name} (test)", "test")


async def _add(
    tx: Tx,
    agency_id: str,
    name: str,
    environment: Environment,
    *,
    is_home: bool = False,
    tier: Tier = "enterprise",
    created_at: datetime | None = None,
) -> Workspace:
    workspace = Workspace(
        id=mint("ws"),
        agency_id=agency_id,
        name=name,
        environment=environment,
        is_home=is_home,
        tier=tier,
        minute_limit=None,
        day_limit=None,
        reopen_window_days=14,
        auto_close_days=None,
        retention_months=None,
        branding=Branding(),
        created_at=created_at or tx.now,
        updated_at=created_at or tx.now,
    )
    await store.insert(tx, workspace)
    return workspace


async def create(tx: Tx, agency_id: str, body: WorkspaceIn) -> Workspace:
    """Adds a workspace to the agency."""
    return await _add(tx, agency_id, body.name, body.environment or "live", tier=body.tier or "enterprise")


async def adopt(tx: Tx, agency_id: str, body: WorkspaceIn, created_at: datetime) -> Workspace:
    """Adds a workspace that was made elsewhere at that instant."""
    return await _add(tx, agency_id, body.name, body.environment or "live", created_at=created_at)


async def get(tx: Tx, workspace_id: str) -> Workspace:
    """One workspace."""
    workspace = await store.get(tx, workspace_id)
    if workspace is None:
        raise NotFound("workspace_not_found", "Workspace not found")
    return workspace


async def get_of_agency(tx: Tx, home_id: str, workspace_id: str) -> Workspace:
    """A workspace of the agency whose home workspace asks; another agency's is not found."""
    home, workspace = await get(tx, home_id), await get(tx, workspace_id)
    if not home.is_home or workspace.agency_id != home.agency_id:
        raise NotFound("workspace_not_found", "Workspace not found")
    return workspace


async def page(tx: Tx, agency_id: str, asked: PageIn) -> Page[Workspace]:
    """The agency's workspaces, oldest first."""
    found, total = await store.of_agency(tx, agency_id, asked.per_page, asked.offset)
    return page_of(found, total, asked)


async def update(tx: Tx, workspace_id: str, body: WorkspacePatch) -> Workspace:
    """Changes the settings given; `branding` is merged."""
    await store.lock(tx, workspace_id)
    workspace = await get(tx, workspace_id)
    changes = body.model_dump(exclude_unset=True)
    if "branding" in changes:
        changes["branding"] = workspace.branding.model_copy(update=changes["branding"])
    if changes:
        changes["updated_at"] = tx.now
        await store.update(tx, workspace_id, changes)
    return workspace.model_copy(update=changes)


async def hold(tx: Tx, workspace_id: str) -> None:
    """Changes of a workspace's settings wait for each other until the unit of work ends, also those of other rooms."""
    await store.lock(tx, workspace_id)


async def agency(tx: Tx) -> str | None:
    """The agency that runs this installation, None before the first start."""
    return await store.first_agency(tx)
