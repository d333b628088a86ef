"""Names, types and who may see a file: tables and properties."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketry.attachments.models import Attachment
from ticketry.attachments.rules import FOOT, HEAD, clean_name, clean_type, fits, served_as, sniff, visible_to_customers


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("a.txt", "a.txt"), ("", "file"), (None, "file"), (".", "file"), ("..", "file"), ("/", "file"), ("///", "file"),
        ("../../etc/passwd", "passwd"), ("..\\..\\boot.ini", "boot.ini"), ("C:\\Users\\me\\a b.doc", "a b.doc"),
        ("/etc/passwd\x00.png", "passwd.png"), ("a\r\nSet-Cookie: x.txt", "a Set-Cookie: x.txt"), ("a\tb", "a b"),
        ("\x00\x01\x02", "file"), ("  a  .txt  ", "a .txt"), (".hidden", "hidden"), ("a.txt.", "a.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"), ("a\u200b\u200dz", "az"), ("e\u0301.txt", "\u00e9.txt"),
        ("\ud800x", "x"), ("日本語.pdf", "日本語.pdf"), ("😀.png", "😀.png"), ('a"b\'c.txt', 'a"b\'c.txt'),
        ("x" * 5000, "x" * 255), ("x" * 5000 + ".pdf", "x" * 251 + ".pdf"), ("x." + "y" * 5000, "x." + "y" * 253),
        ("😀" * 5000 + ".png", "😀" * 251 + ".png"), ("CON", "CON"), ("a" + " " * 5000 + "b", "a b"),
    ],
)  # fmt: skip
def test_names(given_name: str | None, name: str) -> None:
    assert clean_name(given_name) == name


@pytest.mark.parametrize("hostile", ["\u0315\u0316", "\u0315\u0f71\u0334"])
def test_no_name_takes_long(hostile: str) -> None:
    """Putting combining marks in order takes the square of their number: 30,000 of them took seconds."""
    begun = time.process_time()
    assert clean_name("a" + hostile * 15_500 + ".pdf").endswith(".pdf")
    assert time.process_time() - begun < 0.5


@given(st.text(max_size=600))
def test_any_name_becomes_one_that_harms_nobody(given_name: str) -> None:
    name = clean_name(given_name)
    assert 1 <= len(name) <= 255
    assert not set(name) & set("/\\\x00\r\n")
    assert name not in {".", ".."}
    assert not name.startswith(".")
    assert all(unicodedata.category(char) not in {"Cc", "Cf", "Cs"} for char in name)
    assert clean_name(name) == name


ZIP = b"PK\x03\x04\x14\x00\x00\x00\x08\x00"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "application/octet-stream"), (b"hello", "text/plain"), ("grüße".encode(), "text/plain"),
        (b'{"a": 1}', "text/plain"), (b"a,b\r\n1,2\r\n", "text/plain"), (b"BM is a brand", "text/plain"),
        (b"MZ, dear MZ", "text/plain"), (b"ID3 is a tag", "text/plain"), (b"#!/bin/sh\n", "text/plain"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "image/png"), (b"GIF89a" + b"\0" * 99, "image/gif"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF" + b"\0" * 99, "image/jpeg"), (b"%PDF-1.7\n%\xe2\xe3", "application/pdf"),
        (ZIP + b"\0" * 99, "application/zip"), (b"RIFF\x10\0\0\0WEBPVP8 " + b"\0" * 40, "image/webp"),
        (b"<html><p>x", "text/html"), (b"  <!DOCTYPE html>", "text/html"), (b"<script>x</script>", "text/html"),
        (b"<svg onload=x>", "image/svg+xml"), (b"<?xml version='1.0'?><svg/>", "image/svg+xml"),
        (b"<?xml version='1.0'?><a/>", "application/xml"), (b"<!-- x --><!-- y --><body>", "text/html"),
        (b"\xef\xbb\xbf<html>", "text/html"), (b"1 < 2 and <html>", "text/plain"),
        (b"\x00\x01\x02\x03", "application/octet-stream"), (b"0123456789", "text/plain"),
        (b"{\\rtf1 x}", "application/rtf"),
        (b"\xfe\xfa\x00" * 9, "application/octet-stream"), ("é".encode()[:1] + b"x", "application/octet-stream"),
    ],
)  # fmt: skip
def test_types(content: bytes, kind: str) -> None:
    assert sniff(content[:HEAD], content[-FOOT:]) == kind


@pytest.mark.parametrize("cut", range(4))
def test_a_text_may_be_cut_inside_a_character(cut: int) -> None:
    assert sniff(("x" * cut + "😀" * HEAD).encode()[:HEAD], b"") == "text/plain"


@given(st.binary(max_size=2000))
def test_anything_has_a_type_and_is_served_harmlessly(content: bytes) -> None:
    kind = sniff(content[:HEAD], content[-FOOT:])
    assert clean_type(kind) == kind
    assert not {"html", "svg", "xml", "script", "flash"} & set(served_as(kind).replace("/", " ").split())


@pytest.mark.parametrize(
    ("claimed", "kind"),
    [
        ("text/plain", "text/plain"), ("Text/HTML; charset=utf-8", "text/html"), (None, None), ("", None),
        ("nonsense", None), ("a/b/c", None), ("text/\x00plain", None), ("text/plain\r\nX: y", None),
        ("a/" + "b" * 300, None),
    ],
)  # fmt: skip
def test_claimed_types(claimed: str | None, kind: str | None) -> None:
    assert clean_type(claimed) == kind


def attachment(**fields: str | None) -> Attachment:
    told = {"contact_id": None, "ticket_id": None, "comment_id": None, "visibility": None, **fields}
    return Attachment.model_validate(
        {"id": "att_1", "name": "a", "content_type": "text/plain", "size": 1, "claimed_type": None, "sha256": "0",
         "created_at": "2025-01-15T09:00:00Z", **told}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "visible"),
    [
        ({}, False),
        ({"ticket_id": "t", "visibility": "public"}, True),
        ({"ticket_id": "t", "comment_id": "c", "visibility": "public"}, True),
        ({"ticket_id": "t", "comment_id": "c", "visibility": "internal"}, False),
        ({"contact_id": "sam"}, False),
        ({"contact_id": "sam", "ticket_id": "t", "comment_id": "c", "visibility": "internal"}, False),
    ],
)
def test_what_customers_may_see_at_all(fields: dict[str, str | None], visible: bool) -> None:
    assert visible_to_customers(attachment(**fields)) is visible


@pytest.mark.parametrize(
    ("owner", "speaker", "ticket", "right"),
    [
        (None, None, None, True), (None, "sam", "sam", True), (None, None, "sam", True),
        ("sam", "sam", "sam", True), ("sam", "sam", "eve", True), ("sam", "eve", "sam", False),
        ("sam", None, "sam", True), ("sam", None, "eve", False), ("sam", None, None, False),
    ],
)  # fmt: skip
def test_where_a_customers_file_may_go(owner: str, speaker: str | None, ticket: str | None, right: bool) -> None:
    assert fits(attachment(contact_id=owner), speaker, ticket) is right
