"""Arguments of endpoints: what is read as FastAPI would, and what is refused when a route is made."""

import asyncio
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Body, Cookie, Depends, Header, Path, Query, Request, Response
from fastapi.dependencies.utils import get_dependant
from pydantic import BaseModel

from ticketry.core.errors import ValidationFailed
from ticketry.web.arguments import arguments_of


class Paging(BaseModel):
    page: int = 1
    names: list[str] = []


class Thing(BaseModel):
    size: int


def me(request: Request) -> str:
    return request.method


def nested(who: Annotated[str, Depends(me)], request: Request) -> str:
    return who


async def endpoint(
    request: Request,
    who: Annotated[str, Depends(me)],
    thing_id: Annotated[str, Path(max_length=3)],
    paging: Annotated[Paging, Query()],
    if_match: Annotated[str | None, Header(max_length=5)] = None,
    body: Annotated[Thing | None, Body()] = None,
) -> None: ...


def asked(path: str, query: bytes = b"", body: bytes = b"", **headers: str) -> Request:
    scope: dict[str, Any] = {"type": "http", "method": "PUT", "path": f"/{path}", "query_string": query}
    scope["path_params"] = {"thing_id": path}
    scope["headers"] = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(scope, receive)


def read(request: Request) -> dict[str, Any]:
    return asyncio.run(arguments_of(get_dependant(path="/{thing_id}", call=endpoint))(request))


def test_every_kind_of_argument_is_read() -> None:
    request = asked("abc", b"page=3&names=x&names=y", b'{"size": 7}', if_match='"1"')
    assert read(request) == {
        "request": request,
        "who": "PUT",
        "thing_id": "abc",
        "paging": Paging(page=3, names=["x", "y"]),
        "if_match": '"1"',
        "body": Thing(size=7),
    }


def test_what_is_left_out_has_its_default() -> None:
    found = read(asked("abc"))
    assert (found["paging"], found["if_match"], found["body"]) == (Paging(), None, None)


def test_everything_wrong_is_named_at_once() -> None:
    with pytest.raises(ValidationFailed) as refused:
        read(asked("abcd", b"page=x", b'{"size": "big"}', if_match='"123456"'))
    assert [error["field"] for error in refused.value.errors] == ["thing_id", "page", "if-match", "size"]


def test_a_value_that_must_be_there_is_missed() -> None:
    async def strict(token: Annotated[str, Header()], body: Thing) -> None: ...

    with pytest.raises(ValidationFailed) as refused:
        asyncio.run(arguments_of(get_dependant(path="/", call=strict))(asked("x")))
    assert [(error["field"], error["code"]) for error in refused.value.errors] == [
        ("token", "missing"),
        ("body", "missing"),
    ]


def _cookie(a: Annotated[str, Cookie()]) -> None: ...
def _response(a: Response) -> None: ...
def _tasks(a: BackgroundTasks) -> None: ...
def _two_bodies(a: Thing, b: Thing) -> None: ...
def _nested(a: Annotated[str, Depends(nested)]) -> None: ...


@pytest.mark.parametrize("taking", [_cookie, _response, _tasks, _two_bodies, _nested])
def test_an_endpoint_that_asks_for_more_is_no_route(taking: Any) -> None:
    with pytest.raises(TypeError):
        arguments_of(get_dependant(path="/", call=taking))
