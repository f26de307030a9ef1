"""``GET /panel``: how the service does, for people; ``/panel/datos``, the same for programs.

It asks no database: it shows what the keeper left in the state folder, and how this machine is.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterable
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, render_template, request

from propensia import snapshot
from propensia.access.roles import OLD_ROUTE
from propensia.settings import Settings
from propensia.web import panel_page
from propensia.web.asked import language
from propensia.web.prediccion import JSON, Scoring
from propensia.web.refusals import CONTENT_SECURITY_POLICY
from propensia.web.site import health_shape
from propensia.web.tally import BUCKETS_S, REQUESTS, SECONDS, Tally

PACKAGE, SCRIPT = "plotly", "plotly.min.js"
"""Where the script of the charts comes from: the package that carries it."""

ONE_BY_ONE = (OLD_ROUTE, "/predict")
"""The routes whose times are told: a batch takes as long as it is."""

POLICY = (
    CONTENT_SECURITY_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
    + "; connect-src 'self'"
)
"""The script of the charts makes style elements and attributes of its own, and the page asks this
server for itself. Nothing that was received is in any style."""

STALE_MS = 60_000
SAMPLE_S, SAMPLES = 60.0, 60
Table = dict[str, Any]


class Pace:
    """How fast this installation answered within the last hour, or since this process started.

    Safe for threads: one calls ``tick``, others ``told``.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._samples: deque[tuple[float, list[float]]] = deque(maxlen=SAMPLES)

    def tick(self) -> None:
        """Take a sample, once a minute."""
        now = time.monotonic()
        if not self._samples or now - self._samples[-1][0] >= SAMPLE_S:
            self._samples.append((now, self._counts()))

    def told(self) -> Table | None:
        """Answers, failures of ours (5xx), and times in ms below which a half, 95 % and 99 % of
        the answers stayed; ``None`` where nobody counts. Raises nothing."""
        if not self._samples:
            return None
        since, before = self._samples[0]
        now = [now - then for now, then in zip(self._counts(), before, strict=True)]
        failed, buckets = now[0], now[1:]
        return {
            "minutos": round((time.monotonic() - since) / 60),
            "respuestas": round(sum(buckets)),
            "fallos": round(failed),
            "p50_ms": quantile_ms(buckets, 0.5),
            "p95_ms": quantile_ms(buckets, 0.95),
            "p99_ms": quantile_ms(buckets, 0.99),
        }

    def _counts(self) -> list[float]:
        """Failures, then answers in each range of times."""
        counts = [0.0] * (len(BUCKETS_S) + 2)
        for name, numbers in self._tally.totals().items():
            if name[0] == REQUESTS and name[1] in ONE_BY_ONE and name[3].startswith("5"):
                counts[0] += numbers[0]
            elif name[0] == SECONDS and name[1] in ONE_BY_ONE:
                for place, number in enumerate(numbers[:-1], start=1):
                    counts[place] += number
        return counts


def quantile_ms(buckets: list[float], share: float) -> float | None:
    """The time in ms below which a ``share`` of the answers stayed, by a straight line within its
    range, as Prometheus does in ``histogram_quantile``; the last bound for what took longer;
    ``None`` of none. ``buckets``: one count for each of ``BUCKETS_S``, and one for longer ones."""
    total = sum(buckets)
    if total <= 0:
        return None
    wanted, below = share * total, 0.0
    for (low, high), count in zip(pairwise((0.0, *BUCKETS_S)), buckets, strict=False):
        if count > 0 and below + count >= wanted:
            return round(1000 * (low + (high - low) * (wanted - below) / count), 3)
        below += count
    return 1000 * BUCKETS_S[-1]


def add_routes(
    app: Flask,
    scoring: Scoring,
    chosen: Settings,
    pace: Pace,
    troubles: Callable[[], Iterable[str | None]],
) -> None:
    """Give ``app`` the routes of the panel; ``troubles`` as for the answers about health."""

    def told(now_ms: int) -> Table:
        held = snapshot.read(chosen.state)
        made = held["momento"] if held else None
        stale = made is None or not -STALE_MS <= now_ms - made <= STALE_MS
        health = health_shape(scoring, chosen, troubles())
        return {"salud": health | {"atrasado": stale}, "ritmo": pace.told(), "datos": held}

    @app.get("/panel")
    def panel() -> Response:
        told_in, now_ms = language(), time.time_ns() // 1_000_000
        context = panel_page.page(told(now_ms), scoring.contract, told_in, now_ms)
        page = Response(render_template("panel.html", version=_version(), **context))
        page.headers["Content-Security-Policy"] = POLICY
        page.add_etag()
        page.make_conditional(request)
        return page

    @app.get("/panel/datos")
    def panel_data() -> Response:
        shape = told(time.time_ns() // 1_000_000)
        body = json.dumps(shape, ensure_ascii=False, separators=(",", ":")).encode()
        reply = Response(body, content_type=JSON)
        # Weak: what differs by nothing but the moment of the snapshot is the same.
        same = shape | {"datos": shape["datos"] and shape["datos"] | {"momento": 0}}
        written = json.dumps(same, sort_keys=True).encode()
        reply.set_etag(hashlib.sha256(written).hexdigest()[:32], weak=True)
        reply.make_conditional(request)
        return reply

    @app.get("/panel/<file>")
    def panel_file(file: str) -> Response:
        if file != SCRIPT:
            abort(404)
        packed = request.accept_encodings.best_match(["gzip", "identity"]) == "gzip"
        reply = Response(_packed() if packed else _script(), content_type="text/javascript")
        if packed:
            reply.headers["Content-Encoding"] = "gzip"
        reply.set_etag(f"{_version()}-{'gzip' if packed else 'plain'}")
        reply.make_conditional(request)
        return reply


def _script() -> bytes:
    # Found, not imported: the package loads much more than the one file that it is needed for.
    package = metadata.distribution(PACKAGE)
    path = Path(str(package.locate_file(f"{PACKAGE}/package_data/{SCRIPT}")))
    return path.read_bytes()


@functools.cache
def _packed() -> bytes:
    """The script as browsers take it: a third of it, packed once."""
    return gzip.compress(_script(), mtime=0)


@functools.cache
def _version() -> str:
    """The version of the script, which is part of its address: a new one is fetched again."""
    return metadata.version(PACKAGE)
