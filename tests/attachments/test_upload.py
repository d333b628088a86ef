"""POST /v1/attachments: what is taken, what it is called, what it is, and what is refused."""

import hashlib
import time

import httpx
import pytest
from attachments.uploads import FIELDS, FORM, form, get, left, part, post, send, upload
from conftest import House, serve
from kit import forbidden, problem, wrong_fields

PDF = b"%PDF-1.7\n" + b"x" * 3000


def test_a_file_is_kept_and_described(house: House) -> None:
    answer = send(house, PDF, "Rechnung März.pdf", "application/pdf; charset=x", contact_id=house.cast.customer_id)
    assert answer.status_code == 201
    made = answer.json()["data"]
    assert set(made) == FIELDS
    assert answer.headers["location"] == f"/v1/attachments/{made['id']}"
    assert made == {
        "id": made["id"], "name": "Rechnung März.pdf", "content_type": "application/pdf",
        "claimed_type": "application/pdf", "size": len(PDF), "sha256": hashlib.sha256(PDF).hexdigest(),
        "contact_id": house.cast.customer_id, "ticket_id": None, "comment_id": None, "visibility": None,
        "created_at": "2025-01-15T09:00:00Z",
    }  # fmt: skip
    details = house.client(house.cast.reader).get(f"/v1/attachments/{made['id']}/details")
    assert details.json() == {"data": made}
    assert get(house, made).content == PDF


