"""What is understood of mails, program by program and oddity by oddity."""

from pathlib import Path

import pytest

from ticketry.mail.receiving.reading import reader, texts
from ticketry.mail.receiving.reading.charsets import decoded
from ticketry.mail.receiving.reading.read_mail import ReadMail

from . import mails


def read(raw: bytes, folder: Path) -> ReadMail:
    """The mail as it is handed on: through JSON, as from the other process."""
    return ReadMail.from_json(reader.read(raw, folder).to_json())


def files(mail: ReadMail, folder: Path) -> dict[str, bytes]:
    return {one.name: (folder / one.path).read_bytes() for one in mail.files}


def test_gmail(tmp_path: Path) -> None:
    mail = read(mails.gmail(), tmp_path)
    assert mail.problem is None
    assert (mail.from_name, mail.from_address) == ("Sam Taylor", "sam.taylor@gmail.example")
    assert mail.subject == "Re: Refund"
    assert mail.message_id == "<CAJ8=x+9Zq1@mail.gmail.example>"
    assert mail.reply == "It works now, thank you!"
    assert "Please try again." in mail.text
    assert mail.files == []


def test_outlook(tmp_path: Path) -> None:
    mail = read(mails.outlook(), tmp_path)
    assert (mail.from_name, mail.from_address) == ("Taylor, Sam", "sam.taylor@outlook.example")
    assert mail.reply == "Hello Jane,\n\nthe amount is still wrong – it should be 100 €.\n\nBest regards,\nSam"
    assert "Please try again." in mail.text


def test_apple_mail(tmp_path: Path) -> None:
    mail = read(mails.apple_mail(), tmp_path)
    assert mail.text == "Look at this long line that issoft:\n\nWhat is that?"
    assert files(mail, tmp_path) == {"Bildschirmfoto.png": mails.PNG}


def test_thunderbird(tmp_path: Path) -> None:
    mail = read(mails.thunderbird(), tmp_path)
    assert mail.from_name == "Säm Täylor"
    assert mail.subject == "Re: Rückzahlung"
    assert mail.reply == "Danke, das hat geholfen. Ich habe es auf allen Rechnern versucht und es geht überall."


def test_yahoo_whose_plain_form_is_empty(tmp_path: Path) -> None:
    mail = read(mails.yahoo(), tmp_path)
    assert mail.text == "I cannot sign in.\n\nSee [this](https://x.example/)"


def test_a_phone(tmp_path: Path) -> None:
    mail = read(mails.phone(), tmp_path)
    assert mail.reply.splitlines()[0] == "Yes"
    assert "Ok?" not in mail.reply


def test_exchange_with_a_winmail(tmp_path: Path) -> None:
    mail = read(mails.exchange(), tmp_path)
    assert mail.text.strip() == "The text inside."
    assert files(mail, tmp_path) == {"bill.pdf": mails.PDF}


@pytest.mark.parametrize("damage", [0, 4, 20, 60, 100])
def test_a_damaged_winmail_is_kept_as_it_is(damage: int, tmp_path: Path) -> None:
    pack = bytes(damage and mails.winmail()[:damage])
    mail = read(mails.exchange(pack), tmp_path)
    assert mail.problem is None
    if pack and damage < 60:
        assert files(mail, tmp_path) == {"winmail.dat": pack}


@pytest.mark.parametrize(
    ("declared", "written", "text"),
    [
        ("iso-2022-jp", "iso-2022-jp", "返金されていません"),
        ("us-ascii", "cp1252", "“100 €” – naïve"),
        ("us-ascii", "utf-8", "“100 €” – naïve"),
        ("iso-8859-1", "cp1252", "“100 €”"),
        ("gb18030", "gb18030", "退款尚未收到 𠀀"),
        ("gb2312", "gb18030", "镕"),
        ("ks_c_5601-1987", "cp949", "환불 똠방각하"),
        ("windows-1251", "cp1251", "Возврат не получен"),
        ("koi8-r", "koi8-r", "Возврат"),
        ("utf-8", "cp1252", "café"),
        ("nonsense-9", "utf-8", "Zürich"),
        ("", "utf-8", "Zürich"),
        ("unicode-1-1-utf-7", "utf-8", "Zürich"),
        ("shift_jis", "cp932", "①髙橋"),
        ("utf-16", "utf-16", "Zürich"),
    ],
)
def test_character_sets(declared: str, written: str, text: str, tmp_path: Path) -> None:
    one = mails.part(f"text/plain; charset={declared}", text.encode(written))
    assert read(b"From: a@b.example\r\n" + one, tmp_path).text == text


