"""Bytes to text, whatever the mail says of itself. Nothing here raises."""

import codecs
import re

_REFUSED = frozenset({"punycode", "idna", "unicode_escape", "raw_unicode_escape", "mbcs", "oem", "undefined"})
"""No character set of a mail, and some take quadratic time."""
_WIDER = {
    "ascii": "utf-8",
    "iso8859-1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso2022_jp": "iso2022_jp_ext",
    "big5": "big5hkscs",
}
"""What senders mean who name a smaller set than they write in, as browsers read it too."""
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufeff]")


def decoded(raw: bytes, charset: str | None) -> str:
    """`raw` as text: in the set that is named if that fits, else UTF-8, else what Windows writes."""
    named = _codec(charset)
    for name in (_WIDER.get(named, named), named, "utf-8"):
        try:
            return storable(raw.decode(name))
        except (UnicodeError, LookupError):
            continue
    fallback = "cp1252" if named in {"ascii", "utf-8", "iso8859-1", "cp1252"} else named
    try:
        return storable(raw.decode(fallback, "replace"))
    except (UnicodeError, LookupError):
        return storable(raw.decode("latin-1"))


def _codec(charset: str | None) -> str:
    name = (charset or "").strip().strip("\"'").lower()[:40]
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        return "utf-8"
    return "utf-8" if found in _REFUSED else found


def storable(text: str) -> str:
    """`text` without the characters that no text needs and PostgreSQL cannot store; ends of lines are `\\n`."""
    return _UNSTORABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
