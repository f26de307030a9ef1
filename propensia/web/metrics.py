"""``GET /metrics``, for Prometheus.

It never loads what writes them before somebody asks.
"""

from __future__ import annotations

from flask import Flask, Response

from propensia.contract import Contract
from propensia.registry import Registry
from propensia.web.tally import Tally

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
"""The text format of Prometheus, which every collector reads."""


def add_routes(app: Flask, tally: Tally, registry: Registry, contract: Contract) -> None:
    """Give ``app`` the route of the metrics."""

    @app.get("/metrics")
    def metrics() -> Response:
        # Here: its library takes time and memory, which a worker that nobody asks can spare.
        from propensia.web.exposition import exposition

        return Response(exposition(tally, registry, contract), content_type=PLAIN)
