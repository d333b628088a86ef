"""A folder that holds a whole workspace: which tables, in which files, and what its manifest says."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from ticketry.core.fields import Instant

FORMAT = 1
"""Of the folder. A program reads the formats that it knows, and no other."""
MANIFEST = "manifest.json"
WORKSPACE = "workspaces"
POLICIES = "sla_policies"
FILES = "files"
"""The folder of the attachments, each under its id."""
ATTACHMENTS = "attachments.ndjson"
"""The file of their rows."""
HighestNumber = Annotated[int, Field(ge=0, le=10**17)]
"""A ticket number that has others after it: `TICK-` is followed by 18 digits at most."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows are taken along: in this order, without the columns that `stay` because they mean something
    in their own database only. `only` says which rows; `shown` how a column is written that is not taken as it is.
    """

    name: str
    order: str
    stay: tuple[str, ...] = ()
    only: str = "true"
    shown: tuple[tuple[str, str], ...] = ()
    later: tuple[str, ...] = ()
    """Columns that are given their values when everything is there: nobody brings tickets to an erased contact."""
    replaces: bool = False
    """Whether a row may be there already, made with the workspace: then it is given these values."""

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.name}.ndjson"


TABLES = (
    Table("users", "id"),
    Table("contacts", "id", later=("erased_at",)),
    Table("sla_calendars", "id"),
    Table(POLICIES, "id", replaces=True),
    Table("sla_policy_versions", "policy_id, version", only="(policy_id, version) <> ('sla_default', 1)"),
    Table("tickets", "number", stay=("last_transaction",)),
    Table("ticket_relations", "ticket_id, other_id"),
    Table("comments", "ticket_id, position", stay=("position",)),
    Table("resolutions", "ticket_id, cycle"),
    Table("events", "transaction_id, position", stay=("transaction_id", "position")),
    Table(
        "attachments",
        "id",
        only="ticket_id IS NOT NULL",
        shown=(("state", "CASE state WHEN 'erasing' THEN 'erased' ELSE state END"),),
    ),
    Table("erasures", "started_at, id", stay=("settled", "halvings"), only="finished_at IS NOT NULL"),
    Table("mail_settings", "workspace_id"),
    Table("mail_templates", "kind"),
)
"""In the order of their references. The default policy's first version is the same in every workspace."""
STAY_WITH_WORKSPACE = ("id", "agency_id", "is_home")
"""What a workspace is in its installation, and nowhere else."""


def _each_once(columns: list[str]) -> list[str]:
    if twice := next((name for n, name in enumerate(columns) if name in columns[:n]), None):
        raise PydanticCustomError("duplicate", "names {name} twice", {"name": twice[:100]})
    return columns


class Entry(BaseModel):
    """One file of rows: how many, how long, its SHA-256, and the columns that each of its lines has."""

    model_config = ConfigDict(extra="forbid")

    rows: Annotated[int, Field(ge=0)]
    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    columns: Annotated[list[str], Field(min_length=1, max_length=200), AfterValidator(_each_once)]


class Origin(BaseModel):
    """The workspace that was exported."""

    model_config = ConfigDict(extra="forbid")

    id: str
    name: str
    environment: str


class Manifest(BaseModel):
    """What a folder holds. It is written last: a folder without it is none of ours."""

    model_config = ConfigDict(extra="forbid")

    format: int
    program: str
    made_at: Instant
    workspace: Origin
    last_number: Annotated[HighestNumber, Field(description="The last ticket number that was given.")]
    attachments: Annotated[int, Field(ge=0, description="Files in the folder of attachments.")]
    tables: dict[str, Entry]


@dataclass(frozen=True, slots=True)
class Kept:
    """An attachment whose bytes are part of the folder."""

    id: str
    size: int
    sha256: str
