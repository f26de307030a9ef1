"""What a message says: as JSON for programs, and as an e-mail for people; Spanish first.

It must never say more than the alert does.
"""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from typing import Any

from propensia.store.alerts import Alert

BEGINS, GOES_ON, ENDS, TEST = "empieza", "sigue", "termina", "prueba"
LEADS = {
    BEGINS: ("", ""),
    GOES_ON: ("Sigue: ", "Still so: "),
    ENDS: ("Ya no: ", "No longer: "),
    TEST: ("", ""),
}
LONGEST_SUBJECT = 150


def machine() -> str:
    """The name of this machine, as far as the database takes it."""
    return (platform.node() or "?")[:64]


def payload(alert: Alert, state: str, now_ms: int) -> str:
    """The body of a webhook, and all that an e-mail is made of."""
    spanish, english = LEADS[state]
    return json.dumps(
        {
            "alerta": alert.id,
            "estado": state,
            "tipo": alert.kind,
            "sujeto": alert.subject,
            "version": alert.version,
            "valor": alert.value,
            "limite": alert.limit,
            "texto": spanish + alert.text,
            "text": english + alert.english,
            "momento": datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="seconds"),
            "maquina": machine(),
        },
        ensure_ascii=False,
        allow_nan=False,
    )


def mail(payload: str) -> tuple[str, str]:
    """Subject and text of the e-mail that says the same."""
    told: dict[str, Any] = json.loads(payload)
    lines = [told["texto"], "", told["text"], ""]
    if told["version"]:
        lines.append(f"Versión / version: {told['version']}")
    lines += [f"Máquina / machine: {told['maquina']}", f"Momento / time: {told['momento']}"]
    return f"[Propensia] {told['texto']}"[:LONGEST_SUBJECT], "\n".join(lines) + "\n"
