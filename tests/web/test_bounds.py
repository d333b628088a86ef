"""One request must not cost everybody else: answers, searches and numbers are bounded."""

from concurrent.futures import ThreadPoolExecutor

from conftest import House
from kit import wrong_fields

SUBJECT = {"subject": "a", "description": "b"}


def test_an_answer_names_at_most_a_hundred_wrong_fields(house: House) -> None:
    unknown = {f"x{n}": 1 for n in range(150)}
    answer = house.client(house.cast.admin).post("/v1/tickets", json={**SUBJECT, **unknown})
    assert len(answer.json()["error"]["errors"]) == 100
    assert len(answer.content) < 20_000


def test_thousands_of_fields_are_one_mistake(house: House) -> None:
    unknown = {f"x{n}": 1 for n in range(50_000)}
    client = house.client(house.cast.admin)
    for body in ({**SUBJECT, **unknown}, {**SUBJECT, "metadata": unknown}, {**SUBJECT, "custom_fields": unknown}):
        answer = client.post("/v1/tickets", json=body)
        assert answer.status_code == 422
        assert len(answer.json()["error"]["errors"]) == 1


def test_numbers_come_back_as_they_went_in(house: House) -> None:
    client = house.client(house.cast.admin)
    for number in ("1e308", "1e-300", "1" * 60):
        body = f'{{"subject": "a", "description": "b", "custom_fields": {{"n": [{number}]}}}}'
        answer = client.post("/v1/tickets", content=body, headers={"Content-Type": "application/json"})
        assert wrong_fields(answer) == {"custom_fields"}
    kept = {"n": [1e20, -2.5, 10**30, 0]}
    ticket = house.ticket(custom_fields=kept)
    assert client.get(f"/v1/tickets/{ticket['id']}").json()["data"]["custom_fields"] == kept


def test_a_search_has_at_most_sixteen_terms(house: House) -> None:
    client = house.client(house.cast.admin)
    assert client.get("/v1/tickets", params={"search": " ".join("abcdefghijklmnop")}).status_code == 200
    assert wrong_fields(client.get("/v1/tickets", params={"search": " ".join("abcdefghijklmnopq")})) == {"search"}


def test_parameters_that_nobody_knows_are_refused(house: House) -> None:
    """A misspelt filter would answer everything."""
    client = house.client(house.cast.admin)
    assert wrong_fields(client.get("/v1/tickets", params={"statuss": "open"})) == {"statuss"}
    assert wrong_fields(client.get("/v1/tickets", params={"page": "1_0"})) == {"page"}


def test_two_changes_of_branding_at_once_are_both_kept(house: House) -> None:
    client = house.client(house.cast.admin)
    path = f"/v1/workspaces/{house.cast.workspace_id}"
    with ThreadPoolExecutor(2) as threads:
        for n in range(10):
            parts = [{"display_name": f"Name {n}"}, {"colour": f"#00000{n}"}]
            list(threads.map(lambda part: client.patch(path, json={"branding": part}), parts))
            branding = client.get(path).json()["data"]["branding"]
            assert (branding["display_name"], branding["colour"]) == (f"Name {n}", f"#00000{n}")
