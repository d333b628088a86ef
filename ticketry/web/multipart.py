"""Reading a form with a file as it comes: the file's bytes are handed on in pieces and never held together."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ticketry.core.errors import InvalidRequest, ValidationFailed, field_error
from ticketry.web.body import too_large
from ticketry.web.streams import patiently

FILE = "file"
BESIDE = 131_072
"""Bytes that a form may have beside its file: other fields, headers, boundaries."""
LONGEST_HEADER = 65_536
AS_IT_IS = frozenset({b"binary", b"8bit", b"7bit"})
"""What a Content-Transfer-Encoding may say. RFC 7578 has done away with the header."""


def malformed() -> InvalidRequest:
    """The body is no form."""
    return InvalidRequest("malformed_multipart", "The request body is not a complete multipart/form-data form")


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise InvalidRequest("unsupported_media_type", "Send the file as multipart/form-data")
    if not (boundary := options.get(b"boundary")):
        raise malformed()
    return boundary


@dataclass
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    text: bytearray = field(default_factory=bytearray)


class FileForm:
    """A form with one file in the part `file`, and small text fields before or after it.

    `open` reads up to the file, `chunks` hands out its bytes and reads the rest of the form; only then `fields` are
    complete. `limit` is the file's, in bytes: what is announced or comes beyond it and some room is refused (413).
    """

    def __init__(self, request: Request, limit: int) -> None:
        self.fields: dict[str, str] = {}
        self.file_name: str | None = None
        self.file_type: str | None = None
        self._limit = limit
        self._parser = self._parser_of(_boundary(request))
        announced = request.headers.get("content-length")
        if announced is not None and announced.isdecimal() and int(announced) > limit + BESIDE:
            raise too_large(limit)
        self._body = patiently(request)
        self._part = _Part()
        self._header = [bytearray(), bytearray()]
        self._pieces: list[bytes] = []
        self._has_file = self._ended = self._over = False
        self._seen = self._of_file = 0

    def _parser_of(self, boundary: bytes) -> MultipartParser:
        try:
            return MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
                max_header_size=LONGEST_HEADER,
            )
        except FormParserError:
            raise malformed() from None

    def _on_part_begin(self) -> None:
        self._part = _Part()
        self._header = [bytearray(), bytearray()]

    def _on_header_end(self) -> None:
        self._part.headers[bytes(self._header[0]).lower()] = bytes(self._header[1])
        self._header = [bytearray(), bytearray()]

    def _on_headers_finished(self) -> None:
        headers = self._part.headers
        kind, options = parse_options_header(headers.get(b"content-disposition", b""))
        if kind != b"form-data" or b"name" not in options:
            raise malformed()
        self._part.name = name = options[b"name"].decode("utf-8", "replace")
        if name != FILE:
            return
        if self._has_file:
            raise ValidationFailed(field_error(FILE, "one_file", "send one file at a time"))
        if not options.get(b"filename"):  # a browser sends an empty one when no file was chosen
            raise ValidationFailed(field_error(FILE, "no_file", "must be a file, with a filename"))
        if headers.get(b"content-transfer-encoding", b"binary").strip().lower() not in AS_IT_IS:
            raise ValidationFailed(field_error(FILE, "encoded", "must be sent as it is (no Content-Transfer-Encoding)"))
        self._has_file = True
        self.file_name = options[b"filename"].decode("utf-8", "replace")
        self.file_type = headers.get(b"content-type", b"").decode("latin-1") or None

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.name == FILE:
            self._of_file += end - start
            self._pieces.append(data[start:end])
        else:
            self._part.text += data[start:end]

    def _on_part_end(self) -> None:
        name = self._part.name
        if name == FILE:
            return
        if name in self.fields:
            raise ValidationFailed(field_error(name[:200], "given_twice", "is given twice"))
        self.fields[name] = self._part.text.decode("utf-8", "replace")

    def _on_end(self) -> None:
        self._ended = True

    async def _feed(self) -> None:
        chunk = await anext(self._body, None)
        if chunk is None:
            self._over = True
            if not self._ended:
                raise malformed()
            return
        self._seen += len(chunk)
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise malformed() from None
        if self._seen - self._of_file > BESIDE:
            raise too_large(BESIDE, "What stands beside the file in the form")

    async def open(self) -> None:
        """Reads up to the file. Raises `ValidationFailed` if the form has none."""
        while not self._has_file:
            if self._over:
                raise ValidationFailed(field_error(FILE, "missing", "Field required"))
            await self._feed()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The file's bytes in pieces; after the last one the whole form has been read."""
        while self._pieces or not self._over:
            if self._pieces:  # what looks like a boundary comes byte by byte
                together = b"".join(self._pieces)
                self._pieces.clear()
                yield together
            if not self._over:
                await self._feed()
