"""The examples of docs/bulk.md and docs/links.md are run, and answer what the pages say."""

import pytest
from conftest import House
from pages import DOCS, examples, run_page


@pytest.mark.parametrize("name", ["bulk", "links"])
def test_every_example_answers_what_the_page_says(house: House, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Numbers count up from 1 in a workspace of the page's own."""
    admin = house.client(house.cast.admin)
    workspace = admin.post("/v1/workspaces", json={"name": name}).json()["data"]["id"]
    body = {"name": name, "scopes": ["tickets:read", "tickets:write"]}
    key = admin.post(f"/v1/workspaces/{workspace}/keys", json=body).json()["data"]["key"]
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert len(examples(page)) >= 3
    monkeypatch.setattr(house.cast, "admin", key)
    run_page(house, page, monkeypatch)
