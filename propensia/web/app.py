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
    refusals,
    sessions,
    site,
)
from propensia.web.api import Posted, PredictRoute
from propensia.web.door import Door, Seen
from propensia.web.form_limits import limit_bytes
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
    logs.to_stderr(logging.WARNING, "%(levelname)s %(name)s: %(message)s")
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
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
    ticker = Ticker(serving, access, record, tally, recorder, chosen)
    start = ticker.start if background else serving.tick

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
    metrics.add_routes(app, tally, registry, contract)
    documentation.add_routes(app, scoring, chosen.max_batch_size)
    posted = Posted(scoring, chosen.max_batch_size)
    api.add_routes(app, posted)
    open_inference.add_routes(app, scoring, chosen.max_batch_size)
    hot = HotRoute(PredictRoute(app.wsgi_app, posted), scoring, start)
    hot.begin()
    waiting = Waiting(hot, app.wsgi_app, chosen.queue_seconds)
    bodies = Bodies(chosen.max_batch_size, limit_bytes(chosen))
    whole = WholeRequests(waiting, app.wsgi_app, bodies, chosen.state)
    app.wsgi_app = Door(whole, app.wsgi_app, access, quotas, tell, hot.begin)  # type: ignore[method-assign, assignment]
    return app


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
