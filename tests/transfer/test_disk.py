"""Whatever lies where a folder is written or read: nothing of others is lost, and nothing hangs."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import House

from ticketry.transfer.folders import disk
from ticketry.transfer.folders.models import MANIFEST

from .moving import export, lines, run
from .test_folders import refusal, refused

DEAD = "ticketry-dead_123"
"""As drafts are named."""


@pytest.fixture(scope="module")
def house(house: House) -> House:
    client = house.client(house.cast.admin)
    upload = client.post("/v1/attachments", files={"file": ("a.txt", b"a file", "text/plain")}).json()["data"]["id"]
    house.ticket(subject="First", attachment_ids=[upload])
    return house


@pytest.fixture
def out(house: House, files: Path, tmp_path: Path) -> Path:
    """An export with a file."""
    folder = tmp_path / "out"
    export(house, files, house.cast.workspace_id, folder)
    return folder


def subjects(folder: Path) -> list[str]:
    return [row["subject"] for row in lines(folder, "tickets")]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def foreign_file(folder: Path) -> str:
    (folder / "files" / "mine.txt").write_text("mine")
    return "files/mine.txt"


def foreign_folder(folder: Path) -> str:
    (folder / "files" / "mine").mkdir()
    (folder / "files" / "mine" / "mine.txt").write_text("mine")
    return "files/mine"


def folder_in_place_of_a_file(folder: Path) -> str:
    (path,) = (folder / "files").iterdir()
    path.unlink()
    path.mkdir()
    (path / "mine.txt").write_text("mine")
    return f"files/{path.name}"


def folder_in_place_of_a_table(folder: Path) -> str:
    (folder / "users.ndjson").unlink()
    (folder / "users.ndjson").mkdir()
    (folder / "users.ndjson" / "mine.txt").write_text("mine")
    return "users.ndjson"


def rows_that_name_no_file(folder: Path) -> str:
    (folder / "attachments.ndjson").write_text("what?\n")
    (path,) = (folder / "files").iterdir()
    return f"files/{path.name}"


@pytest.mark.parametrize(
    "put",
    [foreign_file, foreign_folder, folder_in_place_of_a_file, folder_in_place_of_a_table, rows_that_name_no_file],
)  # fmt: skip
def test_what_is_not_of_the_export_is_never_removed(
    house: House, files: Path, out: Path, put: Callable[[Path], str]
) -> None:
    name = put(out)
    before = content(out)
    said = refusal(run(house, files, "export", out))
    assert f"holds {name}, which is not part of an export" in said
    assert content(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_what_is_put_there_while_it_is_written_is_not_removed(
    house: House, files: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = disk.write_manifest

    def meddle(*given: object) -> None:
        written(*given)  # type: ignore[arg-type]
        foreign_file(out)

    monkeypatch.setattr(disk, "write_manifest", meddle)
    assert "holds files/mine.txt" in refusal(run(house, files, "export", out))
    assert (out / "files" / "mine.txt").read_text() == "mine"


def left_behind(out: Path, kind: str, name: str = DEAD) -> Path:
    """What an export to `out` that was killed left."""
    path = out.with_name(f".{out.name}.{name}.{kind}")
    shutil.copytree(out, path)
    return path


def test_what_killed_exports_left_goes_with_the_next(house: House, files: Path, out: Path) -> None:
    left_behind(out, "partial")
    left_behind(out, "old")
    other = out.with_name(f".output.{DEAD}.partial")
    other.mkdir()
    (out.parent / f".{out.name}.x.partial").mkdir()
    export(house, files, house.cast.workspace_id, out)
    assert sorted(path.name for path in out.parent.iterdir()) == [".out.x.partial", other.name, "out"]


def test_what_another_export_is_writing_stays(house: House, files: Path, out: Path) -> None:
    path = left_behind(out, "partial")
    handle = os.open(path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    export(house, files, house.cast.workspace_id, out)
    assert (path / MANIFEST).exists()
    os.close(handle)
    export(house, files, house.cast.workspace_id, out)
    assert not path.exists()


def test_an_export_killed_in_the_exchange_loses_nothing(house: House, files: Path, out: Path) -> None:
    """Its next start puts the older export back before it begins."""
    old = out.with_name(f".{out.name}.{DEAD}.old")
    before = content(out)
    out.rename(old)
    said = refusal(run(house, files, "export", out, "--workspace", "nobody"))
    assert "no workspace has the id or name" in said
    assert content(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_link_to_a_folder_stays_a_link(house: House, files: Path, out: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to("out")
    house.ticket(subject="Second")
    export(house, files, house.cast.workspace_id, tmp_path / "latest")
    assert (tmp_path / "latest").is_symlink()
    assert "Second" in subjects(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "out"]
    (tmp_path / "round").symlink_to("round")
    assert "is no folder" in refusal(run(house, files, "export", tmp_path / "round"))


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("name", [MANIFEST, "erasures.ndjson", "workspaces.ndjson", "files"])
@pytest.mark.parametrize("make", [pipe, link, endless, Path.mkdir])
def test_only_regular_files_are_read(
    house: House, files: Path, out: Path, name: str, make: Callable[[Path], None]
) -> None:
    (path,) = (out / "files").iterdir() if name == "files" else (out / name,)
    path.unlink()
    make(path)
    assert refused(house, files, out).endswith(f"{path.name}: is no regular file")


def test_two_at_a_time_do_not_meet(out: Path) -> None:
    """By their locks, not by a process id: in another container that would be somebody else's."""
    shutil.rmtree(out)
    with disk.draft(out) as first:
        (first / "first").touch()
        with disk.draft(out) as second:
            assert (first / "first").exists()
            (second / MANIFEST).write_text("{}")
        shutil.rmtree(out)
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert [path.name for path in out.iterdir()] == ["first"]


def test_hidden_folders_of_others_stay(house: House, files: Path, out: Path) -> None:
    for name in (".out.original.old", ".out.20250101.partial"):
        (out.parent / name).mkdir()
    export(house, files, house.cast.workspace_id, out)
    assert sorted(path.name for path in out.parent.iterdir()) == [".out.20250101.partial", ".out.original.old", "out"]
