"""The rules of webhooks as tables: when to try again, when to rest, when to give up, which addresses are public."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketry.settings import load
from ticketry.webhooks.deliveries.rules import PATIENCE, SILENCE, WINDOW, hopeless, next_try, rest
from ticketry.webhooks.endpoints.rules import subscribes, url_problem
from ticketry.webhooks.sending.addresses import why_not

NOW = datetime(2025, 1, 15, 9, 0, tzinfo=UTC)
GAPS = {
    1: 5, 2: 30, 3: 120, 4: 600, 5: 1800, 6: 3600, 7: 10_800, 8: 21_600, 9: 43_200, 10: 86_400, 11: 86_400, 12: None,
}  # fmt: skip


@pytest.mark.parametrize(("tries", "gap"), GAPS.items())
def test_the_schedule(tries: int, gap: int | None) -> None:
    found = next_try(tries, NOW, NOW, 0.5)
    assert found == (None if gap is None else NOW + timedelta(seconds=gap))


def test_the_schedule_fills_three_days() -> None:
    total = timedelta(seconds=sum(gap for gap in GAPS.values() if gap))
    assert timedelta(hours=69) < total <= WINDOW


@given(st.integers(1, 11), st.floats(0, 1))
def test_jitter_is_a_tenth_each_way(tries: int, chance: float) -> None:
    found, gap = next_try(tries, NOW, NOW, chance), GAPS[tries]
    assert found is not None
    assert gap is not None
    assert abs((found - NOW).total_seconds() - gap) <= gap * 0.1 + 0.5
    assert found > NOW


@given(st.floats(0, 1))
def test_with_every_jitter_the_last_try_comes_and_then_no_more(chance: float) -> None:
    now, tries = NOW, 1
    while (following := next_try(tries, NOW, now, chance)) is not None:
        now, tries = following, tries + 1
    assert tries == 12


def test_one_that_could_not_be_tried_often_is_given_up_at_the_end_of_the_window() -> None:
    assert next_try(2, NOW, NOW + WINDOW, 0.5) is not None
    assert next_try(2, NOW, NOW + WINDOW + timedelta(hours=6), 0.5) is None


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (1, 0), (4, 0), (5, 1), (6, 2), (10, 32), (11, 60), (900, 60)]
)
def test_rest(failures: int, seconds: int) -> None:
    assert rest(failures) == seconds


@pytest.mark.parametrize(
    ("since", "before", "off"),
    [
        (None, None, False),
        (NOW, NOW, False),
        (NOW - PATIENCE + timedelta(seconds=1), NOW, False),
        (NOW - PATIENCE, NOW - SILENCE, True),
        (NOW - PATIENCE, NOW - SILENCE - timedelta(seconds=1), False),
        (NOW - PATIENCE, None, False),
    ],
)
def test_switched_off_after_five_days(since: datetime | None, before: datetime | None, off: bool) -> None:
    """Silence proves nothing: it must have failed before not long ago."""
    assert hopeless(since, before, NOW) is off


@pytest.mark.parametrize(("types", "heard"), [([], True), (["ticket.closed"], True), (["ticket.created"], False)])
def test_who_hears_of_what(types: list[str], heard: bool) -> None:
    assert subscribes(types, "ticket.closed") is heard


PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.167.1.1",
    "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808",
]  # fmt: skip
NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.255.0.9",
    "169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1",
    "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "168.63.129.16",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:808:808::1", "2001::1", "2001:db8::1", "3fff::1",
    "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "ff0e::1", "100::1", "5f00::1",
    "4000::1", "", "example.com", "1.2.3", "0x7f.1", "1.2.3.4.5",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert why_not(address) is None


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_that_are_not_public(address: str) -> None:
    assert why_not(address)


@given(st.ip_addresses())
def test_nothing_is_public_that_python_knows_not_to_be(address: Any) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        embedded = getattr(address, "ipv4_mapped", None)
        assert why_not(str(address)) or (embedded and embedded.is_global)


GOOD_URLS = [
    "https://example.com", "https://example.com/a?b=c", "https://example.com:8443/x", "https://EXAMPLE.com/%C3%A9",
    "https://xn--bcher-kva.example/", "https://8.8.8.8/", "https://[2606:4700::1111]/",
]  # fmt: skip
BAD_URLS = {
    "http://example.com": "https_only",
    "https://example.com:80/": "port_not_allowed",
    "https://example.com:22/": "port_not_allowed",
    "https://user@example.com/": "credentials_in_url",
    "https://user:secret@example.com/": "credentials_in_url",
    "https://@example.com/": "credentials_in_url",
    "https://:@example.com/": "credentials_in_url",
    "https://127.0.0.1/": "address_not_allowed",
    "https://[::1]/": "address_not_allowed",
    "https://[::ffff:10.0.0.1]/": "address_not_allowed",
    "https://169.254.169.254/latest": "address_not_allowed",
    "https://localhost/": "address_not_allowed",
    "https://LOCALHOST./": "address_not_allowed",
    "https://example.com/#part": "invalid_url",
    "ftp://example.com/": "invalid_url",
    "file:///etc/passwd": "invalid_url",
    "//example.com/": "invalid_url",
    "example.com": "invalid_url",
    "https://": "invalid_url",
    "https:///path": "invalid_url",
    "https://example.com:99999/": "invalid_url",
    "https://exa mple.com/": "invalid_url",
    "https://example.com/\r\nX: y": "invalid_url",
    "https://example.com\\@10.0.0.1/": "invalid_url",
    "https://bücher.example/": "invalid_url",
    "https://[::1/": "invalid_url",
}


@pytest.mark.parametrize("url", GOOD_URLS)
def test_urls_that_are_taken(url: str) -> None:
    assert url_problem(url, load({}, {})) is None


@pytest.mark.parametrize(("url", "code"), BAD_URLS.items())
def test_urls_that_are_refused(url: str, code: str) -> None:
    found = url_problem(url, load({}, {}))
    assert found is not None
    assert found[0] == code


def test_the_operator_sets_ports_and_may_allow_all() -> None:
    assert url_problem("https://example.com:9000/", load({"webhook_ports": "443,9000"}, {})) is None
    free = load({"allow_insecure_webhooks": True}, {})
    assert url_problem("http://127.0.0.1:5000/", free) is None
    assert url_problem("http://me:you@127.0.0.1:5000/", free) is not None
