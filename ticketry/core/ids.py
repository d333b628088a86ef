"""Identifiers: a prefix that names the kind, `_`, then letters, digits or `_`; at most 64 characters.

Those minted here are TypeIDs (https://github.com/jetify-com/typeid): UUIDv7 in base 32, sortable by time.
"""

from typeid import TypeID


def mint(prefix: str) -> str:
    """A new TypeID with this prefix, for instance `ticket_01jb…`."""
    return str(TypeID(prefix=prefix))
