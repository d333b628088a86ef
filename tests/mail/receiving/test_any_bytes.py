"""Any bytes are read without an exception, into something that the database can store and JSON can carry."""

import tempfile
from pathlib import Path

from conftest import House
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ticketry.core.fields import check_storable
from ticketry.mail.receiving import rules
from ticketry.mail.receiving.reading import reader, tnef
from ticketry.mail.receiving.reading.charsets import decoded
from ticketry.mail.receiving.reading.read_mail import ReadMail

from . import mails

quick = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SAMPLES = [
    mails.gmail(), mails.outlook(), mails.apple_mail(), mails.exchange(), mails.phone(), mails.bounce("<a@b>"),
]  # fmt: skip
NAMES = ["From", "To", "Subject", "Message-ID", "References", "In-Reply-To", "Content-Type",
         "Content-Transfer-Encoding", "Content-Disposition", "Date", "Auto-Submitted", "Precedence", "Return-Path",
         "MIME-Version"]  # fmt: skip
VALUES = ["multipart/mixed; boundary=b", "multipart/alternative; boundary=\"b\"", "text/plain; charset=", "text/html",
          "message/rfc822", "application/ms-tnef", "base64", "quoted-printable", "x-uuencode", "=?utf-8?q?", "?=",
          "=?x?b?", "attachment; filename*=utf-8''%ff", "filename*0*=", "\"", "<", ">", "@", ",", "(", "\\",
          "; charset=punycode", "; format=flowed; delsp=yes", "multipart/report", "8bit", "\udcff", "é"]  # fmt: skip

value = st.lists(st.one_of(st.sampled_from(VALUES), st.text(max_size=10)), max_size=5).map("".join)
headers = st.lists(st.tuples(st.sampled_from(NAMES), value), max_size=8)
lines = st.lists(
    st.one_of(
        st.sampled_from([b"--b", b"--b--", b"", b"begin 644 x", b"Content-Type: text/html", b"> a"]), st.binary()
    ),
    max_size=20,
).map(b"\n".join)


def put_together(head: list[tuple[str, str]], body: bytes) -> bytes:
    text = "\n".join(f"{name}: {said}" for name, said in head)
    return text.encode("utf-8", "surrogatepass") + b"\n\n" + body


def check(raw: bytes) -> None:
    """The mail is understood or says why not, and whatever is told of it can be stored and sent."""
    with tempfile.TemporaryDirectory() as folder:
        mail = ReadMail.from_json(reader.read(raw, Path(folder)).to_json())
        said = [
            mail.subject,
            mail.from_name,
            mail.from_address,
            mail.message_id,
            mail.text,
            mail.reply,
            *mail.reported_ids,
        ]
        for text in [*said, *(part for pair in mail.headers for part in pair), *(one.name for one in mail.files)]:
            check_storable(text)
            text.encode("utf-8")
        assert len(mail.subject) <= 1000
        assert len(mail.message_id) <= 998
        assert len(mail.files) <= reader.MOST_FILES
        for one in mail.files:
            assert (Path(folder) / one.path).is_file()
        rules.automatic(mail, ["support@acme.example"])
        assert 1 <= len(rules.subject_of(mail)) <= 200
        assert 1 <= len(rules.body_of(mail.text, ["note"], attached=True)) <= 10_000
        assert 1 <= len(rules.told_of_automatic(mail, "why", mail.text, attached=True)) <= 10_000


@quick
@given(st.binary(max_size=2_000))
@example(b"")
@example(b":")
@example(b"\n\n")
@example(b"From: \xff\n\n\xff")
def test_any_bytes(raw: bytes) -> None:
    check(raw)


@quick
@given(headers, lines)
@example([("Content-Type", 'multipart/mixed; boundary=""')], b"--\n")
@example([("Content-Type", "message/rfc822")], b"")
@example([("Content-Type", "message/external-body; access-type=x")], b"x: y\n\n")
@example([("Content-Type", "text/plain; charset=\x00")], b"x")
def test_anything_that_looks_like_a_mail(head: list[tuple[str, str]], body: bytes) -> None:
    check(put_together(head, body))


@quick
@given(st.sampled_from(SAMPLES), st.data())
def test_mails_that_were_damaged_on_their_way(raw: bytes, data: st.DataObject) -> None:
    damaged = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(damaged)))
        damaged[place : place + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=20))
    check(bytes(damaged))


@quick
@given(st.binary(max_size=500), st.integers(0, 200))
def test_any_winmail(noise: bytes, keep: int) -> None:
    tnef.opened(mails.winmail()[:keep] + noise)
    tnef.opened(noise)


@quick
@given(st.binary(max_size=200), st.text(max_size=20))
def test_any_character_set(raw: bytes, charset: str) -> None:
    check_storable(decoded(raw, charset))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.one_of(st.binary(max_size=300), st.builds(put_together, headers, lines)))
@example(raw=b"")
@example(raw=b"From: x\n")
def test_any_bytes_handed_in_give_a_ticket_or_are_known(house: House, raw: bytes) -> None:
    answer = house.client(house.cast.admin).post(
        "/v1/inbound/email", content=raw, headers={"Content-Type": "message/rfc822"}
    )
    assert answer.status_code == 201, answer.text
    told = answer.json()["data"]
    assert told["outcome"] in {"ticket", "stored", "duplicate"}
    assert told["ticket_id"] or told["automatic"]
