"""The recipe of the service that Propensia replaces: Flask, joblib, DataFrame, `predict`.

Written from the published facts. Its mistakes (`VAP_OB` always 0, the postal code undivided) are
part of the recipe and must never be mended here.
"""

import os

import joblib  # type: ignore[import-untyped]  # ships no types
import pandas as pd  # type: ignore[import-untyped]  # ships no types
from flask import Flask, request

from benchmarks.rows import COLUMNS

_NOT_PORTED = {"NO", "N", "N/A", "BAJAS_I", "BAJAS_II"}


def _whole(text: str, missing: int) -> int:
    return missing if text == "NaN" else int(text)


def _decimal(text: str, missing: float) -> float:
    return missing if text == "NaN" else float(text)


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def create_app() -> Flask:
    """A Flask app that answers the class by the model that `BENCHMARK_MODEL` names."""
    app = Flask(__name__)
    model = joblib.load(os.environ["BENCHMARK_MODEL"])

    @app.get("/prediccion")
    def prediccion() -> str:
        sent = request.args
        age = _whole(sent["ed"], 65)
        row = {
            "CANTIDAD_FACTURAS": _clip(_whole(sent["cf"], 2), 1, 3.5) / 3.5,
            "IMPORTE_FACTURA": _clip(_decimal(sent["im"], 71.99), 0, 314.24) / 314.24,
            "ESCENARIO_RECOBRO": 1 if sent["er"] in ("PER", "FU") else 0,
            "DEUDA_TOTAL": _clip(_decimal(sent["dt"], 71.99), 0, 628.83) / 628.83,
            "PORTADO": 0 if sent["po"] in _NOT_PORTED else 1,
            "VPT": 1 if sent["vt"] == "SI" else 0,
            "CODIGO_POSTAL": _whole(sent["cp"], 28) / 52,
            "NUM_LINEAS_ACTIVAS": _clip(_whole(sent["nl"], 1), 0, 2.5) / 2.5,
            "ESTADO_CLIENTE": 1 if sent["ec"] == "A" else 0,
            "VAP_SCF": 1 if sent["vf"] == "SI" else 0,
            "VAP_OB": 0,
            "BAJA": 0 if sent["fb"] == "NaN" else 1,
            "0_30": 1 if age < 30 else 0,
            "31_50": 1 if 31 <= age <= 50 else 0,
            "51_65": 1 if 51 <= age <= 65 else 0,
            "MAYOR_65": 1 if age > 65 else 0,
        }
        return str(model.predict(pd.DataFrame([row], columns=list(COLUMNS)))[0])

    return app
