"""`ticketry mail receive`, as a mail server starts it."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import House

from . import mails
from .post import ticket_of

PROGRAM = str(Path(sys.executable).parent / "ticketry")


def receive(raw: bytes, *more: str, source: str = "-", **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [PROGRAM, "mail", "receive", source, *more], input=raw, capture_output=True, timeout=120, check=False,
        env={"PATH": "/usr/bin:/bin", **env},
    )  # fmt: skip


@pytest.fixture
def env(house: House) -> dict[str, str]:
    return {"TICKETRY_DATABASE_URL": house.database_url, "TICKETRY_FILES_DIR": str(house.files)}


def test_a_mail_by_a_pipe(house: House, env: dict[str, str]) -> None:
    raw = mails.simple("By a pipe", message_id=mails.fresh())
    done = receive(raw, **env)
    assert done.returncode == 0, done.stderr
    outcome, number, mail_id = done.stdout.decode().split()
    assert outcome == "ticket"
    assert ticket_of(house, number)["description"] == "By a pipe"
    again = receive(raw, **env)
    assert again.stdout.decode().split() == ["duplicate", number, mail_id]


def test_a_mail_in_a_file(env: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "a mail.eml"
    file.write_bytes(mails.outlook())
    done = receive(b"", source=str(file), **env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"ticket\t")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"TICKETRY_DATABASE_URL": "postgresql://127.0.0.1:1/none"}, "database"),
        ({"TICKETRY_FILES_DIR": "/proc/nowhere"}, "file"),
        ({"TICKETRY_MAIL_LIMIT": "many"}, "mail_limit"),
    ],
)
def test_what_may_work_later_is_75(env: dict[str, str], wrong: dict[str, str], reason: str) -> None:
    done = receive(mails.simple(message_id=mails.fresh()), **{**env, **wrong})
    assert done.returncode == 75, done.stderr
    assert reason in done.stderr.decode()
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr


def test_a_workspace_that_is_not_there_is_75(env: dict[str, str]) -> None:
    done = receive(mails.simple(message_id=mails.fresh()), "--workspace", "Nobody", **env)
    assert done.returncode == 75
    assert b"Nobody" in done.stderr


def test_a_mail_that_is_too_large_is_65(env: dict[str, str]) -> None:
    done = receive(mails.simple("x" * 70_000), **{**env, "TICKETRY_MAIL_LIMIT": "65536"})
    assert done.returncode == 65
    assert b"65536" in done.stderr
