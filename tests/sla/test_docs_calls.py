"""The calls and commands of docs/sla.md are made, one after the other, and must answer what the page says."""

import asyncio
import json
import re
import shlex
from pathlib import Path
from typing import Any

from conftest import House
from typer.testing import CliRunner

from ticketry.cli import app
from ticketry.db.pool import make_pool
from ticketry.tickets.promises import jobs

PAGE = (Path(__file__).parents[2] / "docs" / "sla.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(http|console)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
REQUEST = re.compile(
    r"(?:# (?P<minutes>\d+) minutes later(?P<works>, the worker runs)?\n)?"
    r"(?P<method>[A-Z]+) (?P<path>\S+)\n(?P<body>\{.*\}\n)?\n(?P<status>\d+) (?P<answer>\{.*\})\n",
    re.DOTALL,
)


class Reader:
    """Makes the calls; what the page calls an object stands for the id that it really has."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.ids = {"ws_home": house.cast.workspace_id}

    def real(self, text: str) -> str:
        """The text with real ids."""
        for name, id_ in self.ids.items():
            text = re.sub(rf"\b{name}\b", id_, text)
        return text

    def http(self, text: str) -> None:
        found = REQUEST.fullmatch(text)
        assert found, text
        self.house.clock.advance(minutes=int(found["minutes"] or 0))
        if found["works"]:
            self.work()
        body = json.loads(self.real(found["body"])) if found["body"] else None
        client = self.house.client(self.house.cast.admin)
        answer = client.request(found["method"], self.real(found["path"]), json=body)
        assert answer.status_code == int(found["status"]), answer.text
        self.compare(json.loads(found["answer"]), answer.json(), found["path"])

    def compare(self, told: Any, real: Any, place: str) -> None:
        """What the page tells is there; it need not tell all."""
        if isinstance(told, dict):
            for name, value in told.items():
                if name == "id" and value not in self.ids:
                    self.ids[value] = real[name]
                self.compare(value, real[name], f"{place}.{name}")
        elif isinstance(told, list):
            assert len(told) == len(real), (place, real)
            for n, (one, other) in enumerate(zip(told, real, strict=True)):
                self.compare(one, other, f"{place}.{n}")
        else:
            assert (self.real(told) if isinstance(told, str) else told) == real, place

    def work(self) -> None:
        """One round of the worker's timers."""

        async def inside() -> None:
            async with make_pool(self.house.database_url, 2) as pool:
                await jobs.ring_alarms(pool, self.house.clock)
                await jobs.close_resolved(pool, self.house.clock)

        asyncio.run(inside())

    def console(self, text: str) -> None:
        command, *expected = text.splitlines()
        words = shlex.split(command.removeprefix("$ ticketry "))
        result = CliRunner().invoke(app, [*words, "--database-url", self.house.database_url], env={})
        assert result.exit_code == 0, result.output
        printed = re.sub(r"\bcal_\w+", "cal_nights", result.output)
        assert printed.splitlines() == expected


def test_every_call_and_command_answers_as_the_page_says(house: House) -> None:
    reader = Reader(house)
    assert len(BLOCKS) >= 12
    for kind, text in BLOCKS:
        getattr(reader, kind)(text)
