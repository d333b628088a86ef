"""The receivers of docs/webhooks.md check what Ticketry really sends."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import House
from webhooks.receiving import Received, Receiver, hook, working

from ticketry.webhooks.deliveries import rules
from ticketry.webhooks.deliveries.models import DeliveriesAsked

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")


def samples(language: str) -> list[str]:
    """The pieces of code of the page in this language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found


@pytest.fixture(scope="module")
def message(house: House) -> tuple[str, Received]:
    """A secret and a message signed with it, in a rotation, so that there are two signatures."""
    with Receiver() as receiver, working(house):
        webhook = hook(house, receiver.url)
        house.client(house.cast.admin).post(f"/v1/webhooks/{webhook['id']}/rotate_secret")
        house.ticket()
        return webhook["secret"], receiver.wait(1)[0]


def test_python(message: tuple[str, Received], capsys: Any) -> None:
    secret, sent = message
    library, plain = samples("python")
    names: dict[str, Any] = {}
    exec(library, names)
    exec(plain, names)
    assert names["receive"](secret, sent.headers, sent.body) == 204
    assert capsys.readouterr().out.startswith("ticket.created TICK-")
    assert names["receive"](secret, sent.headers, sent.body + b" ") == 401
    old = {**sent.headers, "x-ayra-signature": sent.headers["x-ayra-signature-previous"]}
    assert names["genuine"](secret, old, sent.body)
    assert not names["genuine"](secret, old, sent.body + b" ")


JAVASCRIPT = """
const [secret, headers, body] = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
console.log(genuine(secret, headers, body), genuine(secret, headers, body + " "));
"""
PHP = """
[$secret, $headers, $body] = json_decode(file_get_contents('php://stdin'), true);
echo json_encode([genuine($secret, $headers, $body), genuine($secret, $headers, $body . ' ')]);
"""


@pytest.mark.parametrize(
    ("program", "code", "wanted"),
    [
        (["node", "-e"], samples("javascript")[0] + JAVASCRIPT, "true false"),
        (["php", "-r"], samples("php")[0] + PHP, "[true,false]"),
    ],
    ids=["javascript", "php"],
)
def test_other_languages(message: tuple[str, Received], program: list[str], code: str, wanted: str) -> None:
    if shutil.which(program[0]) is None:
        pytest.skip(f"no {program[0]} here")
    secret, sent = message
    given = json.dumps([secret, sent.headers, sent.body.decode()])
    done = subprocess.run([*program, code], input=given, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == wanted, done.stderr


def test_what_the_page_says_is_so(house: House) -> None:
    """Filters, calls, the number of tries and the windows that the page names."""
    paths = house.client(None).get("/openapi.json").json()["paths"]
    for path in re.findall(r"/v1/webhooks[\w/{}]*", PAGE):
        assert path.replace("{id}", "x") in {re.sub(r"\{\w+\}", "x", known) for known in paths}, path
    listed = re.search(r"`GET /v1/webhooks/deliveries` \((.*?)\)", PAGE)
    assert listed
    assert set(re.findall(r"`(\w+)`", listed[1])) == set(DeliveriesAsked.model_fields) - {"page", "per_page"}
    assert (rules.WINDOW.days, rules.PATIENCE.days, rules.KEPT.days) == (3, 5, 30)
