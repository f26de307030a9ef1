"""The application: one factory that composes settings, registry, serving, pages and hot route.

No module state: every process makes its own with ``create_app``.
"""

from __future__ import annotations

import logging

from flask import Flask

from propensia import contract as contracts
from propensia import settings
from propensia.access import Access
from propensia.registry import Registry
from propensia.serving import Serving
from propensia.settings import Settings
from propensia.web import site
from propensia.web.door import Door, Seen
from propensia.web.prediccion import HotRoute, Scoring
from propensia.web.ticker import Ticker

# Servers that are not ours to set up, and the first level at which they write no address of a
# request, which holds personal data: flask run writes every one at INFO and a broken one at
# ERROR, gunicorn a broken one at WARNING.
QUIET = {"werkzeug": logging.CRITICAL, "gunicorn.error": logging.ERROR}


def create_app(chosen: Settings | None = None, *, background: bool = True) -> Flask:
    """The Flask application of this process.

    ``chosen`` defaults to ``settings.load()``. ``background=False`` loads what is published now
    and starts no thread and no keeper, for scripts and tests. Raises ``SettingsError``,
    ``ContractError``, or ``OSError`` when the state folder cannot be made.
    """
    chosen = chosen or settings.load()
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    contract = contracts.load(chosen.contract)
    registry = Registry(chosen.state)
    registry.prepare()
    serving = Serving(contract, registry)
    access = Access(chosen)
    start = Ticker(serving, access, chosen).start if background else serving.tick
    app = Flask(__name__)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.json.sort_keys = False  # type: ignore[attr-defined]
    scoring = Scoring(serving)
    site.add_routes(app, scoring, chosen)
    hot = HotRoute(app.wsgi_app, scoring, start)
    hot.begin()
    app.wsgi_app = Door(hot, app.wsgi_app, access, _tell)  # type: ignore[method-assign, assignment]
    return app


def _tell(seen: Seen) -> None:
    """What was answered, for the request log and the metrics."""
