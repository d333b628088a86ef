"""The README's commands and curl lines do what it says."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def shell_blocks() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", README, re.S)


def test_its_curl_lines_open_and_close_a_ticket(start: Any, folder: Path) -> None:
    server = start("--data-dir", str(folder / "data"), "--no-worker").ready()
    (block,) = [block for block in shell_blocks() if "curl" in block]
    lines = block.replace("http://127.0.0.1:8000", server.url).split("\n\n")
    outputs = []
    for line in lines[1:]:
        script = f"KEY={server.key()}\n{line.strip()} --silent --fail"
        outputs.append(subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout)
    opened, closed = (json.loads(output)["data"] for output in outputs)
    assert opened["number"] == "TICK-1"
    assert (closed["status"], closed["customer_satisfaction"]) == ("closed", 9)
    shown = json.loads(re.findall(r"```json\n(.*?)```", README, re.S)[0])["data"]
    assert closed["sla"].items() >= shown["sla"].items()
    assert shown.keys() <= closed.keys()


def test_the_key_command_that_it_names_works(start: Any, folder: Path) -> None:
    data = str(folder / "data")
    start("--data-dir", data, "--no-worker").ready()
    (command,) = re.findall(r"or: \.venv/bin/(ticketry keys create .*?)$", README, re.M)
    words = [str(Path(subprocess.sys.executable).with_name("ticketry")), *command.split()[1:]]  # type: ignore[attr-defined]
    made = subprocess.run([*words, "--data-dir", data], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"sk_live_\w+\n", made.stdout)


def test_make_knows_every_target_that_it_names() -> None:
    named = set(re.findall(r"make (\w+)", README + (ROOT / "CONTRIBUTING.md").read_text())) - {"a", "the", "two"}
    for target in named:
        subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, check=True)


def test_every_page_that_it_links_is_there() -> None:
    pages = re.findall(r"\]\(((?!http)[^)#]+)", README)
    assert pages
    assert not [page for page in pages if not (ROOT / page).exists()]
