"""Settings and templates by API: what a workspace may word itself, how it is refused, and what it can never do."""

import time
from typing import Any

import pytest
from conftest import House
from kit import forbidden, mint, problem, wrong_fields
from mail.sending.post import Office, text_of, work

from ticketry.mail.markdown import to_html
from ticketry.mail.wording.defaults import DEFAULTS, sample
from ticketry.mail.wording.models import KINDS, Content
from ticketry.mail.wording.templates import TemplateFault, check, render

PLAIN = {"subject": "A", "text": "B", "html": "<p>C</p>"}


def put(house: House, kind: str = "replied", **parts: str) -> Any:
    return house.client(house.cast.admin).put(f"/v1/mail/templates/{kind}", json={**PLAIN, **parts})


def test_settings_begin_with_everything_on(house: House) -> None:
    told = house.client(house.cast.admin).get("/v1/mail/settings").json()["data"]
    assert told["enabled"] is True
    assert told["delivery"] == "outbox"
    assert set(told["switches"]) == set(KINDS)
    assert all(told["switches"].values())
    assert told["updated_at"] is None
    assert {told[name] for name in ("sender_address", "sender_name", "reply_to", "inbound_address")} == {None}


def test_a_template_that_fails_on_the_sample_is_refused(house: House) -> None:
    refused = put(house, text="{{ ticket.subject|truncate(2) }}")
    assert refused.status_code == 422
    [fault] = refused.json()["error"]["errors"]
    assert (fault["field"], fault["code"]) == ("text", "template_error")
    values = sample("resolved")
    with pytest.raises(TemplateFault, match="expected length"):
        render(Content("x", "{{ ticket.subject|truncate(2) }}", "x"), values, values)


@pytest.mark.parametrize(
    "markdown",
    [
        "|a" * 70 + "\n" + "|-" * 70 + "\n" + "|\n" * 4_800,
        "|a" * 1_400 + "\r" + "|-" * 1_400 + "\r" + "b\r" * 2_000,
        "[a]: " + "b" * 1_000 + "\n" + "[a]" * 2_900,
        "[](b)" * 2_000,
        "<http:a>" * 1_250,
    ],
    ids=["table", "wide table", "named links", "links", "addresses"],
)
def test_a_text_does_not_become_a_very_large_mail(markdown: str) -> None:
    assert len(to_html(markdown[:10_000])) < 150_000


def test_tables_stay_tables() -> None:
    assert "<table>" in to_html("|a|b|\n|-|-|\n" + "|c|d|\n" * 300)


