"""How each kind of mail is worded unless a workspace words it itself, and what a template may name."""

from typing import NamedTuple

from ticketry.mail.sending.models import CUSTOMER_KINDS, KINDS, Content, Kind, Values

COLOUR = "#1a6fb5"
_WORKSPACE = {"name": "Acme Support", "colour": COLOUR, "logo_url": "", "website": "https://example.com"}
_TICKET = {"number": "TICK-1234", "subject": "Refund not received", "status": "in progress", "priority": "High"}
_REPLY = "Your refund of **$99.99** is on its way.\n\nIt arrives within three working days."
_MESSAGES: dict[Kind, str] = {
    "replied": _REPLY,
    "resolved": _REPLY,
    "assigned": "I was charged **twice** for order 1042.",
    "customer_replied": "It arrived, thank you!",
}

CUSTOMER_SAMPLE: Values = {
    "workspace": _WORKSPACE,
    "ticket": _TICKET,
    "contact": {"name": "Sam Taylor"},
    "agent": {"name": "Jane Smith"},
    "message": "",
}
"""What a mail to a customer may name, with values to show it by. Nothing else reaches its template."""
AGENT_SAMPLE: Values = {
    **CUSTOMER_SAMPLE,
    "ticket": {**_TICKET, "category": "billing"},
    "sla": {"target": "resolution", "due_at": "2025-01-15 16:30 UTC"},
}


def sample(kind: Kind) -> Values:
    """Values of every name that a template of this kind may use."""
    values = CUSTOMER_SAMPLE if kind in CUSTOMER_KINDS else AGENT_SAMPLE
    return {**values, "message": _MESSAGES.get(kind, "")}


def variables(kind: Kind) -> list[str]:
    """The names that a template of this kind may use: `ticket.number`, …"""
    return [
        f"{group}.{name}" if name else group
        for group, values in sample(kind).items()
        for name in (values if isinstance(values, dict) else [""])
    ]


class _Words(NamedTuple):
    subject: str
    heading: str
    lead: str
    foot: str


_ANSWER = "Answer this mail to write to us about {{ ticket.number }}."
_WHY = "You get this because you work on tickets of {{ workspace.name }}."
_GREETING = "Hello {{ contact.name }},\n\n"
_WORDS: dict[Kind, _Words] = {
    "received": _Words(
        "We have received your request: {{ ticket.subject }}",
        "We have received your request",
        "thank you for writing. Your request is with us as {{ ticket.number }}, and we come back to you as soon as we "
        "can.",
        _ANSWER,
    ),
    "replied": _Words(
        "{{ ticket.subject }}",
        "{{ agent.name or workspace.name }} has answered",
        "there is an answer to your request {{ ticket.number }}:",
        _ANSWER,
    ),
    "resolved": _Words(
        "Solved: {{ ticket.subject }}",
        "Your request is solved",
        "we believe that your request {{ ticket.number }} is solved.",
        "Not solved? Answer this mail, and we look at it again.",
    ),
    "reopened": _Words(
        "Open again: {{ ticket.subject }}",
        "Your request is open again",
        "your request {{ ticket.number }} is open again, and we are working on it.",
        _ANSWER,
    ),
    "assigned": _Words(
        "Assigned to you: {{ ticket.subject }}",
        "{{ ticket.number }} is yours",
        "{{ ticket.subject }}",
        _WHY,
    ),
    "customer_replied": _Words(
        "{{ contact.name or 'The customer' }} has written: {{ ticket.subject }}",
        "{{ contact.name or 'The customer' }} has written",
        "{{ ticket.subject }}",
        _WHY,
    ),
    "sla_warning": _Words(
        "Due soon: {{ ticket.subject }}",
        "The {{ sla.target }} of {{ ticket.number }} is due soon",
        "{{ ticket.subject }}: due {{ sla.due_at }}.",
        _WHY,
    ),
    "sla_breached": _Words(
        "Overdue: {{ ticket.subject }}",
        "The {{ sla.target }} of {{ ticket.number }} is overdue",
        "{{ ticket.subject }}: was due {{ sla.due_at }}.",
        _WHY,
    ),
}
_DETAILS = "Priority {{ ticket.priority }}, {{ ticket.status }}{% if ticket.category %}, {{ ticket.category }}{% endif %}"

