"""The service that was replaced, written anew from the published facts about its behaviour.

For tests only. Its mistakes are what is tested: they must never be mended here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

import pandas as pd  # type: ignore[import-untyped]  # ships no types
from flask import Flask, Request, request
from werkzeug.datastructures import ImmutableMultiDict

COLUMNS = (
    "CANTIDAD_FACTURAS",
    "IMPORTE_FACTURA",
    "ESCENARIO_RECOBRO",
    "DEUDA_TOTAL",
    "PORTADO",
    "VPT",
    "CODIGO_POSTAL",
    "NUM_LINEAS_ACTIVAS",
    "ESTADO_CLIENTE",
    "VAP_SCF",
    "VAP_OB",
    "BAJA",
    "0_30",
    "31_50",
    "51_65",
    "MAYOR_65",
)


class OldRequest(Request):
    """A request of the Werkzeug of that time: bytes that are not UTF-8 become U+FFFD."""

    @cached_property
    def args(self) -> ImmutableMultiDict[str, str]:
        raw = self.query_string.decode("utf-8", "replace")
        return ImmutableMultiDict(parse_qsl(raw, keep_blank_values=True, errors="replace"))


def create_app(model: Any) -> Flask:
    """The old server around a model that is in memory."""
    app = Flask("seed")
    app.request_class = OldRequest

    @app.get("/prediccion")
    def prediccion() -> str:
        frame = pd.DataFrame([row(request.args)], columns=list(COLUMNS))
        if frame.isna().any(axis=None):  # what scikit-learn did then; its newer forests take NaN
            raise ValueError("Input contains NaN")
        return str(model.predict(frame)[0])

    return app


def row(sent: Mapping[str, str]) -> list[float]:
    """The 16 numbers that it gave its model. Raises what Python raises: it answered 500."""
    vb: str | int = 1 if sent.get("vb") == "SI" else 0
    vb = 1 if vb == "SI" else 0  # the block was there twice
    age = 65 if sent.get("ed") == "NaN" else _int(sent.get("ed"))
    return [
        _clip(2 if sent.get("cf") == "NaN" else _int(sent.get("cf")), 1, 3.5) / 3.5,
        _clip(71.99 if sent.get("im") == "NaN" else _float(sent.get("im")), 0, 314.24) / 314.24,
        1 if sent.get("er") in ("PER", "FU") else 0,
        _clip(71.99 if sent.get("dt") == "NaN" else _float(sent.get("dt")), 0, 628.83) / 628.83,
        0 if sent.get("po") in ("NO", "N", "BAJAS_I", "BAJAS_II", "N/A") else 1,
        1 if sent.get("vt") == "SI" else 0,
        (28 if sent.get("cp") == "NaN" else _int(sent.get("cp"))) / 52,
        _clip(1 if sent.get("nl") == "NaN" else _int(sent.get("nl")), 0, 2.5) / 2.5,
        1 if sent.get("ec") == "A" else 0,
        1 if sent.get("vf") == "SI" else 0,
        vb,
        0 if sent.get("fb") == "NaN" else 1,
        1 if age < 30 else 0,
        1 if 31 <= age <= 50 else 0,
        1 if 51 <= age <= 65 else 0,
        1 if age > 65 else 0,
    ]


def _int(text: str | None) -> int:
    return int(text)  # type: ignore[arg-type]  # None raises, as it did


def _float(text: str | None) -> float:
    return float(text)  # type: ignore[arg-type]  # None raises, as it did


def _clip(value: float, low: float, high: float) -> float:
    if value < low:
        return low
    return high if value > high else value