def test_settings_are_merged(house: House) -> None:
    client = house.client(house.cast.admin)
    client.put("/v1/mail/settings", json={"sender_name": "Globex", "switches": {"replied": False}})
    client.patch("/v1/mail/settings", json={"reply_to": "desk@globex.example", "switches": {"received": False}})
    told = client.get("/v1/mail/settings").json()["data"]
    assert (told["sender_name"], told["reply_to"]) == ("Globex", "desk@globex.example")
    assert [kind for kind, on in told["switches"].items() if not on] == ["received", "replied"]
    everything = {"sender_name": None, "reply_to": None, "switches": {"received": True, "replied": True}}
    told = client.put("/v1/mail/settings", json=everything).json()["data"]
    assert told["sender_name"] is None
    assert all(told["switches"].values())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"sender_address": "nobody"}, "sender_address"),
        ({"sender_address": "a@b.example\r\nBcc: c@d.example"}, "sender_address"),
        ({"reply_to": "Jane <jane@example.com>"}, "reply_to"),
        ({"inbound_address": ""}, "inbound_address"),
        ({"sender_name": "x" * 101}, "sender_name"),
        ({"sender_name": ""}, "sender_name"),
        ({"switches": {"resolved": "no"}}, "switches.resolved"),
        ({"switches": {"everything": True}}, "switches.everything"),
        ({"enabled": 1}, "enabled"),
        ({"smtp_host": "mine.example"}, "smtp_host"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_settings_are_named(house: House, body: dict[str, Any], field: str) -> None:
    assert wrong_fields(house.client(house.cast.admin).put("/v1/mail/settings", json=body)) == {field}


def test_the_scopes(house: House) -> None:
    tickets = house.client(mint(house, "tickets:read", "tickets:write"))
    forbidden(tickets.get("/v1/mail/settings"), "users:read")
    forbidden(tickets.put("/v1/mail/settings", json={}), "users:write")
    forbidden(tickets.get("/v1/mail/templates"), "users:read")
    forbidden(tickets.put("/v1/mail/templates/replied", json=PLAIN), "users:write")
    forbidden(tickets.delete("/v1/mail/templates/replied"), "users:write")
    people = house.client(mint(house, "users:read", "users:write"))
    forbidden(people.get("/v1/mail/messages"), "tickets:read")
    forbidden(people.post("/v1/mail/messages/x/resend"), "tickets:write")
    assert people.post("/v1/mail/templates/replied/preview", json={}).status_code == 200
    ticket = house.ticket()
    body = {"ticket_id": ticket["id"]}
    forbidden(people.post("/v1/mail/templates/replied/preview", json=body), "tickets:read")


def test_every_kind_has_a_template_that_can_be_previewed(house: House) -> None:
    client = house.client(house.cast.admin)
    found = client.get("/v1/mail/templates").json()["data"]
    assert [one["kind"] for one in found] == list(KINDS)
    for one in found:
        assert not one["custom"]
        assert "ticket.number" in one["variables"]
        preview = client.post(f"/v1/mail/templates/{one['kind']}/preview").json()["data"]
        assert "Refund not received" in preview["subject"]
        assert "TICK-1234" in preview["text"] + preview["subject"]
        assert "{{" not in preview["html"] + preview["text"]


def test_a_template_of_ones_own_is_used_and_dropped(house: House, post: Office) -> None:
    client = house.client(house.cast.admin)
    assert put(house, "received", text="Dear {{ contact.name }}!", html="<b>{{ contact.name }}</b>").status_code == 200
    assert client.get("/v1/mail/templates/received").json()["data"]["custom"]
    ticket = house.ticket(contact_id=house.cast.customer_id)
    work(house, post)
    (mail,) = post.to("sam@example.com")
    assert mail["Subject"] == f"[{ticket['number']}] A"
    assert text_of(mail).strip() == "Dear Sam Taylor!"
    dropped = client.delete("/v1/mail/templates/received").json()["data"]
    assert (dropped["custom"], dropped["subject"]) == (False, DEFAULTS["received"].subject)


def test_a_preview_about_a_ticket_shows_what_its_customer_may_see(house: House) -> None:
    client = house.client(house.cast.agent_key)
    ticket = house.ticket(contact_id=house.cast.customer_id)
    client.post(f"/v1/tickets/{ticket['id']}/comments", json={"body": "For you, **Sam**."})
    client.post(f"/v1/tickets/{ticket['id']}/comments", json={"body": "Secret.", "visibility": "internal"})
    body = {"ticket_id": ticket["number"], "text": "{{ agent.name }} to {{ contact.name }}: {{ message }}"}
    told = client.post("/v1/mail/templates/replied/preview", json=body).json()["data"]
    assert told["text"] == "Jane Smith to Sam Taylor: For you, **Sam**."
    assert "<strong>Sam</strong>" in told["html"]
    assert "Secret" not in str(told)
    answer = client.post("/v1/mail/templates/replied/preview", json={"ticket_id": "ticket_none"})
    assert wrong_fields(answer) == {"ticket_id"}


def test_an_unknown_kind_is_not_found(house: House) -> None:
    client = house.client(house.cast.admin)
    for answer in (
        client.get("/v1/mail/templates/notice"),
        put(house, "nonsense"),
        client.delete("/v1/mail/templates/nonsense"),
        client.post("/v1/mail/templates/nonsense/preview", json={}),
    ):
        problem(answer, 404, "not_found", "mail_template_not_found")


@pytest.mark.parametrize(("part", "most"), [("subject", 500), ("text", 20_000), ("html", 50_000)])
def test_the_size_of_a_template_has_a_bound(house: House, part: str, most: int) -> None:
    assert put(house, **{part: "x" * most}).status_code == 200
    assert wrong_fields(put(house, **{part: "x" * (most + 1)})) == {part}
    assert wrong_fields(put(house, **{part: ""})) == {part}
    house.client(house.cast.admin).delete("/v1/mail/templates/replied")


def test_a_fault_names_part_and_line(house: House) -> None:
    answer = put(house, subject="{{ ticket.nubmer }}", text="a\nb\n{% if %}", html="\n{{ contact.email }}")
    error = problem(answer, 422, "validation_error", "invalid_parameters")
    assert [(one["field"], one["code"], one["message"].partition(":")[0]) for one in error["errors"]] == [
        ("subject", "template_error", "line 1"),
        ("text", "template_error", "line 3"),
        ("html", "template_error", "line 2"),
    ]
    assert "there is no ticket.nubmer" in error["errors"][0]["message"]


ATTACKS = [
    "{% for i in range(10**9) %}x{% endfor %}",
    "{% for a in 'xx' %}{% for b in 'xx' %}{{ loop }}{% endfor %}{% endfor %}",
    "{{ 'a' * 10**9 }}",
    "{{ 10**10**10 }}",
    "{{ 'a' ~ message }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '{:>1000000000}'.format(1) }}",
    "{{ message|center(10**9) }}",
    "{{ message|replace('e', message)|replace('e', message) }}",
    "{{ message|safe }}",
    "{{ message|attr('__class__') }}",
    "{{ lipsum(n=10**9) }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ message.__class__ }}",
    "{{ ticket['__class__'] }}",
    "{{ ticket.__init__.__globals__ }}",
    "{{ ticket.pop('number') }}",
    "{{ ticket.items }}",
    "{{ ticket }}",
    "{{ self._TemplateReference__context }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ config }}",
    "{{ internal_note }}",
    "{% set x = message %}{{ x }}",
    "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends 'x' %}",
    "{% block a %}{% endblock %}",
    "{% filter upper %}a{% endfilter %}",
    "{% call message() %}{% endcall %}",
    "{% autoescape false %}{{ message }}{% endautoescape %}",
    "{% with a=1 %}{{ a }}{% endwith %}",
    "{{ [1, 2, 3] }}",
    "{{ {'a': 1} }}",
    "{{ message[0] }}",
    "{{ message is sameas message }}",
    "{{ message|tojson }}",
    "{{ message|map('upper') }}",
    "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "{{ " + "not " * 4_000 + "1 }}",
    "{% if message %}" * 300 + "{% endif %}" * 300,
    "{{ message }}" * 2_500,
    "{{ " + "9" * 6_000 + " }}",
    "{{",
    "{% debug %}",
    "\n{{ message|truncate(length=foo) }}",
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda text: text.strip()[:40])
def test_attacks_are_refused_where_they_are_stored_and_in_no_time(attack: str) -> None:
    began = time.monotonic()
    for part in ("text", "html"):
        with pytest.raises(TemplateFault):
            check(part, attack, sample("replied"))  # type: ignore[arg-type]
    assert time.monotonic() - began < 5


def test_an_attack_is_refused_by_the_call_and_in_a_preview(house: House) -> None:
    assert wrong_fields(put(house, text=ATTACKS[0])) == {"text"}
    answer = house.client(house.cast.admin).post("/v1/mail/templates/replied/preview", json={"html": ATTACKS[12]})
    assert wrong_fields(answer) == {"html"}


def test_the_largest_mail_has_a_bound(house: House) -> None:
    """Every place filled with the longest text there is: refused rather than made."""
    ticket = house.ticket(subject="s" * 200, description="d" * 10_000)
    body = {"text": "{{ message }}" * 600, "ticket_id": ticket["id"]}
    answer = house.client(house.cast.admin).post("/v1/mail/templates/assigned/preview", json=body)
    assert wrong_fields(answer) == {"text"}


def test_what_people_write_is_no_html_and_no_template(house: House, post: Office) -> None:
    evil = '<script>alert(1)</script> {{ 7 * 7 }} {% raw %} <img src=x onerror="alert(1)"> [a](javascript:alert(1))'
    contact = house.client(house.cast.admin).post("/v1/contacts", json={"name": evil[:200], "email": "e@example.com"})
    ticket = house.ticket(contact_id=contact.json()["data"]["id"], subject=evil)
    house.client(house.cast.agent_key).post(f"/v1/tickets/{ticket['id']}/comments", json={"body": evil})
    work(house, post)
    for mail in post.to("e@example.com"):
        html = text_of(mail, "html")
        assert "<script" not in html
        assert "<img src=x" not in html
        assert 'href="javascript' not in html
        assert "49" not in text_of(mail).replace(ticket["number"], "")
    assert any("&lt;script&gt;" in text_of(mail, "html") for mail in post.to("e@example.com"))


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**a** *b* ~~c~~ `d`", "<p><strong>a</strong> <em>b</em> <s>c</s> <code>d</code></p>\n"),
        ("a\nb", "<p>a<br>\nb</p>\n"),
        ("<b onclick=x>a</b>", "<p>&lt;b onclick=x&gt;a&lt;/b&gt;</p>\n"),
        ("[a](https://x.example)", '<p><a href="https://x.example" rel="noopener noreferrer nofollow">a</a></p>\n'),
        ("[a](data:text/html;base64,xx)", "<p>[a](data:text/html;base64,xx)</p>\n"),
    ],
)
def test_markdown(markdown: str, html: str) -> None:
    assert to_html(markdown) == html


def test_images_are_not_loaded() -> None:
    assert "<img" not in to_html("![seen](https://spy.example/pixel.gif)")
