"""How long `ticketry serve` takes to be ready, on an existing data folder."""

from statistics import median

from bench.report import Aims, Section
from bench.session import Session

ROUNDS = 5
AIM = 3.0


def start(session: Session) -> Section:
    """From the start of the process to `ready`, the database being down."""
    house, taken = session.large, []
    for _ in session.progress.track(range(ROUNDS), description="start to ready"):
        with house.serve() as served:
            taken.append(served.startup)
    aims = Aims()
    aims.below(f"start to `ready`, s (median of {ROUNDS})", median(taken), AIM, "{:.2f}")
    aims.rows.append(("slowest of them, s", f"{max(taken):.2f}", "", ""))
    aims.rows.append(("very first start (makes the database), s", f"{house.first_startup:.2f}", "", ""))
    return Section("start", "Start", [aims])
