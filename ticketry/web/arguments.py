"""What an endpoint is called with: path, query, headers and body as FastAPI reads them, without what ours never use.

FastAPI's own way goes through every dependency as if it were an endpoint, asks of each parameter anew what it is,
parses cookies and keeps three stacks of things to close: more work than many a call (docs/decisions/0017).
"""

from collections.abc import Awaitable, Callable, Sequence
from types import NoneType
from typing import Any, get_args

from fastapi import Request
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_validation_alias, request_params_to_args

from ticketry.web.problems import validation_failed

Arguments = Callable[[Request], Awaitable[dict[str, Any]]]
Read = tuple[dict[str, Any], list[Any]]
"""Values by name, and what is wrong."""
Reader = Callable[[Any], Read]
_LONE = {str, int, bool, NoneType}


def arguments_of(endpoint: Dependant) -> Arguments:
    """Reads the arguments of an endpoint. Its dependencies must take the request and nothing else, else TypeError.

    Reading raises `ValidationFailed` with everything that is wrong.
    """
    if endpoint.cookie_params or endpoint.response_param_name or endpoint.background_tasks_param_name:
        raise TypeError(f"{endpoint.call}: cookies, responses and background tasks are not for endpoints here")
    given = dict(map(_dependency, endpoint.dependencies))
    if endpoint.request_param_name is not None:
        given[endpoint.request_param_name] = _itself
    path, query, headers = map(_reader, (endpoint.path_params, endpoint.query_params, endpoint.header_params))
    body = _body_reader(endpoint.body_params)

    async def read(request: Request) -> dict[str, Any]:
        read = [path(request.path_params)] if path is not None else []
        if query is not None:
            read.append(query(request.query_params))
        if headers is not None:
            read.append(headers(request.headers))
        if body is not None:
            read.append(body(await request.json() if await request.body() else _MISSING))
        if wrong := [error for _, errors in read for error in errors]:
            raise validation_failed(wrong)
        values = {name: call(request) for name, call in given.items()}
        for more, _ in read:
            values |= more
        return values

    return read


def _itself(request: Request) -> Request:
    return request


def _dependency(one: Dependant) -> tuple[str, Callable[[Request], Any]]:
    more = one.dependencies or one.path_params or one.query_params or one.header_params or one.body_params
    if more or one.name is None or one.call is None or one.request_param_name is None:
        raise TypeError(f"{one.call} takes more than the request")
    return one.name, one.call


def _reader(fields: Sequence[ModelField]) -> Reader | None:
    """Reads parameters of one kind. What lone values are is found out here, once; models are left to FastAPI."""
    if not fields:
        return None
    if not all(set(get_args(one.field_info.annotation) or (one.field_info.annotation,)) <= _LONE for one in fields):
        return lambda given: request_params_to_args(fields, given)
    known = [(one, get_validation_alias(one), one.field_info.in_.value) for one in fields]  # type: ignore[attr-defined]

    def read(given: Any) -> Read:
        values: dict[str, Any] = {}
        wrong: list[Any] = []
        for one, alias, kind in known:
            value = given.get(alias)
            values[one.name], errors = _value(one, _MISSING if value is None else value, (kind, alias))
            wrong += errors
        return values, wrong

    return read


def _body_reader(fields: Sequence[ModelField]) -> Reader | None:
    if not fields:
        return None
    if len(fields) > 1:
        raise TypeError("a body is one model")
    (field,) = fields

    def read(given: Any) -> Read:
        value, wrong = _value(field, given, ("body",))
        return {field.name: value}, wrong

    return read


_MISSING: Any = object()


def _value(field: ModelField, given: Any, place: tuple[str, ...]) -> tuple[Any, list[Any]]:
    if given is not _MISSING:
        return field.validate(given, loc=place)
    if field.field_info.is_required():
        return None, [{"type": "missing", "loc": place, "msg": "Field required"}]
    return field.default, []
