"""Handing a mail to the SMTP server, and what its answers mean."""

import asyncio
import contextlib
import ssl
from dataclasses import replace

import aiosmtplib
from aiosmtplib import SMTP, SMTPException, SMTPRecipientsRefused, SMTPResponseException, SMTPSenderRefused

from ticketry.mail.sending import rules
from ticketry.mail.sending.messages import needs_utf8, wire_address
from ticketry.mail.sending.models import Envelope
from ticketry.settings import Settings

WHOLE = 4
"""A mail may take this many times the timeout of one answer, from the connection to the last word."""
PORTS = {"starttls": 587, "tls": 465, "none": 25}
_LONGEST = 900


class Post:
    """A connection to the SMTP server, opened when it is needed and kept for the next mail."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: SMTP | None = None

    async def send(self, sender: str, recipient: str, message: bytes) -> Envelope:
        """Hands over one mail. Never raises for what a server or a network does."""
        try:
            async with asyncio.timeout(self._settings.smtp_timeout * WHOLE):
                if (trouble := await self._connected()) is not None:
                    return trouble
                return await self._hand_over(sender, recipient, message)
        except TimeoutError:
            self._drop()
            return Envelope("deferred", None, "the mail server took too long", healthy=False)

    async def _connected(self) -> Envelope | None:
        """Opens the connection unless there is one; what is wrong if it cannot be opened."""
        if self._client is not None and self._client.is_connected:
            return None
        try:
            client = self._new()
            self._client = client
            await client.connect()
        except SMTPResponseException as error:
            self._drop()
            return Envelope("deferred", error.code, _said(error.message), healthy=False)
        except (SMTPException, OSError, ssl.SSLError, ValueError) as error:
            self._drop()
            return Envelope("deferred", None, _said(error), healthy=False)
        return None

    def _new(self) -> SMTP:
        settings = self._settings
        context = None
        if settings.smtp_tls != "none":
            context = ssl.create_default_context(cafile=settings.smtp_ca_file)
        return SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port or PORTS[settings.smtp_tls],
            username=settings.smtp_user,
            password=settings.smtp_password,
            use_tls=settings.smtp_tls == "tls",
            start_tls=settings.smtp_tls == "starttls",
            tls_context=context,
            timeout=settings.smtp_timeout,
        )

    async def _hand_over(self, sender: str, recipient: str, message: bytes) -> Envelope:
        assert self._client is not None
        options = ["SMTPUTF8"] if needs_utf8(sender, recipient) else []
        try:
            _, words = await self._client.sendmail(
                wire_address(sender), [wire_address(recipient)], message, mail_options=options
            )
        except SMTPRecipientsRefused as error:
            return self._refused("RCPT", error.recipients[0].code, error.recipients[0].message)
        except SMTPSenderRefused as error:
            refused = self._refused("MAIL", error.code, error.message)
            # The address that one workspace has set stops no other's mail.
            return refused if sender == self._settings.mail_sender else replace(refused, healthy=refused.code != 421)
        except SMTPResponseException as error:
            return self._refused("DATA", error.code, error.message)
        except aiosmtplib.SMTPNotSupported as error:
            return Envelope("failed", None, _said(error))
        except (SMTPException, OSError) as error:
            self._drop()
            return Envelope("deferred", None, _said(error))
        except ValueError as error:
            self._drop()
            return Envelope("failed", None, f"the address cannot be sent to: {_said(error)}")
        return Envelope("sent", 250, _said(words))

    def _refused(self, command: str, code: int, words: str) -> Envelope:
        if code == 421:
            self._drop()
        later, healthy = rules.refusal(command, code, words)
        return Envelope("deferred" if later else "failed", code, _said(words), healthy=healthy)

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    async def close(self) -> None:
        """Says goodbye, briefly."""
        if self._client is not None and self._client.is_connected:
            with contextlib.suppress(SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(2):
                    await self._client.quit()
        self._drop()


def _said(words: object) -> str:
    """What a server or an error says, in one line of bounded length."""
    return " ".join(str(words).replace("\x00", " ").split())[:_LONGEST] or type(words).__name__