def test_bytes_that_are_text_in_no_set(tmp_path: Path) -> None:
    raw = mails.raw("From: a@b.example", "Content-Type: text/plain; charset=utf-8", body=b"a\x00b \xff\xfe \x81 c")
    assert read(raw, tmp_path).text.startswith("ab ÿþ")
    assert decoded(b"\x00\x1b[31m", "utf-8") == "[31m"
    assert "\x00" not in decoded(b"\x00", "idna")
    assert decoded("Zürich".encode("punycode"), "punycode") == "Zrich-kva"


@pytest.mark.parametrize(
    ("header", "subject"),
    [
        ("Subject: =?iso-8859-1?q?Caf=E9?= =?utf-8?b?4oKs?=", "Café€"),
        ("Subject: =?utf-8?b?broken", "=?utf-8?b?broken"),
        ("Subject: =?utf-8?b?=FF?=", "=?utf-8?b?=FF?="),
        ("Subject: =?x-unknown?q?a=E9?=", "aé"),
        ("Subject: a\r\n b\r\n\tc", "a b c"),
        ("Subject:", ""),
        ("Subject: " + "x" * 5000, "x" * 1000),
        ("Subject: Zürich", "Zürich"),
        ("X-No: subject", ""),
    ],
)
def test_subjects(header: str, subject: str, tmp_path: Path) -> None:
    assert read(mails.raw("From: a@b.example", header), tmp_path).subject == subject


@pytest.mark.parametrize(
    ("header", "name", "address"),
    [
        ("From: a@b.example", "", "a@b.example"),
        ('From: "Taylor, Sam" <a@b.example>', "Taylor, Sam", "a@b.example"),
        ("From: =?utf-8?q?Taylor=2C_Sam?= <a@b.example>", "Taylor, Sam", "a@b.example"),
        ("From: a@b.example (Sam)", "Sam", "a@b.example"),
        ("From: Sam <a@b.example>, Eve <e@b.example>", "Sam", "a@b.example"),
        ("From: sam at nowhere", "", ""),
        ("From: <>", "", ""),
        ("From: Sam Taylor a@b.example", "Sam Taylor", "a@b.example"),
        ("Sender: a@b.example", "", "a@b.example"),
        ("From: säm@zürich.example", "", "säm@zürich.example"),
        ("From: " + "x" * 400 + "@b.example", "", ""),
    ],
)
def test_senders(header: str, name: str, address: str, tmp_path: Path) -> None:
    mail = read(mails.raw("Subject: x", header), tmp_path)
    assert (mail.from_name, mail.from_address) == (name, address)


def test_of_many_forms_the_plain_one_is_read_and_the_files_of_all_are_kept(tmp_path: Path) -> None:
    related = mails.nested(
        "related",
        "rel",
        [
            mails.part("text/html; charset=utf-8", b'<p>Rich</p><img src="cid:1">'),
            mails.part("image/png", mails.PNG, "Content-ID: <1>", "Content-Disposition: inline"),
        ],
    )
    invite = mails.part("text/calendar; method=REQUEST", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n")
    alternative = mails.nested("alternative", "alt", [mails.part("text/plain", b"Plain\r\n"), related, invite])
    odd = mails.part("application/pdf", mails.PDF, 'Content-Disposition: attachment; filename="../../etc/pass\\wd.pdf"')
    header, body = mails.multipart("mixed", "mix", [alternative, odd])
    mail = read(mails.raw("From: a@b.example", header, body=body), tmp_path)
    assert mail.text == "Plain"
    assert set(files(mail, tmp_path)) == {"image.png", "invitation.ics", "wd.pdf"}


def test_a_mail_within_a_mail_is_kept_as_a_file(tmp_path: Path) -> None:
    inner = b"Content-Type: message/rfc822\r\n\r\n" + mails.simple(
        "Inner\r\n", subject="The =?utf-8?q?f=C3=BCrst?= one"
    )
    header, body = mails.multipart("mixed", "mix", [mails.part("text/plain", b"See below\r\n"), inner])
    mail = read(mails.raw("From: a@b.example", header, body=body), tmp_path)
    assert mail.text == "See below"
    [(name, content)] = files(mail, tmp_path).items()
    assert name == "The fürst one.eml"
    assert content.rstrip().endswith(b"Inner")
    assert b"Subject: The =?utf-8?q?f=C3=BCrst?= one" in content


def test_file_names(tmp_path: Path) -> None:
    names = [
        ("filename*=UTF-8''%E2%82%AC%20rates.txt", "€ rates.txt"),
        ('filename="=?utf-8?q?=E2=82=AC.txt?="', "€.txt"),
        ('filename*0="a"; filename*1="b.txt"', "ab.txt"),
        ("filename=..", "attachment.bin"),
        ('filename="a\x01b.txt"', "ab.txt"),
        ("filename*=utf-8''%ff%fe.txt", None),
    ]
    parts = [
        mails.part("application/octet-stream", b"x", f"Content-Disposition: attachment; {name}") for name, _ in names
    ]
    header, body = mails.multipart("mixed", "mix", parts)
    mail = read(mails.raw("From: a@b.example", header, body=body), tmp_path)
    for found, (_, expected) in zip(mail.files, names, strict=True):
        assert expected is None or found.name == expected


def test_more_files_than_are_kept_one_by_one(tmp_path: Path) -> None:
    mail = read(mails.with_files(40), tmp_path)
    assert len(mail.files) == reader.MOST_FILES
    assert mail.whole


def test_a_text_longer_than_is_kept_in_the_row(tmp_path: Path) -> None:
    mail = read(mails.simple("word " * 300_000), tmp_path)
    assert len(mail.text) == 1_000_000
    assert mail.cut
    assert len((tmp_path / reader.FULL_TEXT).read_text()) == 1_499_999 + 1


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "it is empty"),
        (b"\r\n \r\n", "it is empty"),
        (b"\x00\x01\x02", "it has no header"),
        (b"no header at all\n", "it has no header"),
        (b"X: y\n" * 200_000 + b"\nbody", "its header is larger than 512 KiB"),
    ],
)
def test_what_is_no_mail(raw: bytes, problem: str, tmp_path: Path) -> None:
    assert read(raw, tmp_path).problem == problem


