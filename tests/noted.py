"""What a keeper leaves in the state folder, for tests of those who read it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from propensia import heartbeat, snapshot

VERSION = "0123456789ab"


def finding(kind: str, subject: str, value: float | None, age_s: float = 60.0) -> dict[str, Any]:
    """One row of the monitoring, as the snapshot has it."""
    return {
        "momento": round((time.time() - age_s) * 1000),
        "version": VERSION,
        "clase": kind,
        "tema": subject,
        "valor": value,
        "desde": None,
        "hasta": None,
        "detalle": {},
    }


def leave(state: Path) -> None:
    """A snapshot and signs of life, with something of everything in them."""
    found = [
        finding("drift", "er", 0.31, age_s=3600),
        finding("drift", "score", 0.02, age_s=3600),
        finding("drift_test", "er", 0.001),
        finding("estimated", "auc", 0.71),
        finding("estimated", "brier", 0.2),
        finding("realised", "auc", None),
    ]
    snapshot.leave(
        state,
        {
            "momento": round((time.time() - 5) * 1000),
            "vigilancia": found,
            "alertas": [{"clase": "drift"}, {"clase": "drift"}, {"clase": "journal"}],
            "mensajes": {"esperan": 2, "fallidos": 1},
        },
    )
    told = {
        "retraso_segundos": 12.5,
        "pendiente_bytes": 4096,
        "apartados": 3,
        "ilegibles": 1,
    }
    heartbeat.leave(state / "keeper.json", {"pid": 1, "problemas": [], "diario": told})
    for pid in (7, 8):
        note = {"pid": pid, "version": VERSION, "publicacion": 4, "problema": None}
        heartbeat.leave(state / "workers" / f"{pid}.json", note)
