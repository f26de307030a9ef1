"""A Flask route that does nothing: what the framework alone costs.

It must never read its request.
"""

from flask import Flask


def create_app() -> Flask:
    """A Flask app whose `/prediccion` answers a constant."""
    app = Flask(__name__)

    @app.get("/prediccion")
    def prediccion() -> str:
        return "0"

    return app
