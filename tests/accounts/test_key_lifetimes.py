"""A key hands on no more time than it has, and a rotation does not shorten what comes after it."""

from typing import Any

from conftest import House
from kit import forbidden, wrong_fields


def make(house: House, key: str, **fields: Any) -> Any:
    body = {"name": "A key", "scopes": ["keys:write", "keys:read"], **fields}
    return house.client(key).post("/v1/keys", json=body)


def test_rotating_twice_gives_two_keys_with_the_first_ones_lifetime(house: House) -> None:
    """As when the answer of the first rotation was lost."""
    first = make(house, house.cast.admin).json()["data"]
    admin = house.client(house.cast.admin)
    rotated = [admin.post(f"/v1/keys/{first['id']}/rotate").json()["data"] for _ in range(2)]
    assert [key["expires_at"] for key in rotated] == [None, None]
    assert admin.get(f"/v1/keys/{first['id']}").json()["data"]["expires_at"] is not None


def test_a_key_that_ends_makes_none_that_lasts_longer(house: House) -> None:
    soon, later = "2025-01-15T10:00:00Z", "2025-01-15T11:00:00Z"
    brief = make(house, house.cast.admin, expires_at=soon).json()["data"]["key"]
    assert wrong_fields(make(house, brief)) == {"expires_at"}
    assert wrong_fields(make(house, brief, expires_at=later)) == {"expires_at"}
    assert make(house, brief, expires_at=soon).status_code == 201


def test_a_key_must_end_in_the_future(house: House) -> None:
    assert wrong_fields(make(house, house.cast.admin, expires_at="2000-01-01T00:00:00Z")) == {"expires_at"}


def test_only_who_manages_people_makes_keys_that_act_as_them(house: House) -> None:
    plain = make(house, house.cast.admin).json()["data"]["key"]
    forbidden(make(house, plain, user_id=house.cast.agent_id), "users:write")
