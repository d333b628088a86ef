"""`ticketry settings`, `ticketry openapi` and `ticketry migrate`."""

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ticketry.app import create_app
from ticketry.commands import show
from ticketry.db.embedded import embedded
from ticketry.db.migrate import migrate
from ticketry.settings import PREFIX, Settings, is_secret, load, sources

HIDDEN = "***"
PASSWORDS = ("password", "sslpassword")


def settings(options: Mapping[str, Any]) -> None:
    """Shows every setting: its value now, where that came from, and what it means."""
    present, given = load(options), sources(options, os.environ)
    rows = [
        (
            name,
            _shown(name, getattr(present, name)),
            given[name][1] if name in given else "default",
            f"{field.description} ({PREFIX}{name.upper()})",
        )
        for name, field in Settings.model_fields.items()
    ]
    show.table(("setting", "value", "from", "meaning"), rows)


def _shown(name: str, value: object) -> object:
    if value is None or not is_secret(name):
        return value
    return without_password(str(value)) if name == "database_url" else HIDDEN


def without_password(url: str) -> str:
    """A database URL, or libpq's `host=… dbname=…`, without what must stay secret; hidden whole if unreadable."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        return HIDDEN
    secrets = [str(parts[name]) for name in PASSWORDS if parts.get(name)]
    shown = _url_without_password(url) if "://" in url else make_conninfo(**_public(parts))
    return HIDDEN if any(secret in shown or quote(secret, safe="") in shown for secret in secrets) else shown


def _public(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if name not in PASSWORDS}


def _url_without_password(url: str) -> str:
    split = urlsplit(url)
    user, at, host = split.netloc.rpartition("@")
    query = urlencode([(name, value) for name, value in parse_qsl(split.query) if name not in PASSWORDS])
    return split._replace(netloc=f"{user.partition(':')[0]}{at}{host}", query=query).geturl()


def openapi() -> None:
    """Prints the OpenAPI document. No database is needed: the application is put together, not started."""
    document = create_app(Settings(database_url="postgresql://")).openapi()
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def migrations(present: Settings) -> None:
    """Brings the database to this program's schema, making the embedded one if need be."""
    if present.database_url is not None:
        _report(migrate(present.database_url))
        return
    with embedded(present.data_dir) as url:
        _report(migrate(url))


def _report(applied: list[str]) -> None:
    for name in applied:
        typer.echo(name)
    show.note(f"{len(applied)} migrations applied." if applied else "The database is up to date.")
