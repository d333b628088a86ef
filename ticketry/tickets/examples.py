"""The examples that the OpenAPI document shows for tickets."""

from typing import Any

from ticketry.web.openapi import example

CLOSE: Any = {
    "refund": {
        "summary": "Everything recorded",
        "value": {
            "resolution_note": "Refund of $99.99 processed successfully.",
            "customer_satisfaction": 9,
            "resolution_time": 45,
            "root_cause": "system_error",
        },
    }
}
BULK: Any = {
    "several": {
        "summary": "Three things at once",
        "value": {
            "operations": [
                {"action": "close", "ticket_id": "TICK-1234", "params": {"root_cause": "system_error"}},
                {"action": "update", "ticket_id": "TICK-1235", "params": {"priority": 1}, "if_match": '"3"'},
                {"action": "comment", "ticket_id": "TICK-1236", "params": {"body": "We are looking into it."}},
            ]
        },
    }
}
CLOSED_TICKET: dict[str, Any] = {
    "id": "ticket_abc123xyz789",
    "number": "TICK-1234",
    "subject": "Refund not received",
    "description": "I was charged **twice** for order 1042.",
    "priority": 2,
    "priority_label": "High",
    "status": "closed",
    "category": "billing",
    "contact_id": "contact_sam_taylor",
    "conversation_id": "conv_abc123",
    "assigned_to": "user_jane_smith",
    "assigned_name": "Jane Smith",
    "follow_up_of": None,
    "duplicate_of": None,
    "due_date": "2025-01-20T17:00:00Z",
    "tags": ["vip"],
    "custom_fields": {"order": 1042},
    "metadata": {"source": "shop"},
    "resolution_note": "Refund of $99.99 processed successfully.",
    "customer_satisfaction": 9,
    "satisfaction_source": "api",
    "resolution_time": 45,
    "root_cause": "system_error",
    "sla": {
        "response_met": True,
        "resolution_met": True,
        "response_due_at": "2025-01-15T23:45:00Z",
        "resolution_due_at": "2025-01-16T15:45:00Z",
        "first_response_at": "2025-01-15T15:52:10Z",
        "breached": False,
        "paused": False,
    },
    "reopen_count": 0,
    "created_at": "2025-01-15T15:45:00Z",
    "updated_at": "2025-01-15T16:30:00Z",
    "resolved_at": "2025-01-15T16:30:00Z",
    "closed_at": "2025-01-15T16:30:00Z",
}
CLOSED: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"example": {"data": CLOSED_TICKET}}}}}
MISSING = {404: example("not_found", "ticket_not_found", "Ticket not found")}
ALREADY_CLOSED = {
    409: example("conflict", "ticket_already_closed", "Ticket is already closed", closed_at=CLOSED_TICKET["closed_at"])
}
