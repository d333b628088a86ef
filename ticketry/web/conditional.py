"""ETag and If-Match: a write that names another version of the object than the current one is refused."""

from typing import Annotated

from fastapi import Header

from ticketry.core.errors import PreconditionFailed

IfMatch = Annotated[
    str | None,
    Header(
        max_length=200,
        description="The `ETag` of the version that this change was made for; another version is refused with 412.",
    ),
]


def etag(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'


def check(if_match: str | None, version: int, code: str) -> None:
    """Raises `PreconditionFailed` if `if_match` is given and names neither this version nor `*`."""
    if if_match is None or if_match.strip() == "*":
        return
    current = etag(version)
    if current not in (part.strip().removeprefix("W/") for part in if_match.split(",")):
        raise PreconditionFailed(code, "The object has changed since the version that If-Match names", current=current)
