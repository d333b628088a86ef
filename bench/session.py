"""One run of the benchmarks: its sizes, and its installations."""

from contextlib import ExitStack
from dataclasses import dataclass, field

from rich.progress import Progress

from bench.house import House, new_house


@dataclass
class Session:
    """What a measure is given. Each installation is made when it is first asked for."""

    tickets: int
    small: int
    seconds: float
    progress: Progress
    stack: ExitStack
    houses: dict[int, House] = field(default_factory=dict)

    def house(self, tickets: int) -> House:
        """The installation with so many tickets."""
        if tickets not in self.houses:
            self.houses[tickets] = self.stack.enter_context(new_house(tickets, self.progress))
        return self.houses[tickets]

    @property
    def large(self) -> House:
        """The installation that is measured."""
        return self.house(self.tickets)
