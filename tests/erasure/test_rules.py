"""How a person is recognised in what others wrote, and what is left of texts."""

import html
import json
import quopri
import subprocess
import sys
import unicodedata
import urllib.parse
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ticketry.erasure import patterns
from ticketry.erasure.rules import ERASED, SHORT, Eraser, Mode, Sought

ZOE = Sought("contact_z", ("Zoë O'Brax-Müller",), "zoë.o'brax@example.com", "+491701234567", False, ("Quax & Söhne",))
WRITTEN = [
    ("Dear Zoë O'Brax-Müller!", "Dear [erased]!"), ("ZOË", "[erased]"), ("Zoe", "Zoe"), ("Zoëlla", "Zoëlla"),
    ("müller's", "[erased]'s"), ("MÜLLER", "[erased]"), ("Müllers", "[erased]"),
    ("Müllerin2", "[erased]"), ("Müllerinnen", "Müllerinnen"), ("Vormüller", "Vormüller"),
    ("Zoë_O'Brax - Müller", "[erased]"),
    ("O’Brax", "[erased]"), ("(Zoë)", "([erased])"), ("_Zoë_", "_[erased]_"), ("Quax & Söhne", "[erased]"),
    ("quax", "quax"), ("zoë.o'brax@example.com.", "[erased]."), ("<zoë.o'brax@EXAMPLE.com>", "<[erased]>"),
    ("xzoë.o'brax@example.com", "xzoë.[erased]@example.com"), ("mailto:zoë.o'brax@example.com", "mailto:[erased]"),
    ("+491701234567", "[erased]"), ("+49 170 123 45 67", "[erased]"), ("0170/1234567", "[erased]"),
    ("(0170) 123-4567", "[erased]"), ("00491701234567", "[erased]"), ("4917012345678", "4917012345678"),
    ("order 1234567", "order 1234567"), ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "left"), WRITTEN)
def test_on_the_persons_tickets(text: str, left: str) -> None:
    assert Eraser(ZOE).text(text, "own") == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Zoë O'Brax-Müller", "Zoë O'Brax-Müller"), ("Müller", "Müller"), ("Quax & Söhne", "Quax & Söhne"),
        ("zoë.o'brax@example.com", "[erased]"), ("+491701234567", "[erased]"), ("491701234567", "491701234567"),
        ("00491701234567", "[erased]"), ("%2B491701234567", "[erased]"), ("+4917012345678", "+4917012345678"),
        ("0170 1234567", "0170 1234567"), ("zoë.o'brax@example.com.au", "zoë.o'brax@example.com.au"),
        ("a-zoë.o'brax@example.com", "a-zoë.o'brax@example.com"),
    ],
)  # fmt: skip
def test_on_others_tickets(text: str, left: str) -> None:
    assert Eraser(ZOE).text(text, "mention") == left


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("田中 太郎", "こんにちは田中太郎様", "こんにちは[erased]様"), ("田中 太郎", "田中さん", "[erased]さん"),
        ("김민준", "김민준씨는", "[erased]씨는"), ("สมชาย ใจดี", "คุณสมชายครับ", "คุณ[erased]ครับ"),
        ("Иванов Пётр", "Ивановым и Петром", "[erased] и Петром"),
        ("Virtanen", "Virtasen Virtanenia", "Virtasen [erased]"),
        ("Otto", "Ottos Ottomane, Otton", "[erased] Ottomane, Otton"),
        ("Xy 12", "xy 12 xy 123", "[erased] xy 123"),
        ("Bo Xy", "Bo Xy bo xyz", "[erased] bo xyz"), ("王 伟明", "王先生", "王先生"),
        ("高", "最高の高い品質", "最高の高い品質"),
        ("Tim Miller", "Tim, same time; Tims Millers", "[erased], same time; [erased] [erased]"),
    ],
)  # fmt: skip
def test_names_with_endings_and_without_spaces(name: str, text: str, left: str) -> None:
    """On the person's tickets; on others' they are words like any."""
    eraser = Eraser(Sought("contact_z", (name,)))
    assert eraser.text(text, "own") == left
    assert eraser.text(text, "mention") == text


