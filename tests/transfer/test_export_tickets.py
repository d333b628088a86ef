"""`GET /v1/tickets/export`: every ticket that matches, as `GET /v1/tickets/{id}` would show it at that moment."""

import csv
import io
import json
from typing import Any

import pytest
from conftest import House
from defusedcsv import csv as defused
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kit import check_edge, close, forbidden, force_status, mint, problem, reopen, wrong_fields

from ticketry.core.fields import LARGEST_FLOAT
from ticketry.tickets.written.store import CSV_COLUMNS

PATH = "/v1/tickets/export"
SORTS = [(by, order) for by in ("created_at", "updated_at", "due_date", "priority") for order in ("asc", "desc")]
FILTERS: list[dict[str, str]] = [
    {}, {"status": "open"}, {"status": "closed,reopened"}, {"priority": "1,2"}, {"category": "billing"},
    {"assigned_to": "none"}, {"assigned_to": "none,user_jane_smith"}, {"contact_id": "contact_sam_taylor"},
    {"created_after": "2025-01-15T10:00:00Z"}, {"created_before": "2025-01-15T10:00:00Z"},
    {"due_after": "2025-02-01T00:00:00Z"}, {"due_before": "2025-02-01T00:00:00Z"}, {"sla_breach": "true"},
    {"sla_breach": "false"}, {"sla_breach": "true", "assigned_to": "user_jane_smith"}, {"tags": "a"}, {"tags": "a,b"},
    {"search": "refund"}, {"search": "efun"}, {"search": "TICK-2"}, {"search": "refund", "tags": "a", "status": "new"},
    {"search": "nowhere"}, {"category": "nowhere"},
]  # fmt: skip


