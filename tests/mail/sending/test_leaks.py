"""What a customer must never be mailed: internal notes, other customers, other workspaces. As an attack.

Every text that is not for the customer holds a word that must not be found in any mail to a customer, in no header and
no part; every workspace holds its own. Then everything happens that is mailed.
"""

import re
from typing import Any

import pytest
from conftest import House
from mail.sending.post import Office, message, messages, text_of, work

SECRETS = ("kumquat", "durian", "rambutan", "salak", "medlar", "quandong")
TEMPLATE = "{{ ticket.subject }} {{ ticket.status }} {{ contact.name }} {{ agent.name }} {{ message }}"


def everything_said(post: Office) -> str:
    """All that customers got, decoded."""
    said = []
    for mail, (_, _, raw) in zip(post.mails(), post.got, strict=True):
        said += [raw.decode("utf-8", "replace"), text_of(mail), text_of(mail, "html"), str(mail.items())]
    return "\n".join(said).lower()


@pytest.fixture
def scene(house: House) -> dict[str, Any]:
    """A ticket of Sam's about which everybody else says what Sam must not read."""
    client = house.client(house.cast.admin)
    off = {"assigned": False, "customer_replied": False, "sla_warning": False, "sla_breached": False}
    client.put("/v1/mail/settings", json={"switches": off})
    client.patch(f"/v1/workspaces/{house.cast.stranger_workspace_id}", json={"name": "Durian Ltd"})
    other_id = "contact_rambutan"
    client.post("/v1/contacts", json={"id": other_id, "name": "Rambutan Person", "email": "rambutan@example.com"})
    ticket = house.ticket(
        contact_id=house.cast.customer_id, tags=["salak"], category="salak", custom_fields={"x": "salak"},
        metadata={"x": "salak"},
    )  # fmt: skip
    return {"ticket": ticket, "other": other_id}


def test_no_secret_reaches_the_customer(house: House, post: Office, scene: dict[str, Any]) -> None:
    client, path = house.client(house.cast.agent_key), f"/v1/tickets/{scene['ticket']['id']}"
    for kind in ("received", "replied", "resolved", "reopened"):
        body = {"subject": TEMPLATE, "text": TEMPLATE, "html": f"<p>{TEMPLATE}</p>"}
        assert client.put(f"/v1/mail/templates/{kind}", json=body).status_code == 200
    client.post(f"{path}/comments", json={"body": "kumquat", "visibility": "internal"})
    client.patch(path, json={"internal_note": "kumquat", "priority": 1})
    client.post(f"{path}/comments", json={"body": "rambutan", "contact_id": scene["other"]})
    client.post(f"{path}/comments", json={"body": "Hello Sam"})
    client.put(f"{path}/close", json={"resolution_note": "All good", "root_cause": "medlar", "resolution_time": 777})
    client.put(f"{path}/reopen", json={"reason": "quandong"})
    client.post(f"{path}/comments", json={"body": "kumquat", "visibility": "internal"})
    client.patch(path, json={"status": "resolved", "internal_note": "kumquat"})
    work(house, post)
    sent = [mail for mail in messages(house, ticket_id=scene["ticket"]["id"]) if mail["status"] == "sent"]
    assert sorted(mail["kind"] for mail in sent) == ["received", "reopened", "replied", "resolved", "resolved"]
    assert {to[0] for _, to, _ in post.got} == {"sam@example.com"}
    said = everything_said(post)
    assert "hello sam" in said
    assert "all good" in said
    for secret in (*SECRETS, "777", "jane_smith@"):
        assert secret not in said, secret
    for mail in sent:
        kept = str(message(house, mail["id"])).lower()
        assert not [secret for secret in SECRETS if secret in kept]


def test_a_comment_that_became_internal_is_not_sent(house: House, post: Office, scene: dict[str, Any]) -> None:
    """What counts is how it stands when the mail is made, not when it was planned."""
    path = f"/v1/tickets/{scene['ticket']['id']}/comments"
    said = house.client(house.cast.agent_key).post(path, json={"body": "kumquat"}).json()["data"]
    house.sql("UPDATE comments SET visibility = 'internal' WHERE id = %s", (said["id"],))
    work(house, post)
    assert "kumquat" not in everything_said(post)
    (mail,) = [one for one in messages(house, ticket_id=scene["ticket"]["id"]) if one["kind"] == "replied"]
    assert (mail["status"], mail["reason"]) == ("skipped", "the comment is gone")


def test_a_ticket_that_changed_hands_is_not_told_to_its_former_customer(
    house: House, post: Office, scene: dict[str, Any]
) -> None:
    client, path = house.client(house.cast.agent_key), f"/v1/tickets/{scene['ticket']['id']}"
    client.post(f"{path}/comments", json={"body": "For somebody else"})
    client.patch(path, json={"contact_id": scene["other"]})
    client.post(f"{path}/comments", json={"body": "rambutan alone"})
    work(house, post)
    to_sam = "\n".join(text_of(mail) for mail in post.to("sam@example.com"))
    assert "rambutan" not in to_sam
    assert "For somebody else" not in to_sam
    (mail,) = post.to("rambutan@example.com")
    assert "rambutan alone" in text_of(mail)


def test_the_same_mail_address_in_two_workspaces_is_two_people(house: House, post: Office) -> None:
    """Nothing of one workspace's words, names or threads is in the other's mail."""
    stranger = house.client(house.cast.stranger)
    theirs = {"name": "Sam at Durian", "email": "SAM@example.com"}
    contact = stranger.post("/v1/contacts", json=theirs).json()["data"]["id"]
    stranger.put("/v1/mail/settings", json={"sender_name": "Durian Desk", "sender_address": "desk@durian.example"})
    subject = {"subject": "Durian matter", "description": "Durian", "contact_id": contact}
    assert stranger.post("/v1/tickets", json=subject).status_code == 201
    house.ticket(contact_id=house.cast.customer_id)
    work(house, post)
    ours = [mail for mail in post.mails() if "durian" not in str(mail["From"]).lower()]
    assert ours
    for mail in ours:
        assert not re.search("durian", f"{mail.items()} {text_of(mail)} {text_of(mail, 'html')}", re.IGNORECASE)
    ids = [set(str(mail["References"]).split()) for mail in post.mails()]
    assert not ids[0] & ids[1]
