"""Which calling system sends what has to be guessed or refused, and since when.

From the sums of hours that shipping keeps: it reads no answer.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict

import numpy as np
from sqlalchemy import Connection

from propensia import stats
from propensia.monitoring import reasons
from propensia.store import callers
from propensia.store.measurements import SUBJECT, Measurement

MOST_NAMED = 20


def measure(connection: Connection, since: int, until: int) -> list[Measurement]:
    """Per caller the share of its answers in which something was assumed; in ``detail`` what was
    assumed and what was refused, by parameter and code, first and last."""
    got = callers.traffic(connection, since, until)
    troubles = callers.troubles(connection, since, until, MOST_NAMED, None)
    measured = []
    for name, traffic in sorted(got.items()):
        own = [asdict(trouble) for trouble in troubles if trouble.caller == name]
        detail = asdict(traffic) | {"troubles": own[:MOST_NAMED]}
        subject = _subject(name)
        if not traffic.answers:
            detail |= reasons.ALL_REFUSED.detail()
            measured.append(Measurement(until, "", "caller", subject, None, detail=detail))
            continue
        counts = np.array([float(traffic.noted)]), np.array([float(traffic.answers)])
        low, high = stats.wilson(*counts)
        share = traffic.noted / traffic.answers
        measured.append(
            Measurement(until, "", "caller", subject, share, float(low[0]), float(high[0]), detail)
        )
    return measured


def _subject(name: str) -> str:
    """The name of a caller, as long as a subject can be. A hash makes one that is cut its own:
    another caller may begin with the same letters."""
    if len(name) <= SUBJECT:
        return name
    told = f"~{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name[: SUBJECT - len(told)] + told