def test_what_cannot_be_read_through_is_known_by_its_first_headers(tmp_path: Path) -> None:
    deep = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(100))
    mail = read(b"From: Sam <sam@b.example>\r\nSubject: Deep\r\n" + deep, tmp_path)
    assert mail.problem is not None
    assert (mail.from_address, mail.subject) == ("sam@b.example", "Deep")


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("Oui\n\nLe mer. 15 janv. 2025 à 10:02, Acme <a@b.example> a écrit :\n> Bonjour\n", "Oui"),
        ("Yes\n\n________________________________\nFrom: a\nSent: b\nTo: c\n\nfoo", "Yes"),
        ("Sí\n\n> quoted\n> more\n", "Sí"),
        ("Fix:\n\n    def f():\n        pass\n\nOn Mon, Jan 1, 2025 at 1:00 PM A <a@b.example> wrote:\n> x",
         "Fix:\n\n    def f():\n        pass"),
        ("On Mon, Jan 1, 2025 at 1:00 PM A <a@b.example> wrote:\n> x\n\nBelow\n",
         "On Mon, Jan 1, 2025 at 1:00 PM A <a@b.example> wrote:\n> x\n\nBelow"),
        ("> only\n> quoted", "> only\n> quoted"),
        ("nothing quoted", "nothing quoted"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_is_quoted_is_cut_off(text: str, reply: str) -> None:
    found, trimmed = texts.reply_in(text)
    assert found.strip() == reply
    assert trimmed == (reply != "> only\n> quoted")


@pytest.mark.parametrize(
    ("flowed", "text"),
    [
        ("a \nb\nc", "a b\nc"), ("> a \n> b\n> c", "> a b\n> c"), ("-- \nSam", "-- \nSam"),
        (" >not quoted", ">not quoted"), ("a \n> b", "a\n> b"), ("", ""), ("a \n", "a "),
    ],
)  # fmt: skip
def test_flowed_text(flowed: str, text: str) -> None:
    assert texts.unflowed(flowed, delete_space=False).rstrip() == text.rstrip()


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a</p><p>b</p>", "a\n\nb"), ("a<br>b", "a\nb"), ("", ""), ("<script>alert(1)</script>x", "x"),
        ("<div>" * 5_000 + "deep", "deep"), ("<style>p{}</style><p>&lt;b&gt; &amp;", "<b> &"),
        ('<?xml version="1.0" encoding="utf-16"?><html><body>x</body></html>', "x"),
        ("<p>unclosed <b>bold", "unclosed bold"),
    ],
    ids=range(8),
)  # fmt: skip
def test_html(html: str, text: str) -> None:
    assert texts.from_html(html).strip() == text


@pytest.mark.parametrize("text", ["On " * 19_000, "\n" * 59_000, "Am x " * 11_000, " \n" * 29_000])
def test_a_step_that_takes_too_long_is_given_up(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "STEP_SECONDS", 0.2)
    assert texts.reply_in(text)[0] in {text, ""}
