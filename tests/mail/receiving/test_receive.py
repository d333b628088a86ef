from conftest import House

def test_x(house: House) -> None:
    c = house.client(house.cast.admin)
    a = c.post("/v1/inbound/email", content=b"From: Sam <sam@example.com>\nSubject: Hi\nMessage-ID: <a@b>\n\nHello\n", headers={"Content-Type":"message/rfc822"})
    print(a.text)
    a = c.post("/v1/inbound/email", content=b"From: Sam <sam@example.com>\nSubject: Hi\nMessage-ID: <a@b>\n\nHello\n", headers={"Content-Type":"message/rfc822"})
    print(a.text)
    print(c.get("/v1/inbound/emails").text)
    i = a.json()["data"]["mail_id"]
    print(c.get("/v1/inbound/emails/"+i).text)
    print(c.get("/v1/inbound/emails/"+i+"/raw").text)
    print(c.post("/v1/inbound/email", content=b"", headers={"Content-Type":"message/rfc822"}).text)
    print(c.get("/v1/tickets").text)
    assert 0
