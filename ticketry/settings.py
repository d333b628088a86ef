"""The settings: one frozen object, read once at the start from options, the environment or files.

Each setting `name` is read from the command line's option if there is one, else from `TICKETRY_NAME`,
else from the file that `TICKETRY_NAME_FILE` names (for secrets), else it has its default.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ticketry.core.errors import OperatorError
from ticketry.core.fields import check_email

PREFIX = "TICKETRY_"


class Settings(BaseModel):
    """Everything that an operator can set."""

    model_config = ConfigDict(frozen=True)

    data_dir: Path = Field(Path("ticketry-data"), description="Folder of the embedded PostgreSQL and its log.")
    database_url: str | None = Field(
        None,
        description="PostgreSQL 16 or newer to use instead of the embedded one (postgresql://…).",
        json_schema_extra={"secret": True},
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(1, ge=1, le=64, description="API processes.")
    run_worker: bool = Field(True, description="Whether API processes also do background work.")
    pool_size: int = Field(
        12, ge=2, le=200, description="Database connections of one API process at the most; bulk requests have 3 more."
    )
    upload_limit: int = Field(26_214_400, ge=1, le=5_000_000_000, description="Largest attachment, bytes.")
    files_reserve: int = Field(
        536_870_912,
        ge=0,
        description="Bytes of the disk of files_dir that files never take: the database may lie on it too.",
    )
    files_dir: Path | None = Field(
        None, description="Folder of the attachments, if no bucket is named; by default `files` in the data folder."
    )
    s3_bucket: str | None = Field(
        None, min_length=1, description="Bucket of the attachments in an S3-compatible store."
    )
    s3_endpoint: str | None = Field(
        None, pattern="^https?://", description="Address of the S3-compatible store; unset is that of AWS."
    )
    s3_region: str | None = Field(None, min_length=1, description="Region of the bucket.")
    s3_access_key_id: str | None = Field(
        None, description="Who we are for the S3-compatible store.", json_schema_extra={"secret": True}
    )
    s3_secret_access_key: str | None = Field(
        None, description="Our secret for the S3-compatible store.", json_schema_extra={"secret": True}
    )
    body_limit: int = Field(1_048_576, ge=16_384, description="Largest request body, bytes; a file has its own.")
    mail_limit: int = Field(
        41_943_040, ge=65_536, le=1_000_000_000, description="Largest mail that is taken in, bytes."
    )
    mail_keep_days: int = Field(
        30, ge=1, le=3650, description="Days that mails are kept as they came, beside what became of them."
    )
    mail_sent_keep_days: int = Field(
        90,
        ge=7,
        le=3650,
        description="Days that mails that were sent, failed or skipped stay listed; the outbox stays.",
    )
    imap_host: str | None = Field(
        None, min_length=1, description="IMAP server whose mail is fetched; unset fetches none."
    )
    imap_port: int | None = Field(None, ge=1, le=65535, description="Its port; unset is 993 with tls, 143 otherwise.")
    imap_tls: Literal["tls", "starttls", "none"] = Field(
        "tls", description="How the way to it is encrypted; starttls is never left out, none is for the same machine."
    )
    imap_ca_file: Path | None = Field(
        None, description="Certificates to trust for the IMAP server (PEM) instead of the system's."
    )
    imap_user: str | None = Field(None, min_length=1, description="Name to sign in with; needed with imap_host.")
    imap_password: str | None = Field(None, description="Password to sign in with.", json_schema_extra={"secret": True})
    imap_folder: str = Field("INBOX", min_length=1, max_length=200, description="Folder whose mail is fetched.")
    imap_move_to: str | None = Field(
        None,
        min_length=1,
        description="Folder into which mail is moved when it is taken in; unset marks it as seen and leaves it there.",
    )
    imap_workspace: str | None = Field(
        None, min_length=1, description="Id of the workspace that gets this mail; unset is the agency's own."
    )
    imap_interval: int = Field(30, ge=1, le=3600, description="Seconds between two looks into the folder.")
    address_limit: int | None = Field(
        None, ge=1, description="Requests a minute without a valid key from one address; unset is unlimited."
    )
    smtp_host: str | None = Field(
        None, min_length=1, description="SMTP server that mail is sent through; unset keeps all mail in the outbox."
    )
    smtp_port: int | None = Field(
        None, ge=1, le=65535, description="Its port; unset is 587 with starttls, 465 with tls, 25 with none."
    )
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="How the way to it is encrypted; starttls is never left out, none is for the same machine.",
    )
    smtp_user: str | None = Field(None, description="Name to sign in with; unset does not sign in.")
    smtp_password: str | None = Field(None, description="Password to sign in with.", json_schema_extra={"secret": True})
    smtp_timeout: int = Field(30, ge=1, le=300, description="Seconds that each answer of the SMTP server may take.")
    smtp_ca_file: Path | None = Field(
        None, description="Certificates to trust for the SMTP server (PEM) instead of the system's."
    )
    mail_sender: str | None = Field(
        None,
        validate_default=True,
        description="Sender address of workspaces that have none of their own; needed with smtp_host.",
    )
    allow_insecure_webhooks: bool = Field(
        False, description="Whether webhooks may use http and private addresses, on any port; for development only."
    )
    webhook_ports: str = Field(
        "443,8443", pattern=r"^\d{1,5}(,\d{1,5})*$", description="Ports that webhooks may be sent to, by comma."
    )
    webhook_ca_file: Path | None = Field(
        None, description="File (PEM) of certificate authorities that webhooks trust beside those of the system."
    )
    webhook_timeout: float = Field(
        30, gt=0, le=30, description="Seconds that a webhook's receiver has to answer; less than 30 is for tests."
    )
    webhook_concurrency: int = Field(
        8, ge=1, le=100, description="Webhook deliveries sent to one endpoint at a time at the most."
    )
    uploads_at_once: int = Field(
        32,
        ge=1,
        le=1000,
        description="Uploads that one API process takes at a time; a workspace may have half of them.",
    )
    export_limit: int = Field(
        4, ge=1, le=50, description="Exports that one API process sends at a time; a workspace may have half of them."
    )
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least level that is logged.")
    log_requests: bool = Field(False, description="Whether each request is logged.")

    @field_validator("mail_sender")
    @classmethod
    def _a_sender(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("smtp_host") is not None:
            raise PydanticCustomError("sender", "must be set when smtp_host is: mail needs a sender")
        return value if value is None else check_email(value)


def is_secret(name: str) -> bool:
    """Whether the value of this setting must never be printed."""
    return bool((Settings.model_fields[name].json_schema_extra or {}).get("secret"))  # type: ignore[union-attr]


def _find(name: str, options: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[Any, str] | None:
    if options.get(name) is not None:
        return options[name], "option"
    variable = PREFIX + name.upper()
    if variable in environment:
        return environment[variable], variable
    if path := environment.get(f"{variable}_FILE"):
        try:
            return Path(path).read_text().strip(), f"{variable}_FILE"
        except OSError as error:
            raise OperatorError(f"{variable}_FILE: cannot read {path}: {error.strerror}") from None
    return None


def sources(options: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    """Per setting that is given, its raw value and where it came from."""
    found = {name: _find(name, options, environment) for name in Settings.model_fields}
    return {name: hit for name, hit in found.items() if hit is not None}


def _with_folder(settings: Settings) -> Settings:
    """Attachments lie in the data folder, unless it is not used: then somebody has to say where."""
    unused = settings.database_url is not None and "data_dir" not in settings.model_fields_set
    if settings.files_dir is not None or settings.s3_bucket is not None or unused:
        return settings
    return settings.model_copy(update={"files_dir": settings.data_dir / "files"})


def load(options: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings in force. Raises `OperatorError` with one line that names the wrong setting."""
    given = sources(options or {}, os.environ if environment is None else environment)
    try:
        return _with_folder(Settings(**{name: value for name, (value, _) in given.items()}))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        source = given[name][1] if name in given else "default"
        raise OperatorError(f"setting {name} (from {source}): {first['msg']}") from None
