"""What a benchmark finds, and `RESULTS.md`: one section a benchmark, each replaced only when it ran again."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table as Drawn

RESULTS = Path(__file__).parent / "RESULTS.md"
HEAD = "# Results of `make bench`\n\nWritten by the benchmarks; what they measure stands in [README.md](README.md).\n"
_MARK = re.compile(r"<!-- section (\w+) -->\n(.*?)<!-- end \1 -->\n", re.DOTALL)


@dataclass
class Table:
    """Headings and rows of text."""

    headings: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)


@dataclass
class Section:
    """What one benchmark found."""

    name: str
    title: str
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verdict(met: bool) -> str:
    """An aim's outcome, in words."""
    return "met" if met else "NOT met"


class Aims(Table):
    """Figures beside what they should be."""

    def __init__(self) -> None:
        super().__init__(("Figure", "Measured", "Aim", ""))

    def at_least(self, what: str, value: float, aim: float, form: str = "{:.2f}") -> None:
        """A figure that should be no smaller than the aim."""
        self.rows.append((what, form.format(value), "≥ " + form.format(aim), verdict(value >= aim)))

    def below(self, what: str, value: float, aim: float, form: str = "{:.1f}") -> None:
        """A figure that should be smaller than the aim."""
        self.rows.append((what, form.format(value), "< " + form.format(aim), verdict(value < aim)))


def show(section: Section, console: Console) -> None:
    """Draws a section on the terminal."""
    console.rule(section.title)
    for table in section.tables:
        drawn = Drawn(*table.headings, box=None, header_style="bold")
        for row in table.rows:
            drawn.add_row(*(f"[red]{cell}[/red]" if "NOT met" in cell else cell for cell in row))
        console.print(drawn, "")
    for note in section.notes:
        console.print(note, markup=False, highlight=False)


def _markdown(table: Table) -> str:
    rows = [table.headings, tuple("---" for _ in table.headings), *table.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows) + "\n"


def _body(section: Section, run: str) -> str:
    tables = "\n".join(_markdown(table) for table in section.tables)
    notes = "\n".join(section.notes)
    return f"## {section.title}\n\n{run}\n\n{tables}\n{notes}\n".rstrip() + "\n"


def write(section: Section, run: str, order: list[str]) -> None:
    """Puts a section into `RESULTS.md`, in place of its last one; the others stay."""
    old = RESULTS.read_text() if RESULTS.exists() else ""
    bodies = {name: body for name, body in _MARK.findall(old) if name in order}
    bodies[section.name] = _body(section, run)
    parts = [f"<!-- section {name} -->\n{bodies[name]}<!-- end {name} -->\n" for name in order if name in bodies]
    RESULTS.write_text("\n".join([HEAD, *parts]))
