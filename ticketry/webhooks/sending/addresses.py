"""Which addresses a webhook may reach. Asked of the very address that a connection goes to, so no name can cheat."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NOT_PUBLIC_4 = {
    IPv4Network(network): what
    for network, what in (
        ("0.0.0.0/8", "stands for no host"),
        ("10.0.0.0/8", "is private"),
        ("100.64.0.0/10", "is shared by a carrier's customers"),
        ("127.0.0.0/8", "is this machine itself"),
        ("169.254.0.0/16", "is link-local, where clouds keep their metadata"),
        ("172.16.0.0/12", "is private"),
        ("192.0.0.0/24", "is reserved"),
        ("192.0.2.0/24", "is for examples"),
        ("192.31.196.0/24", "is reserved"),
        ("192.52.193.0/24", "is reserved"),
        ("192.88.99.0/24", "leads to a 6to4 relay"),
        ("192.168.0.0/16", "is private"),
        ("192.175.48.0/24", "is reserved"),
        ("198.18.0.0/15", "is for benchmarks"),
        ("198.51.100.0/24", "is for examples"),
        ("203.0.113.0/24", "is for examples"),
        ("224.0.0.0/4", "is multicast"),
        ("240.0.0.0/4", "is reserved"),
        ("168.63.129.16/32", "is where a cloud keeps its metadata"),
    )
}
"""More than `is_global` knows: that changes with the version of Python, and knows nothing of clouds."""
_GLOBAL_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = {
    IPv6Network(network): what
    for network, what in (
        ("2001::/23", "is reserved or leads through a tunnel"),
        ("2001:db8::/32", "is for examples"),
        ("2002::/16", "leads through a 6to4 tunnel"),
        ("3fff::/20", "is for examples"),
    )
}
_NAT64 = IPv6Network("64:ff9b::/96")


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that the network would really go to."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


def why_not(address: str) -> str | None:
    """Why an address (without a port) must not be called, as the end of a sentence; None if it may be."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return "is no address"
    if isinstance(found, IPv6Address) and (inner := _embedded(found)) is not None:
        found = inner
    if isinstance(found, IPv4Address):
        hits = [what for network, what in _NOT_PUBLIC_4.items() if found in network]
    else:
        hits = [what for network, what in _NOT_PUBLIC_6.items() if found in network]
        if found not in _GLOBAL_6:
            hits.append(_kind_of(found))
    if not hits and not found.is_global:
        hits.append("is not public")
    return hits[0] if hits else None


def _kind_of(address: IPv6Address) -> str:
    """What an address outside the range of public ones is for."""
    if address.is_loopback:
        return "is this machine itself"
    if address.is_link_local:
        return "is link-local"
    return "is multicast" if address.is_multicast else "is private or reserved"