ENCODINGS = {
    "json": lambda text: json.dumps(text)[1:-1],
    "url": urllib.parse.quote,
    "html": html.escape,
    "numbers": lambda text: text.encode("ascii", "xmlcharrefreplace").decode(),
    "quoted-printable": lambda text: quopri.encodestring(text.encode()).decode().replace("=\n", ""),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "upper": str.upper,
    "lower": str.lower,
    "plain": str,
}
LETTERS = st.characters(categories=("Lu", "Ll", "Lo"), max_codepoint=0x2FFFF, exclude_characters="ſ")
NAME_PARTS = st.text(LETTERS, min_size=3, max_size=12)


def alike(text: str) -> bool:
    """Whether its letters keep their identity through case and normal forms: those that do not are few and rare."""
    forms = {text, text.upper().lower(), text.lower(), unicodedata.normalize("NFC", text)}
    return len({form.casefold() for form in forms}) == 1 and len(text.upper()) == len(text)


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(deadline=None)
@given(first=NAME_PARTS.filter(alike), last=NAME_PARTS.filter(alike), joint=st.sampled_from([" ", "'", "-", " & "]))
def test_a_name_is_found_however_it_is_written(encoding: str, first: str, last: str, joint: str) -> None:
    name = f"{first}{joint}{last}"
    eraser = Eraser(Sought("contact_z", (name,)))
    left = eraser.text(f"({ENCODINGS[encoding](name)}){' ' * 200}", "own")
    assert left.strip() == f"({ERASED})"


NASTY = [
    ("- - - - - - - - - - - - - - - - Jo", "-" * 9000), ("20 " * 30, "%20" * 3000), ("nbsp " * 30, "&nbsp;" * 1500),
    ("n " * 60, "\\n" * 4500), ("é" * 190, "é" * 9000), ("ß" * 190, "ss" * 4500), ("ı" * 190, "i" * 9000),
    ("ſ" * 190, "S" * 9000), ("e " * 90, "e" * 9000), ("é " * 90, "%c3%a9" * 1500), ("u " * 90, "\\u0075" * 1500),
]  # fmt: skip
SEARCH = """
import json, sys
from ticketry.erasure.rules import Eraser, Sought
for name, text in json.load(sys.stdin):
    Eraser(Sought("contact_z", (name,), None, "+4917012345678", False, (name,))).text(text + "x", "own")
"""


def test_no_name_holds_the_process_up() -> None:
    """A search that tries all the ways to divide a text would outlast the sun."""
    subprocess.run([sys.executable, "-c", SEARCH], input=json.dumps(NASTY).encode(), timeout=100, check=True)


ODD = st.text(st.sampled_from("-_. '&;\\n%20=c3eéßſıİŉ\u0301\u0947क"), min_size=1, max_size=30)


@settings(deadline=None)
@given(name=ODD, around=ODD)
def test_an_odd_name_is_found_or_has_no_word(name: str, around: str) -> None:
    """Also one that looks like something escaped; and no name matches where there is nothing of it."""
    pattern = patterns.whole(name)
    assert (pattern is None) == (not any(map(str.isalnum, unicodedata.normalize("NFC", name))))
    if pattern is not None:
        eraser = Eraser(Sought("contact_z", (name,)))
        assert ERASED in eraser.text(f"({name}){' ' * 200}", "own")
        assert eraser.text(f"({around})", "own")
        assert eraser.text("+-_ ~", "own") == "+-_ ~"


@given(text=st.text(max_size=300))
def test_what_does_not_mention_the_person_stays(text: str) -> None:
    eraser = Eraser(Sought("contact_z", ("Qqqqzzzz Xxxxvvvv",), "qqqqzzzz@example.com", "+999888777666"))
    for mode in ("own", "part", "mention"):
        assert eraser.text(text, mode) == text


@pytest.mark.parametrize("limit", [50, 64, 100, 200, 320, 998, 10_000])
def test_what_is_left_fits_where_it_stood(limit: int) -> None:
    eraser = Eraser(Sought("contact_z", (), "a@b.io"))
    text = ("a@b.io " * limit)[:limit]
    left = eraser.text(text, "mention")
    assert len(left) <= limit
    assert "a@b.io" not in left
    assert SHORT in left


def data(**more: Any) -> dict[str, Any]:
    """An event's data."""
    ticket = {
        "id": "ticket_1", "subject": "s", "priority_label": "High", "status": "new", "contact_id": "contact_z",
        "assigned_name": "Zoë Agent", "tags": ["a"], "custom_fields": {"a": 1}, "resolution_note": None,
        "conversation_id": "c", "category": "high", "created_at": "2025-01-15T09:00:00Z",
    }  # fmt: skip
    return {"ticket": ticket, "changes": {}, **more}


