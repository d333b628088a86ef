"""`ticketry sla`: the replay, calendars and policies from the command line."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import House
from kit import close, get, reopen
from typer.testing import CliRunner, Result

from ticketry.cli import app


@pytest.fixture
def cli(house: House) -> Any:
    """Runs a command on the house's database."""

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, ["sla", *words, "--database-url", house.database_url], env={})

    return run


def rows(result: Result) -> list[dict[str, str]]:
    """What a list command prints, as programs read it."""
    assert result.exit_code == 0, result.output
    head, *lines = (line.split("\t") for line in result.stdout.splitlines())
    return [dict(zip(head, line, strict=True)) for line in lines]


def refusal(result: Result) -> str:
    """The one line of a command that fails."""
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.removeprefix("ticketry: ").strip()


# ---- replay


@pytest.fixture(scope="module")
def lived(house: House) -> list[dict[str, Any]]:
    """Three tickets with some history, one of them in another workspace."""
    first, second = house.ticket(), house.ticket(priority=1)
    house.clock.advance(hours=2)
    close(house, first)
    house.clock.advance(days=1)
    reopen(house, first)
    close(house, second)
    body = {"subject": "a", "description": "b"}
    third = house.client(house.cast.stranger).post("/v1/tickets", json=body).json()["data"]
    house.clock.advance(days=1)
    return [get(house, first), get(house, second), third]


def test_all_is_as_the_events_say(house: House, cli: Any, lived: list[dict[str, Any]]) -> None:
    result = cli("replay")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "3 tickets replayed, no differences.\n"


def test_a_workspace_and_a_beginning_narrow_it(house: House, cli: Any, lived: list[dict[str, Any]]) -> None:
    day = house.clock().date()
    for words, number in (
        (("--workspace", "Globex"), 1),
        (("--env", "test"), 0),
        (("--workspace", house.cast.workspace_id), 2),
        (("--since", "2025-01-01"), 3),
        (("--since", f"{day}"), 0),
        (("--since", lived[1]["updated_at"]), 3),
    ):
        assert cli("replay", *words).stderr.startswith(f"{number} tickets replayed, no"), words


@pytest.fixture
def spoiled(house: House, lived: list[dict[str, Any]]) -> Iterator[None]:
    """Someone has written into the database."""
    keep = house.sql("SELECT id, resolution_spent, next_alarm_at FROM tickets")
    second = lived[1]["id"]
    house.sql("UPDATE tickets SET resolution_spent = resolution_spent + 1 WHERE id = %s", (lived[0]["id"],))
    house.sql("UPDATE tickets SET next_alarm_at = NULL WHERE id = %s", (lived[2]["id"],))
    house.sql("UPDATE resolutions SET response_met = true WHERE ticket_id = %s", (second,))
    yield
    for row in keep:
        query = "UPDATE tickets SET resolution_spent = %s, next_alarm_at = %s WHERE id = %s"
        house.sql(query, (row[1], row[2], row[0]))
    house.sql("UPDATE resolutions SET response_met = false WHERE ticket_id = %s", (second,))


@pytest.mark.usefixtures("spoiled")
def test_every_difference_is_a_line_and_the_exit_code_is_1(house: House, cli: Any, lived: list[dict[str, Any]]) -> None:
    before = house.sql("SELECT * FROM tickets ORDER BY id")
    result = cli("replay")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"Acme Agency\t{lived[0]['number']} resolution_spent: stored 7201, replayed 7200",
        f"Acme Agency\t{lived[1]['number']} cycle 1 response_met: stored True, replayed False",
        f"Globex\t{lived[2]['number']} next_alarm_at: stored None, replayed 2025-01-17 06:12:00+00:00",
    ]
    assert result.stderr == "3 tickets replayed, 3 differences.\n"
    assert house.sql("SELECT * FROM tickets ORDER BY id") == before
    assert cli("replay", "--workspace", "Globex").stderr == "1 tickets replayed, 1 difference.\n"


def test_a_wrong_word_is_named(cli: Any) -> None:
    assert refusal(cli("replay", "--since", "yesterday")).startswith("since: must be a day")
    assert refusal(cli("replay", "--since", "2025-01-01T00:00:00")).startswith("since: must be a day")
    assert refusal(cli("replay", "--workspace", "Nobody")).startswith("workspace: no workspace has")


# ---- calendars and policies


def test_a_calendar_is_made_and_listed(house: House, cli: Any) -> None:
    words = ("--hours", "Mo-Fr 09:00-17:00; PH off", "--time-zone", "Europe/Paris", "--country", "FR")
    result = cli("calendars", "create", "--name", "Bureau", *words, "--closed", "2025-12-31, 2025-12-24")
    assert result.exit_code == 0, result.output
    assert re.fullmatch(r"cal_\w+\n", result.stdout)
    assert "Bureau is a calendar of workspace Acme Agency" in result.stderr
    (shown,) = (row for row in rows(cli("calendars", "list")) if row["name"] == "Bureau")
    assert shown == {
        "id": result.stdout.strip(),
        "name": "Bureau",
        "opening hours": "Mo-Fr 09:00-17:00; PH off",
        "time zone": "Europe/Paris",
        "country": "FR",
        "closed days": "2025-12-24, 2025-12-31",
    }
    api = house.client(house.cast.admin).get(f"/v1/sla/calendars/{shown['id']}")
    assert api.json()["data"]["opening_hours"] == shown["opening hours"]
    assert rows(cli("calendars", "list", "--workspace", "Globex")) == []


def test_quiet_prints_the_id_alone(cli: Any) -> None:
    result = cli("calendars", "create", "--name", "Always", "--hours", "24/7", "-q", "--workspace", "Globex")
    assert re.fullmatch(r"cal_\w+\n", result.stdout)
    assert result.stderr == ""


def test_a_wrong_calendar_is_refused_with_the_place(cli: Any) -> None:
    words = ("calendars", "create", "--name", "A")
    assert refusal(cli(*words, "--hours", "Mo-Fr 9-")).startswith("opening_hours: line 1, column 7: expected")
    assert refusal(cli(*words, "--hours", "24/7", "--time-zone", "Mars")).startswith("time_zone: ")
    assert refusal(cli(*words, "--hours", "PH off")).startswith("country: ")
    assert refusal(cli(*words, "--hours", "24/7", "--closed", "tomorrow")).startswith("closed_days.0: must be a day")


def test_policies_are_listed_in_their_order(house: House, cli: Any) -> None:
    body = {
        "name": "Gold",
        "targets": {"1": {"response": 60, "resolution": None}},
        "conditions": {"tags": ["vip", "gold"], "priority": [1]},
    }
    made = house.client(house.cast.admin).post("/v1/sla/policies", json=body).json()["data"]
    first, last = rows(cli("policies", "list"))
    assert (first["id"], first["version"], first["position"], first["active"]) == (made["id"], "1", "1", "yes")
    assert first["targets"] == "1: 60/-"
    assert first["conditions"] == "tags: vip, gold; priority: 1"
    assert (last["id"], last["position"], last["conditions"]) == ("sla_default", "-", "-")
    assert last["targets"] == "1: 60/480, 2: 480/1440, 3: 1440/4320, 4: 10080/20160"
