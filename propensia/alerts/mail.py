"""Alerts by e-mail, handed to the server of a setting.

To another machine nothing goes in plain text; neither an address nor a password is ever told.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from propensia.access.networks import is_loopback
from propensia.alerts.errors import NotDelivered
from propensia.alerts.limits import TIMEOUT_S, WHOLE_S, bounded

NO_TLS = "el servidor de correo no ofrece STARTTLS / the mail server offers no STARTTLS"
PORTS = {"smtp": 25, "smtps": 465}


def send(
    url: str, recipients: Sequence[str], id: str, subject: str, text: str, whole_s: float = WHOLE_S
) -> None:
    """Hand over one e-mail for all ``recipients``; ``id`` makes its ``Message-ID``, the same each
    time it is tried.

    ``url``: ``smtp://`` or ``smtps://``, with user and password (percent-encoded) where needed,
    and ``?from=`` where the sender is not the user. Raises ``NotDelivered``.
    """
    address = urlsplit(url)
    try:
        message = _written(_sender(address, recipients), recipients, id, subject, text)
        _hand_over(address, message, whole_s)
    except smtplib.SMTPResponseException as error:
        raise NotDelivered(f"SMTP {error.smtp_code}") from error
    except (OSError, ValueError) as error:  # SMTPException is an OSError
        raise NotDelivered(type(error).__name__) from error


def _sender(address: SplitResult, recipients: Sequence[str]) -> str:
    told = parse_qs(address.query).get("from", [""])[0]
    user = unquote(address.username or "")
    return told or (user if "@" in user else recipients[0])


def _written(
    sender: str, recipients: Sequence[str], id: str, subject: str, text: str
) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = subject
    message["Date"] = formatdate(usegmt=True)
    message["Message-ID"] = f"<{id}.propensia@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message


def _hand_over(address: SplitResult, message: EmailMessage, whole_s: float) -> None:
    context = ssl.create_default_context()
    server = _greeted(address, context)
    try:
        with bounded(lambda: server.sock, whole_s):
            server.ehlo_or_helo_if_needed()
            if address.scheme == "smtp":
                _encrypt(server, context, is_loopback(address.hostname or ""))
            if address.username is not None:
                server.login(unquote(address.username), unquote(address.password or ""))
            server.send_message(message)
            with contextlib.suppress(OSError):  # the e-mail was taken, whatever is said now
                server.quit()
    finally:
        server.close()


def _greeted(address: SplitResult, context: ssl.SSLContext) -> smtplib.SMTP:
    host, port = address.hostname or "", address.port or PORTS[address.scheme]
    if address.scheme == "smtps":
        return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=context)
    return smtplib.SMTP(host, port, timeout=TIMEOUT_S)


def _encrypt(server: smtplib.SMTP, context: ssl.SSLContext, is_near: bool) -> None:
    if server.has_extn("starttls"):
        if is_near:  # its certificate is one that this machine made for itself
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        server.starttls(context=context)
    elif not is_near:
        raise NotDelivered(NO_TLS)