_STYLE = """\
  :root { color-scheme: light dark; supported-color-schemes: light dark; }
  body { margin: 0; padding: 24px 12px; background: #f3f4f6; color: #1f2933; font: 16px/1.55 -apple-system,
    BlinkMacSystemFont, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; -webkit-text-size-adjust: 100%; }
  .card { max-width: 560px; margin: 0 auto; background: #ffffff; border-radius: 10px; overflow: hidden;
    border: 1px solid #e1e4e8; }
  .bar { height: 6px; }
  .inner { padding: 24px 28px 28px; }
  .from { font-size: 14px; color: #5f6b7a; margin: 0 0 18px; }
  .from img { max-height: 36px; max-width: 180px; vertical-align: middle; }
  h1 { font-size: 21px; line-height: 1.3; margin: 0 0 14px; font-weight: 600; }
  .message { margin: 18px 0 0; padding: 2px 0 2px 16px; border-left: 3px solid #cbd2d9; overflow-wrap: anywhere; }
  .message pre { white-space: pre-wrap; }
  .details { font-size: 14px; color: #5f6b7a; }
  .foot { max-width: 560px; margin: 14px auto 0; padding: 0 28px; font-size: 13px; color: #5f6b7a; }
  a { color: #1a6fb5; }
  @media (prefers-color-scheme: dark) {
    body { background: #14171a; color: #e4e7eb; }
    .card { background: #1f2429; border-color: #323a42; }
    .from, .details, .foot { color: #9aa5b1; }
    .message { border-left-color: #3e4c59; }
    a { color: #7cc0f5; }
  }"""
_PAGE = """\
<!doctype html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<div class="card">
<div class="bar" style="background: {{{{ workspace.colour }}}}; height: 6px"></div>
<div class="inner">
<p class="from">
{{% if workspace.logo_url %}}
<img src="{{{{ workspace.logo_url }}}}" alt="{{{{ workspace.name }}}}">
{{% else %}}
{{{{ workspace.name }}}}
{{% endif %}}
</p>
<h1>{heading}</h1>
{body}
</div>
</div>
<p class="foot">{foot}</p>
</body>
</html>
"""
_QUOTE = '{% if message %}\n<div class="message">{{ message }}</div>\n{% endif %}'


def _default(kind: Kind) -> Content:
    words = _WORDS[kind]
    if kind in CUSTOMER_KINDS:
        text = f"{_GREETING}{words.lead}\n\n"
        body = f"<p>Hello {{{{ contact.name }}}},</p>\n<p>{words.lead}</p>\n{_QUOTE}"
    else:
        text = f"{words.heading}\n\n{words.lead}\n{_DETAILS}\n\n\n"  # a line break after a tag is dropped
        body = f'<p>{words.lead}</p>\n<p class="details">{_DETAILS}</p>\n{_QUOTE}'
    text += f"{{% if message %}}\n{{{{ message }}}}\n\n{{% endif %}}\n-- \n{{{{ workspace.name }}}}\n{words.foot}\n"
    foot = f'{words.foot}{{% if workspace.website %}} <a href="{{{{ workspace.website }}}}">{{{{ workspace.name }}}}</a>'
    page = _PAGE.format(
        title=words.subject, style=_STYLE, heading=words.heading, body=body, foot=f"{foot}{{% endif %}}"
    )
    return Content(words.subject, text, page)


DEFAULTS: dict[Kind, Content] = {kind: _default(kind) for kind in KINDS}
NOTICE_PAGE = _PAGE.format(
    title="{{ heading }}", style=_STYLE, heading="{{ heading }}", body="{{ message }}", foot="{{ workspace.name }}"
)
"""The HTML of a notice to admins; its subject is the heading."""