def test_ids_words_of_the_program_and_the_teams_names_stay() -> None:
    """A customer called High, New or like one of the team does not change what the program says."""
    eraser = Eraser(Sought("contact_z", ("High New Zoë",)))
    left = eraser.column("event", data(), "own", mine=False)
    assert left["ticket"] == {
        **data()["ticket"], "subject": ERASED, "tags": [], "custom_fields": {}, "conversation_id": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "author", "body"),
    [
        ("own", ("contact", "contact_z"), ERASED), ("own", ("user", "user_1"), f"to {ERASED}"),
        ("mention", ("contact", "contact_z"), ERASED), ("mention", ("contact", "contact_y"), f"to {ERASED}"),
    ],
)  # fmt: skip
def test_a_comment_in_an_event(mode: Mode, author: tuple[str, str], body: str) -> None:
    said = {
        "id": "comment_1", "body": "to zoë.o'brax@example.com", "visibility": "public",
        "author": {"type": author[0], "id": author[1], "name": "Zoë"},
    }  # fmt: skip
    event = data(comment=said)
    event["ticket"]["contact_id"] = "contact_z" if mode == "own" else "contact_other"
    left = Eraser(ZOE).column("event", event, mode, mine=False)["comment"]
    name = ERASED if author[1] == "contact_z" else "Zoë"
    assert left == {**said, "body": body, "author": {**said["author"], "name": name}}


def test_events_of_when_the_ticket_was_theirs() -> None:
    """The ticket has gone to somebody else since: what it said then goes all the same."""
    assert Eraser(ZOE).column("event", data(), "mention", mine=False)["ticket"]["subject"] == ERASED
    change = {"contact_id": {"from": "contact_z", "to": "contact_y"}, "subject": {"from": "old", "to": "new"}}
    event = data(changes=change)
    event["ticket"]["contact_id"] = "contact_y"
    left = Eraser(ZOE).column("event", event, "mention", mine=False)
    assert left["changes"] == {**change, "subject": {"from": ERASED, "to": ERASED}}


def test_old_tickets_lose_the_teams_words_too() -> None:
    eraser = Eraser(Sought())
    assert eraser.column("said", "an agent's", "own", mine=False) == ERASED
    assert eraser.column("name", "Jane", "own", mine=False) == "Jane"
    assert eraser.column("label", "billing", "own", mine=False) == "billing"


def test_what_is_sought_comes_back_as_it_was_stored() -> None:
    assert Sought.of({**json.loads(json.dumps(ZOE.as_dict())), "labels": True}) == ZOE


@pytest.mark.parametrize(
    "name", ["a@b.co " + "x" * 244 + ".pdf", "x" * 248 + " a@b.co", "a@b.co.tar.gz", "a@b.co-2.pdf"]
)
def test_names_of_files_are_found_before_endings_and_still_fit(name: str) -> None:
    eraser = Eraser(Sought("contact_z", ("Li Wei",), "a@b.co"))
    for mode in ("own", "part", "mention"):
        left = eraser.column("file", name, mode, mine=False)
        assert "a@b.co" not in left
        assert len(left) <= 255
        assert left.endswith(name[-4:]) or "x a@" in name
    assert eraser.told_in(json.dumps({"name": name}))


def test_ids_made_up_at_random_are_nobodys_name() -> None:
    eraser = Eraser(Sought("contact_z", ("Ada Bee",)))
    for key in ("0a7e4ada-bee1-4ada-8ada-1bee2ada3bee", "ada0bee1ada2bee3ada4bee5", "01JDADA0BEE1ADA2BEE3ADA4BE"):
        assert not eraser.told_by(key)
    assert eraser.told_by("ada-20261127")


def test_many_long_names_do_not_make_a_pattern_without_bounds() -> None:
    """The first ones are kept."""
    long = " ".join(["Ю" * 7] * 25)
    pattern = patterns.any_of(map(patterns.whole, ("Zoë Quax", *(f"{long} {n}" for n in range(20)))))
    assert pattern is not None
    assert len(pattern.pattern) <= 250_000
    assert pattern.sub("!", "Zoë Quax") == "!"
