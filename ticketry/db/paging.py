"""Pages of a list: `page` and `per_page` in, `meta` out."""

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

Item = TypeVar("Item")


def _digits(value: object) -> object:
    """Query parameters are text; only plain digits are a number there (`1_0` and ` 1` are not)."""
    if isinstance(value, str) and not (value.isascii() and value.isdecimal()):
        raise PydanticCustomError("int_parsing", "must be a whole number")
    return value


whole_number = BeforeValidator(_digits)
"""Metadata for a query parameter that is a whole number, written in plain digits."""

PageNumber = Annotated[int, Field(ge=1, le=1_000_000_000, description="Page, counted from 1."), whole_number]
PerPage = Annotated[int, Field(ge=1, le=100, description="Items a page."), whole_number]


class PageIn(BaseModel):
    """Which page of a list is asked for. A parameter that is not known is refused: it would look like a filter."""

    model_config = ConfigDict(extra="forbid")

    page: PageNumber = 1
    per_page: PerPage = 25

    @property
    def offset(self) -> int:
        """How many items come before this page."""
        return (self.page - 1) * self.per_page


class Meta(BaseModel):
    """What a list answers beside its items. `total` is exact."""

    total: int
    page: int
    per_page: int
    total_pages: int


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    data: list[Item]
    meta: Meta


def page_of(items: list[Item], total: int, asked: PageIn) -> Page[Item]:
    """The page asked for, with its meta."""
    pages = -(-total // asked.per_page)
    return Page(data=items, meta=Meta(total=total, page=asked.page, per_page=asked.per_page, total_pages=pages))


class Data(BaseModel, Generic[Item]):
    """One object."""

    data: Item