def exported(house: House, key: str | None = None, **asked: str) -> list[dict[str, Any]]:
    """The tickets of an NDJSON export, as many as it announces."""
    answer = house.client(key or house.cast.admin).get(PATH, params=asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    check_edge(answer)
    lines = answer.text.split("\n")
    assert lines.pop() == ""
    assert int(answer.headers["x-total-count"]) == len(lines)
    return [json.loads(line) for line in lines]


def rows(house: House, **asked: str) -> list[dict[str, str]]:
    """The rows of a CSV export."""
    answer = house.client(house.cast.admin).get(PATH, params={"format": "csv", **asked})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    found = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert int(answer.headers["x-total-count"]) == len(found)
    return found


def shown(house: House, ticket_id: str) -> dict[str, Any]:
    found: dict[str, Any] = house.client(house.cast.admin).get(f"/v1/tickets/{ticket_id}").json()["data"]
    return found


def walked(house: House, **asked: str) -> list[dict[str, Any]]:
    """The list's items, page after page."""
    client, cursor, found = house.client(house.cast.admin), None, []
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = client.get("/v1/tickets", params={"per_page": "7", **asked, **more}).json()
        found += page["data"]
        cursor = page["meta"]["next_cursor"]
        if cursor is None:
            return found


def same(one: Any, other: Any) -> bool:
    """Equal as JSON, where 1, 1.0 and true are three things."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@pytest.fixture(scope="module")
def lives(house: House) -> House:
    """Tickets in every state, before and after their due moments."""
    clock = house.clock
    ids = []
    for n in range(24):
        ticket = house.ticket(
            subject=f"Refund {n}", priority=1 + n % 4, category=("billing", "login", None)[n % 3],
            contact_id=house.cast.customer_id if n % 2 else None, tags=[["a"], ["a", "b"], []][n % 3],
            assigned_to=(house.cast.agent_id, None, house.cast.other_agent_id)[n % 3],
            due_date=None if n % 4 else f"2025-0{1 + n % 3}-15T12:00:00Z", conversation_id="conv_abc123",
            custom_fields={"n": n}, metadata={"seen": None},
        )  # fmt: skip
        ids.append(ticket)
        clock.advance(minutes=7)
    for n, ticket in enumerate(ids):
        if n % 6 == 1:
            close(house, ticket, resolution_note="Done", customer_satisfaction=9, resolution_time=3, root_cause="bug")
        elif n % 6 == 2:
            force_status(house, ticket, "waiting_on_customer")
        elif n % 6 == 3:
            reopen(house, close(house, ticket))
        elif n % 6 == 4:
            force_status(house, ticket, "resolved")
        elif n % 6 == 5:
            body = {"body": "On it", "user_id": house.cast.agent_id}
            assert house.client(house.cast.admin).post(f"/v1/tickets/{ticket['id']}/comments", json=body).is_success
        clock.advance(minutes=31)
    return house


def test_each_line_is_what_the_ticket_itself_shows(lives: House) -> None:
    """At several instants: what is overdue and paused changes by time alone."""
    for hours in (0, 3, 24, 24 * 30):
        lives.clock.advance(hours=hours)
        found = exported(lives)
        assert len(found) == 24
        for line in found:
            assert same(line, shown(lives, line["id"]))
            assert list(line) == list(shown(lives, line["id"]))
    assert {line["sla"]["breached"] for line in found} == {True, False}


@pytest.mark.parametrize("asked", FILTERS, ids=str)
def test_the_export_is_a_walk_through_the_list(lives: House, asked: dict[str, str]) -> None:
    expected = walked(lives, **asked)
    found = exported(lives, **asked)
    assert [line.pop("description") for line in found] == ["I was charged twice."] * len(expected)
    assert same(found, expected)
    assert [row["id"] for row in rows(lives, **asked)] == [item["id"] for item in expected]


@pytest.mark.parametrize(("by", "order"), SORTS)
@pytest.mark.parametrize("asked", [{}, {"sla_breach": "true"}, {"tags": "a"}, {"search": "refund"}], ids=str)
def test_the_order_is_the_lists(lives: House, by: str, order: str, asked: dict[str, str]) -> None:
    asked = {**asked, "sort_by": by, "sort_order": order}
    expected = [item["id"] for item in walked(lives, **asked)]
    assert [line["id"] for line in exported(lives, **asked)] == expected
    assert len(expected) > 2


def test_a_row_of_csv_says_what_the_line_says(lives: House) -> None:
    for line, row in zip(exported(lives), rows(lives), strict=True):
        assert tuple(row) == CSV_COLUMNS
        flat = {name: value for name, value in line.items() if name != "sla"}
        flat |= {f"sla_{name}": value for name, value in line["sla"].items()}
        assert set(flat) == set(row)
        for name, value in flat.items():
            if name in {"tags", "custom_fields", "metadata"}:
                assert same(json.loads(row[name]), value)
            elif isinstance(value, bool):
                assert row[name] == str(value).lower()
            else:
                assert row[name] == ("" if value is None else str(value)), name


def test_the_columns_of_csv_stay_as_they_are() -> None:
    """Programs read them by their place too: a new one is added at the end."""
    assert ",".join(CSV_COLUMNS) == (
        "id,number,subject,priority,priority_label,status,category,contact_id,conversation_id,assigned_to,"
        "assigned_name,follow_up_of,duplicate_of,due_date,tags,custom_fields,metadata,resolution_note,customer_satisfaction,"
        "satisfaction_source,resolution_time,root_cause,sla_response_met,sla_resolution_met,sla_response_due_at,"
        "sla_resolution_due_at,sla_first_response_at,sla_breached,sla_paused,reopen_count,created_at,updated_at,"
        "resolved_at,closed_at,description"
    )


TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=60)
NUMBERS = st.integers(-(10**40), 10**40) | st.floats(-1e21, 1e21, allow_nan=False).filter(
    lambda x: x == 0 or abs(x) >= 1 / LARGEST_FLOAT
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
EVIL = [
    "=1+1", "+1", "-1", "-1-1", "@SUM(A1)", "|cmd", "%0A", "\t=1", "\r=1", "\n=1", "＝1", "a|b", "=a|b", "1,5", "-",
    "'", '"', '""', ",", "a\nb", "\\", "\\n", "\\.", "\x01", "\x02\x03", "\x7f", "\u2028", "😀", "é", "-1\n", "--",
    "=\x01", " =1", "\u00a0=1", "\u3000=1", "\ufeff=1", "\u200b=1", "\x01=1", "\x7f@", " \u2060 +1", "﹦1", "﹢1",
    " a=1", " -1", "a;=1", "\u00e9=1",
]  # fmt: skip


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    texts=st.lists(TEXT | st.sampled_from(EVIL), min_size=3, max_size=3), fields=st.dictionaries(TEXT, JSON, max_size=4)
)
@example(texts=EVIL[:3], fields={EVIL[n]: EVIL[-n] for n in range(len(EVIL))})
def test_whatever_people_write_comes_out_as_it_went_in(house: House, texts: list[str], fields: dict[str, Any]) -> None:
    subject, description, category = texts
    tag = f"t{len(house.sql('SELECT 1 FROM tickets'))}"
    ticket = house.ticket(
        subject=subject, description=description, category=category, custom_fields=fields, tags=[tag, subject[:50]]
    )
    (line,) = exported(house, tags=tag)
    assert same(line, shown(house, ticket["id"]))
    assert line["subject"] == subject
    (row,) = rows(house, tags=tag)
    for name, text in (("subject", subject), ("description", description), ("category", category)):
        assert row[name] in {text, "'" + text}
        assert row[name][0] not in "=+@|%\t\r\n＝＋－＠"
        assert row[name][0] != "-" or set(row[name]) <= set("-0123456789,."), row[name]
        library = io.StringIO()
        defused.writer(library).writerow([text])
        (by_library,) = next(csv.reader(io.StringIO(library.getvalue(), newline="")))
        assert by_library.replace("\\|", "|") in {row[name].replace("\\|", "|"), text.replace("\\|", "|")}


@pytest.mark.parametrize("text", EVIL)
def test_a_cell_that_a_spreadsheet_would_run_is_text(house: House, text: str) -> None:
    agent = {"name": text, "email": f"a{abs(hash(text))}@example.com", "role": "agent"}
    user = house.client(house.cast.admin).post("/v1/users", json=agent).json()["data"]["id"]
    ticket = house.ticket(subject=text, assigned_to=user, conversation_id=text, category=text)
    close(house, ticket, resolution_note=text, root_cause=text)
    (row,) = rows(house, assigned_to=user)
    seen = text.lstrip("\x01\x02\x7f \t\r\n\u00a0\u3000\ufeff\u200b\u2060")
    runs = (text[0] in "\t\r\n" or seen[:1] in set("=+-@|%＝＋－＠﹦﹢")) and text != "-1"
    expected = "'" + text if runs else text
    cells = [row[name] for name in ("subject", "assigned_name", "conversation_id", "category", "resolution_note",
                                    "root_cause")]  # fmt: skip
    assert cells == [expected] * 6


def test_accept_chooses_the_format_where_none_is_asked(house: House) -> None:
    client = house.client(house.cast.reader)
    for accept, expected in (
        ("*/*", "application/x-ndjson"), ("application/x-ndjson", "application/x-ndjson"), ("text/csv", "text/csv"),
        ("text/html, Text/CSV;q=0.9", "text/csv"), ("text/csv;q=0", "application/x-ndjson"),
        ("text/csv, application/x-ndjson;q=0.1", "text/csv"), ("text/csv; header=present; q=0.2", "text/csv"),
        ("application/x-ndjson;q=0.3, text/csv;q=0.2", "application/x-ndjson"), ("text/csv;q=x", "text/csv"),
        ("text/csv, application/x-ndjson", "application/x-ndjson"),
    ):  # fmt: skip
        answer = client.get(PATH, headers={"Accept": accept}, params={"category": "nowhere"})
        assert answer.headers["content-type"].startswith(expected)
    answer = client.get(PATH, headers={"Accept": "text/csv"}, params={"format": "ndjson"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    name = f"tickets-{house.clock():%Y%m%d-%H%M%S}.ndjson"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'


def test_an_empty_export_has_headings_and_no_rows(house: House) -> None:
    assert exported(house, category="nowhere") == []
    answer = house.client(house.cast.admin).get(PATH, params={"format": "csv", "category": "nowhere"})
    assert answer.text == ",".join(CSV_COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"format": "xml"}, "format"), ({"status": "gone"}, "status"), ({"priority": "5"}, "priority"),
        ({"created_after": "yesterday"}, "created_after"), ({"sla_breach": "maybe"}, "sla_breach"),
        ({"sort_by": "name"}, "sort_by"), ({"page": "2"}, "page"), ({"per_page": "5"}, "per_page"),
        ({"cursor": "x"}, "cursor"), ({"search": "a b c d e f g h i j k l m n o p q"}, "search"), ({"x": "1"}, "x"),
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_question_names_its_field(house: House, asked: dict[str, str], field: str) -> None:
    assert wrong_fields(house.client(house.cast.admin).get(PATH, params=asked)) == {field}


def test_reading_tickets_is_what_it_needs(house: House) -> None:
    forbidden(house.client(mint(house, "tickets:write")).get(PATH), "tickets:read")
    assert house.client(mint(house, "tickets:read")).get(PATH).status_code == 200
    problem(house.client(None).get(PATH), 401, "authentication_error", "missing_api_key")


def test_nobody_exports_what_is_anothers(house: House) -> None:
    mine = house.ticket(subject="Zanzibar")["id"]
    client = house.client(house.cast.stranger)
    theirs = client.post("/v1/tickets", json={"subject": "Zanzibar", "description": "x"}).json()["data"]["id"]
    for asked in [{}, {"search": "zanzibar"}, {"sort_by": "priority"}, {"sla_breach": "false"}]:
        assert [line["id"] for line in exported(house, house.cast.stranger, **asked)] == [theirs]
        assert mine in {line["id"] for line in exported(house, **asked)}
        assert theirs not in {line["id"] for line in exported(house, **asked)}
    assert exported(house, house.cast.stranger, contact_id=house.cast.customer_id) == []


def test_export_is_no_tickets_id(house: House) -> None:
    client = house.client(house.cast.admin)
    assert client.get(PATH).headers["content-type"] == "application/x-ndjson"
    problem(client.put(f"{PATH}/close"), 404, "not_found", "ticket_not_found")
    problem(client.post(PATH), 405, "invalid_request", "method_not_allowed")
