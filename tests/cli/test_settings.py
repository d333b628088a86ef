"""Settings: where each value came from, and that secrets stay secret."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ticketry.cli import app
from ticketry.commands.inform import without_password
from ticketry.settings import Settings, load


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `ticketry settings`; per setting its value, origin and meaning."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TICKETRY_{name.upper()}", raising=False)

    def run(*options: str, **environment: str) -> dict[str, list[str]]:
        done = CliRunner().invoke(app, ["settings", *options], env=environment)
        assert done.exit_code == 0, done.output
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        assert lines[0] == ["setting", "value", "from", "meaning"]
        return {line[0]: line[1:] for line in lines[1:]}

    return run


def test_every_setting_is_shown(shown: Any) -> None:
    found = shown()
    assert list(found) == list(Settings.model_fields)
    assert found["port"] == ["8000", "default", "Port to listen on; 0 takes a free one. (TICKETRY_PORT)"]


def test_where_values_come_from(shown: Any, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://me:from-a-file@db/x\n")
    found = shown(
        "--data-dir", "/srv/t", TICKETRY_WORKERS="3", TICKETRY_DATA_DIR="/elsewhere",
        TICKETRY_DATABASE_URL_FILE=str(tmp_path / "url"),
    )  # fmt: skip
    assert found["data_dir"][:2] == ["/srv/t", "option"]
    assert found["workers"][:2] == ["3", "TICKETRY_WORKERS"]
    assert found["database_url"][:2] == ["postgresql://me:***@db/x", "TICKETRY_DATABASE_URL_FILE"]


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("postgresql://me:secret@db:5432/x", "postgresql://me:***@db:5432/x"),
        ("postgresql://me:s%40cret%2F1@db/x?sslmode=require", "postgresql://me:***@db/x?sslmode=require"),
        ("postgresql://db/x?user=me&password=secret", "postgresql://me:***@db/x"),
        ("postgresql://me@db/x?sslpassword=secret", "postgresql://me@db/x?sslpassword=***"),
        ("host=db user=me password=secret dbname=x", "user=me password=*** dbname=x host=db"),
        ("postgresql:///x?host=/run/postgresql", "postgresql:///x?host=/run/postgresql"),
        ("postgresql://secret:secret@db/x", "postgresql://secret:***@db/x"),
        ("postgresql://me:se@cret@db/x", "***"),
        ("postgresql://me:se/cret@db/x", "***"),
        ("postgresql://me:se#cret@db/x", "postgresql://me:***@db/x"),
        ("nonsense secret", "***"),
    ],
)
def test_no_password_is_shown(url: str, seen: str) -> None:
    assert without_password(url) == seen


def test_a_wrong_setting_is_named_without_its_value(shown: Any) -> None:
    done = CliRunner().invoke(app, ["settings"], env={"TICKETRY_WORKERS": "many"})
    assert done.exit_code == 1
    assert done.stderr.startswith("ticketry: setting workers (from TICKETRY_WORKERS): ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        ({}, "ticketry-data/files"),
        ({"data_dir": "/srv/t"}, "/srv/t/files"),
        ({"database_url": "postgresql://db/x"}, None),
        ({"database_url": "postgresql://db/x", "data_dir": "/srv/t"}, "/srv/t/files"),
        ({"database_url": "postgresql://db/x", "files_dir": "/srv/f"}, "/srv/f"),
        ({"s3_bucket": "tickets"}, None),
    ],
)
def test_where_attachments_lie(given: dict[str, str], folder: str | None) -> None:
    assert load(given, {}).files_dir == (None if folder is None else Path(folder))


def test_the_keys_of_the_store_come_from_files_and_are_never_shown(shown: Any, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("AKIA-id\n")
    found = shown(
        TICKETRY_S3_ACCESS_KEY_ID_FILE=str(tmp_path / "id"), TICKETRY_S3_SECRET_ACCESS_KEY="very-secret",
        TICKETRY_S3_BUCKET="tickets",
    )  # fmt: skip
    assert found["s3_access_key_id"][:2] == ["***", "TICKETRY_S3_ACCESS_KEY_ID_FILE"]
    assert found["s3_secret_access_key"][:2] == ["***", "TICKETRY_S3_SECRET_ACCESS_KEY"]
    assert found["s3_bucket"][0] == "tickets"
