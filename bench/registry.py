"""The list of measures. To add one: write a function from `Session` to `Section`, and name it here."""

from collections.abc import Callable

from bench import bulk
from bench.calls import calls
from bench.clocks import clock
from bench.export import export
from bench.lists import lists
from bench.report import Section
from bench.session import Session
from bench.sla import sla
from bench.start import start
from bench.upload import upload
from bench.webhooks import webhooks

MEASURES: dict[str, Callable[[Session], Section]] = {
    "start": start,
    "list": lists,  # before the calls, which add tickets
    "export": export,
    "calls": calls,
    "bulk": bulk.measure,
    "clock": clock,
    "sla": sla,
    "upload": upload,
    "webhooks": webhooks,
}
ALIASES = {"lists": "list", "create": "calls", "close": "calls", "get": "calls"}


def chosen(only: str | None) -> list[str]:
    """The measures asked for, in the order they run. SystemExit names those there are."""
    if only is None:
        return list(MEASURES)
    wanted = {ALIASES.get(part.strip(), part.strip()) for part in only.split(",")}
    if unknown := wanted - MEASURES.keys():
        raise SystemExit(f"there is no measure {', '.join(unknown)}; there are {', '.join([*MEASURES, *ALIASES])}")
    return [name for name in MEASURES if name in wanted]
