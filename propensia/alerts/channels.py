"""Where messages go: the webhook and the addresses of the settings, and nowhere else.

By default there is none, and nothing leaves this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from propensia.alerts import mail, webhook
from propensia.alerts.messages import mail as as_mail
from propensia.settings import Settings

Send = Callable[[str, str], None]
"""Sends the message of an id and a payload, or raises ``NotDelivered``."""


def channels(settings: Settings) -> Mapping[str, Send]:
    """The channels of an installation, by name."""
    found: dict[str, Send] = {}
    if settings.alert_webhook:
        found["webhook"] = lambda id, payload: webhook.send(
            settings.alert_webhook, settings.alert_secret, id, payload.encode("utf-8")
        )
    recipients = [text.strip() for text in settings.alert_email.split(",") if text.strip()]
    if recipients:
        found["correo"] = lambda id, payload: mail.send(
            settings.smtp_url, recipients, id, *as_mail(payload)
        )
    return found
