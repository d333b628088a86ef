"""What ties a mail to a ticket: everything that was signed here is found again, and nothing else is."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketry.mail import threads

SECRET = bytes(range(32))
OTHER_SECRET = bytes(range(1, 33))
WORKSPACE = "ws_01jhq3v9m4e5x8y7z6w5v4u3t2"
TICKET = "ticket_01jhq3v9m4e5x8y7z6w5v4u3t2"

word = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=57)
ticket_ids = word.map("ticket_".__add__)
workspaces = word.map("ws_".__add__)
uniques = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=64)
noise = st.text(max_size=200)
address_text = st.text(string.ascii_lowercase + string.digits + ".-+_", min_size=1, max_size=20)


def a_message_id(**other: str) -> str:
    said = {"workspace_id": WORKSPACE, "ticket_id": TICKET, "unique": "mail_1", "domain": "example.com", **other}
    return threads.message_id(SECRET, **said)


@given(workspaces, ticket_ids, uniques, noise)
def test_a_message_id_is_found_again_wherever_it_stands(ws: str, ticket: str, unique: str, around: str) -> None:
    made = threads.message_id(SECRET, ws, ticket, unique, "example.com")
    for value in (made, f"<a@b> {made}\r\n <c@d>", f"{around} {made} {around}", made + around):
        assert threads.ticket_named_by_references(SECRET, ws, ["", value]) == ticket


@given(workspaces, workspaces, ticket_ids, uniques)
def test_a_message_id_of_another_workspace_or_secret_names_nothing(
    ws: str, other: str, ticket: str, unique: str
) -> None:
    made = threads.message_id(SECRET, ws, ticket, unique, "example.com")
    assert threads.ticket_named_by_references(OTHER_SECRET, ws, [made]) is None
    if other != ws:
        assert threads.ticket_named_by_references(SECRET, other, [made]) is None


@given(st.data(), ticket_ids, uniques)
def test_a_message_id_with_one_character_changed_names_nothing(data: st.DataObject, ticket: str, unique: str) -> None:
    made = threads.message_id(SECRET, WORKSPACE, ticket, unique, "example.com")
    place = data.draw(st.integers(1, made.index("@") - 1))
    char = data.draw(st.sampled_from(string.ascii_lowercase + string.digits + "_-."))
    changed = made[:place] + char + made[place + 1 :]
    if changed.lower() != made.lower():
        assert threads.ticket_named_by_references(SECRET, WORKSPACE, [changed]) is None


@given(workspaces, ticket_ids, address_text)
def test_a_reply_address_is_found_again_or_is_the_plain_one(ws: str, ticket: str, local: str) -> None:
    plain = f"{local}@example.com"
    made = threads.reply_address(SECRET, ws, ticket, plain)
    local_part, _, domain = made.rpartition("@")
    assert domain == "example.com"
    assert len(local_part) <= threads.LONGEST_LOCAL_PART
    if made == plain:
        assert len(local) + len(ticket) > 40
        return
    for value in (
        made,
        f"Support <{made}>, other@example.com",
        made.replace(local_part[-16:], local_part[-16:].upper()),
    ):
        assert threads.ticket_named_by_address(SECRET, ws, ["else@example.com", value]) == ticket
    assert threads.ticket_named_by_address(SECRET, ws + "x", [made]) is None
    assert threads.ticket_named_by_address(OTHER_SECRET, ws, [made]) is None


@given(st.data())
def test_a_reply_address_with_one_character_changed_names_nothing(data: st.DataObject) -> None:
    made = threads.reply_address(SECRET, WORKSPACE, TICKET, "support@example.com")
    place = data.draw(st.integers(made.index("+") + 1, made.index("@") - 1))
    char = data.draw(st.sampled_from(string.ascii_lowercase + string.digits + "_."))
    changed = made[:place] + char + made[place + 1 :]
    if changed != made:
        assert threads.ticket_named_by_address(SECRET, WORKSPACE, [changed]) is None


def test_a_minted_ticket_fits_into_an_address_of_usual_length() -> None:
    made = threads.reply_address(SECRET, WORKSPACE, TICKET, "customer.support@example.com")
    assert re.fullmatch(r"customer\.support\+[0-9a-z]{26}\.[a-z2-7]{16}@example\.com", made)


def test_an_address_that_cannot_carry_a_plus_stays() -> None:
    for plain in ('"a b"@example.com', "not an address", f"{'x' * 60}@example.com"):
        assert threads.reply_address(SECRET, WORKSPACE, TICKET, plain) == plain


def test_a_signature_of_one_kind_is_worth_nothing_as_the_other() -> None:
    signature = a_message_id(unique="x").split(".")[2].split("@")[0]
    address = f"support+{TICKET.removeprefix('ticket_')}.{signature[:16]}@example.com"
    assert threads.ticket_named_by_address(SECRET, WORKSPACE, [address]) is None


def test_the_mail_that_was_answered_decides() -> None:
    first, second = a_message_id(ticket_id="ticket_first"), a_message_id(ticket_id="ticket_second")
    assert threads.ticket_named_by_references(SECRET, WORKSPACE, [f"{first} {second}"]) == "ticket_second"
    assert threads.ticket_named_by_references(SECRET, WORKSPACE, [first, second]) == "ticket_first"


def test_a_flood_of_names_is_cut_to_the_nearest() -> None:
    bogus = "<ticket_x.y." + "a" * 20 + "@e> "
    flood = bogus * 100_000
    assert threads.ticket_named_by_references(SECRET, WORKSPACE, [flood + a_message_id()]) == TICKET
    assert threads.ticket_named_by_references(SECRET, WORKSPACE, [a_message_id() + flood]) is None


@pytest.mark.parametrize("unique", ["", "a.b", "a@b", "a b", "é", "x" * 65, "a\n"])
def test_what_would_break_a_message_id_is_refused(unique: str) -> None:
    with pytest.raises(ValueError, match="unique"):
        a_message_id(unique=unique)


@pytest.mark.parametrize("secret", [b"", b"x" * 15])
def test_a_secret_that_can_be_guessed_is_refused(secret: bytes) -> None:
    with pytest.raises(ValueError, match="secret"):
        threads.message_id(secret, WORKSPACE, TICKET, "u", "example.com")
    with pytest.raises(ValueError, match="secret"):
        threads.ticket_named_by_address(secret, WORKSPACE, ["a+b.aaaaaaaaaaaaaaaa@example.com"])


@pytest.mark.parametrize(
    ("subject", "number"),
    [
        ("Re: Refund [TICK-1234]", "TICK-1234"),
        ("AW: [tick-7] x [TICK-8]", "TICK-7"),
        ("[ TICK-1 ]", "TICK-1"),
        ("TICK-1", None),
        ("[TICK-0]", None),
        ("[TICK-01]", None),
        ("[TICK-1234567890123456789]", None),
        ("[TICK-١]", None),
        ("", None),
    ],
)
def test_a_tag_in_a_subject(subject: str, number: str | None) -> None:
    assert threads.number_named_by_subject(subject) == number


@given(st.integers(1, 10**18 - 1), noise)
def test_a_tag_made_here_is_found_again(number: int, around: str) -> None:
    tag = threads.subject_tag(f"TICK-{number}")
    assert tag == f"[TICK-{number}]"
    if "[" not in around:
        assert threads.number_named_by_subject(f"{around} {tag} {around}") == f"TICK-{number}"


@given(noise)
def test_noise_names_nothing(text: str) -> None:
    assert threads.ticket_named_by_references(SECRET, WORKSPACE, [text]) is None
    assert threads.ticket_named_by_address(SECRET, WORKSPACE, [text]) is None