def test_it_lies_under_its_id_and_no_name_of_the_caller(house: House) -> None:
    made = upload(house, b"here", "../../../../tmp/evil.txt")
    lies = house.files / house.cast.workspace_id / made["id"]
    assert lies.read_bytes() == b"here"
    assert not [path for path in left(house)[1] if "evil" in path or ".." in path]


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 1_048_575, 1_048_576, 1_048_577, 3_000_000])
def test_every_size_comes_back_as_it_went(house: House, size: int) -> None:
    content = bytes(n * 7 % 251 for n in range(1000)) * (size // 1000 + 1)
    made = upload(house, content[:size])
    assert made["size"] == size
    assert made["sha256"] == hashlib.sha256(content[:size]).hexdigest()
    assert get(house, made).content == content[:size]


@pytest.mark.parametrize(
    "content",
    [b"\r\n--the-boundary", b"--the-boundary--", b"\r\n--the-boundar\r\n--the-boundar", b"\r\n" * 5000, b"\r" * 70_000,
     b"\r\n--" * 40_000],
    ids=["boundary begins", "closing inside", "almost twice", "line ends", "returns", "dashes"],
)  # fmt: skip
def test_bytes_that_look_like_the_form_itself(house: House, content: bytes) -> None:
    body = form(part(content)).replace(b"the-boundary", b"another-one", 1)
    body = body[: -len(b"--the-boundary--\r\n")] + b"--another-one--\r\n"
    answer = post(house, body, {"Content-Type": "multipart/form-data; boundary=another-one"})
    assert answer.status_code == 201, answer.text
    assert get(house, answer.json()["data"]).content == content


def test_fields_may_come_after_the_file(house: House) -> None:
    contact = part(house.cast.customer_id.encode(), "contact_id", None)
    for parts in ((part(b"x"), contact), (contact, part(b"x"))):
        answer = post(house, form(*parts))
        assert answer.json()["data"]["contact_id"] == house.cast.customer_id


def test_who_may_not(house: House) -> None:
    before = left(house)
    forbidden(send(house, key=house.cast.reader), "tickets:write")
    nobody = house.client(None).post("/v1/attachments", files={"file": b"x"})
    problem(nobody, 401, "authentication_error", "missing_api_key")
    assert left(house) == before


@pytest.mark.parametrize(
    ("parts", "fields"),
    [
        ([], {"file"}),
        ([part(b"x", "contact_id", None)], {"file"}),
        ([part(b"x", "file", None)], {"file"}),
        ([part(b"x"), part(b"y")], {"file"}),
        ([part(b"x"), part(b"red", "colour", None)], {"colour"}),
        ([part(b"red", "colour", None), part(b"x")], {"colour"}),
        ([part(b"x"), part(b"", "contact_id", None)], {"contact_id"}),
        ([part(b"x"), part(b"c" * 65, "contact_id", None)], {"contact_id"}),
        ([part(b"x"), part(b"a\x00b", "contact_id", None)], {"contact_id"}),
        ([part(b"x"), part(b"nobody", "contact_id", None)], {"contact_id"}),
        ([part(b"x"), part(b"contact_mallory", "contact_id", None)], {"contact_id"}),
        ([part(b"x", "contact_id", None), part(b"y", "contact_id", None), part(b"x")], {"contact_id"}),
        ([part(b"x"), part(b"y", "other", "other.txt")], {"other"}),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_kept(house: House, parts: list[bytes], fields: set[str]) -> None:
    before = left(house)
    assert wrong_fields(post(house, form(*parts))) == fields
    assert left(house) == before


def test_a_file_that_is_not_attached_can_be_deleted(house: House) -> None:
    made = upload(house)
    client = house.client(house.cast.admin)
    forbidden(house.client(house.cast.reader).delete(f"/v1/attachments/{made['id']}"), "tickets:write")
    answer = client.delete(f"/v1/attachments/{made['id']}")
    assert (answer.status_code, answer.json()) == (200, {"data": {"id": made["id"], "deleted": True}})
    for path in ("", "/details"):
        problem(client.get(f"/v1/attachments/{made['id']}{path}"), 404, "not_found", "attachment_not_found")
    problem(client.delete(f"/v1/attachments/{made['id']}"), 404, "not_found", "attachment_not_found")
    deadline = time.monotonic() + 10
    while made["id"] in dict(left(house)[0]):  # the bytes go after the answer
        assert time.monotonic() < deadline
        time.sleep(0.01)
    files = left(house)[1]
    assert not [path for path in files if made["id"] in path]


def test_one_that_is_attached_stays(house: House) -> None:
    made = upload(house)
    house.ticket(attachment_ids=[made["id"]])
    client = house.client(house.cast.admin)
    problem(client.delete(f"/v1/attachments/{made['id']}"), 409, "conflict", "attachment_in_use")
    assert get(house, made).content == b"words"


def test_sent_again_with_its_key_it_is_kept_once(house: House) -> None:
    headers = {"Idempotency-Key": "upload-1"}
    first = send(house, b"once", headers=headers)
    again = send(house, b"once", headers=headers)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    rows, files = left(house)
    assert [path for path in files if first.json()["data"]["id"] in path]
    assert len(files) == len([row for row in rows if row[1] == "kept"])
    for other in (send(house, b"more", headers=headers), send(house, b"once", "b.txt", headers=headers)):
        problem(other, 422, "validation_error", "idempotency_key_reused")
    assert left(house) == (rows, files)


def test_a_key_of_the_wrong_form_is_refused_before_the_bytes_come(house: House) -> None:
    before = left(house)
    assert wrong_fields(send(house, headers={"Idempotency-Key": "x" * 256})) == {"Idempotency-Key"}
    assert left(house) == before


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "application/json"}, 415, "unsupported_media_type"),
        ({"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        ({"Content-Type": "multipart/mixed; boundary=x"}, 415, "unsupported_media_type"),
        ({"Content-Type": ""}, 415, "unsupported_media_type"),
        ({"Content-Type": "multipart/form-data"}, 400, "malformed_multipart"),
        ({"Content-Type": "multipart/form-data; boundary="}, 400, "malformed_multipart"),
        ({"Content-Type": f"multipart/form-data; boundary={'b' * 300}"}, 400, "malformed_multipart"),
        ({"Content-Type": "multipart/form-data; boundary=other"}, 400, "malformed_multipart"),
    ],
)
def test_what_is_no_form(house: House, headers: dict[str, str], status: int, code: str) -> None:
    before = left(house)
    problem(post(house, form(part(b"x")), headers), status, "invalid_request", code)
    assert left(house) == before


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\x00" * 1000, form(part(b"x"))[:-6], form(part(b"x" * 200_000))[:-30], b"--the-boundary\r\n\r\nx",
     b"--the-boundary\r\nContent-Disposition: attachment\r\n\r\nx\r\n--the-boundary--",
     b"--the-boundary\r\nContent-Disposition: form-data\r\n\r\nx\r\n--the-boundary--",
     b"--the-boundary\r\n" + b"X: y\r\n" * 100 + b"\r\nx\r\n--the-boundary--",
     b"--the-boundary\r\nX: " + b"y" * 70_000 + b"\r\n\r\nx\r\n--the-boundary--"],
    ids=["empty", "json", "zeros", "unclosed", "unclosed later", "no header", "other", "no name", "headers", "header"],
)  # fmt: skip
def test_a_form_that_is_broken_leaves_nothing(house: House, body: bytes) -> None:
    before = left(house)
    problem(post(house, body, FORM), 400, "invalid_request", "malformed_multipart")
    assert left(house) == before


def test_without_a_place_for_files_uploads_are_refused_in_words(house: House) -> None:

    for url in serve(house.database_url, house.clock, files_dir=None):
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {house.cast.admin}"}) as client:
            answer = client.post("/v1/attachments", files={"file": b"x"})
            error = problem(answer, 503, "api_error", "storage_not_set")
            assert "TICKETRY_FILES_DIR" in error["message"]
