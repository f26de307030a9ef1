"""The application: one factory that composes settings, registry, serving, pages and hot route.

No module state: every process makes its own with ``create_app``.
"""

from __future__ import annotations

import logging

from flask import Flask

from propensia import contract as contracts
from propensia import logs, settings
from propensia.access import Access
from propensia.access.limits import Limits
from propensia.recording import Recorder
from propensia.registry import Registry
from propensia.serving import Serving
from propensia.settings import Settings, SettingsError
from propensia.web import (
    api,
    documentation,
    metrics,
    models,
    open_inference,
    panel,
    portfolio,
    refusals,
    results,
    sessions,
    site,
    stored,
)
from propensia.web.api import Posted, PredictRoute
from propensia.web.door import Door, Seen
from propensia.web.form_limits import limit_bytes, portfolio_limit_bytes
from propensia.web.panel import Pace
from propensia.web.prediccion import HotRoute, Scoring
from propensia.web.quotas import Quotas
from propensia.web.request_log import RequestLog
from propensia.web.routes import Bodies
from propensia.web.tally import Tally
from propensia.web.ticker import Ticker
from propensia.web.waiting import Waiting
from propensia.web.whole_requests import WholeRequests

# Servers that are not ours to set up, and the first level at which they write no address of a
# request, which holds personal data: flask run writes every one at INFO and a broken one at
# ERROR, gunicorn a broken one at WARNING.
QUIET = {"werkzeug": logging.CRITICAL, "gunicorn.error": logging.ERROR}


def create_app(chosen: Settings | None = None, *, background: bool = True) -> Flask:
    """The Flask application of this process.

    ``chosen`` defaults to ``settings.load()``. ``background=False`` loads what is published now
    and starts no thread and no keeper, for scripts and tests. Raises ``SettingsError``,
    ``ContractError``, ``AccessError`` where it cannot be known which keys there are, or
    ``OSError`` when the state folder cannot be made.
    """
    chosen = chosen or settings.load()
    _quiet()
    contract = contracts.load(chosen.contract)
    registry = Registry(chosen.state)
    registry.prepare()
    serving = Serving(contract, registry)
    access = Access(chosen)
    access.prepare()
    quotas = Quotas(Limits(chosen))
    record = RequestLog(chosen.state, chosen.request_log_days)
    tally = Tally(chosen.state / "metrics")
    recorder = Recorder(chosen, contract)
    pace = Pace(tally)
    ticker = Ticker(serving, access, record, tally, recorder, chosen, pace.tick)
    start = ticker.start if background else ticker.load

    def tell(seen: Seen) -> None:
        record.tell(seen)
        tally.answer(seen)

    def troubles() -> list[str | None]:
        return [record.problem, access.problem, quotas.problem, recorder.problem]

    app = _flask()
    scoring = Scoring(serving, recorder, tally.result)
    site.add_routes(app, scoring, chosen, troubles)
    refusals.add_error_shape(app, scoring, https_only=bool(chosen.tls_certificate))
    sessions.add_routes(app, access, quotas, scoring)
    models.add_routes(app, scoring, chosen)
    stored.add_routes(app, scoring, chosen)
    metrics.add_routes(app, tally, registry, contract)
    panel.add_routes(app, scoring, chosen, pace, troubles)
    portfolio.add_routes(app, scoring, chosen)
    documentation.add_routes(app, scoring, chosen.max_batch_size)
    posted = Posted(scoring, chosen.max_batch_size)
    api.add_routes(app, posted)
    results.add_routes(app, scoring, recorder, chosen)
    open_inference.add_routes(app, scoring, chosen.max_batch_size)
    hot = HotRoute(PredictRoute(app.wsgi_app, posted), scoring, start)
    hot.begin()
    app.wsgi_app = Door(_whole(hot, app, chosen), app.wsgi_app, access, quotas, tell, hot.begin)  # type: ignore[method-assign, assignment]
    return app


def _quiet() -> None:
    """Write what goes wrong, and nothing of what other servers write of requests."""
    logs.to_stderr(logging.WARNING, "%(levelname)s %(name)s: %(message)s")
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)


def _whole(hot: HotRoute, app: Flask, chosen: Settings) -> WholeRequests:
    """What takes whole requests only, and lets each wait for its turn."""
    waiting = Waiting(hot, app.wsgi_app, chosen.queue_seconds)
    bodies = Bodies(chosen.max_batch_size, limit_bytes(chosen), portfolio_limit_bytes(chosen))
    return WholeRequests(waiting, app.wsgi_app, bodies, chosen.state)


def _flask() -> Flask:
    """Flask without routes. Raises ``SettingsError`` where it would debug."""
    app = Flask(__name__)
    if app.debug:
        raise SettingsError(
            "con FLASK_DEBUG o --debug, quien llama podría ejecutar código aquí: arranque sin ello"
        )
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.json.sort_keys = False  # type: ignore[attr-defined]
    return app
