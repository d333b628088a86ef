"""Small text helpers."""


def like(part: str | None) -> str | None:
    """A LIKE pattern for texts that hold `part`, whose own `%`, `_` and `\\` mean themselves."""
    if part is None:
        return None
    escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
