"""The family of errors that a caller can cause and should read.

Rooms raise these; the edge (API, command line) renders them. `kind` is the published error type,
`code` the stable word a program may test for, `extras` what the answer tells beside them.
"""

from typing import Any


class TicketryError(Exception):
    """Base of all errors with a message meant for the caller."""

    kind = "api_error"

    def __init__(self, code: str, message: str, **extras: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.extras = extras


class AuthenticationError(TicketryError):
    """The caller is not known: no key, or one that is wrong, revoked or expired."""

    kind = "authentication_error"


class PermissionDenied(TicketryError):
    """The caller is known but lacks a scope."""

    kind = "permission_error"


class NotFound(TicketryError):
    """The object is not there, or belongs to another workspace, which must look the same."""

    kind = "not_found"


class Conflict(TicketryError):
    """The object's present state forbids the change."""

    kind = "conflict"


class Busy(Conflict):
    """Somebody else is at it right now: the same request may succeed in a moment."""


class Crowded(TicketryError):
    """Too much is being done at once: the same request may succeed in a moment."""


class PreconditionFailed(TicketryError):
    """The caller named a version of the object that is no longer the current one."""

    kind = "precondition_failed"


class InvalidRequest(TicketryError):
    """The request itself cannot be read: not JSON, too large, a method or path that is not there."""

    kind = "invalid_request"


class RateLimited(TicketryError):
    """Too many requests in the window. `rate` is what the rate-limit headers of the refusal say."""

    kind = "rate_limit_error"
    rate: Any = None


class ValidationFailed(TicketryError):
    """One or more fields are wrong; `errors` names each of them."""

    kind = "validation_error"

    def __init__(self, *errors: dict[str, str], code: str = "invalid_parameters", message: str | None = None) -> None:
        text = message or "; ".join(f"{error['field']}: {error['message']}" for error in errors[:10])
        super().__init__(code, text, errors=list(errors))
        self.errors = errors


def field_error(field: str, code: str, message: str) -> dict[str, str]:
    """One entry of a validation error: the field's name as the caller wrote it, a stable code, a sentence."""
    return {"field": field, "code": code, "message": message}


class OperatorError(Exception):
    """Something the operator must mend (a taken port, an unreachable database): one clear line, exit code 1."""
