"""`ticketry settings`, `ticketry openapi` and `ticketry migrate`."""

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

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
    """A database URL, or libpq's `host=… dbname=…`, with its password hidden; hidden whole if it reads strangely.

    Put together from what libpq understood, not by cutting the text: an unencoded `@` or `/` in a password makes the
    rest of it look like a host, port or database.
    """
    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except psycopg.Error:
        return HIDDEN
    places = parts.get("host", "") + parts.get("dbname", "")
    if "@" in places or not parts.get("port", "0").replace(",", "").isdigit():
        return HIDDEN
    hidden = {name: HIDDEN if name in PASSWORDS else value for name, value in parts.items()}
    return _as_url(hidden) if "://" in url else make_conninfo("", **hidden)


def _as_url(parts: dict[str, str]) -> str:
    host = parts.pop("host", "") if "/" not in parts.get("host", "") else ""
    port = f":{parts.pop('port')}" if "port" in parts and host else ""
    user, password = quote(parts.pop("user", ""), safe=""), parts.pop("password", None)
    who = f"{user}:{password}@" if password else f"{user}@" if user else ""
    database = quote(parts.pop("dbname", ""), safe="")
    return f"postgresql://{who}{host}{port}/{database}{'?' if parts else ''}{urlencode(parts, safe='/*')}"


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
