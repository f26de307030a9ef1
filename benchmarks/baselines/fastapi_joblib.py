"""The usual way to serve a forest: FastAPI, joblib and a one-row DataFrame.

It must never be tuned for or against.
"""

import os

import joblib  # type: ignore[import-untyped]  # ships no types
import pandas as pd  # type: ignore[import-untyped]  # ships no types
from fastapi import FastAPI

from benchmarks.rows import COLUMNS, encode


def create_app() -> FastAPI:
    """A FastAPI app that scores with the model named by `BENCHMARK_MODEL`, loaded once."""
    app = FastAPI()
    model = joblib.load(os.environ["BENCHMARK_MODEL"])

    @app.get("/prediccion")
    def prediccion(
        er: str,
        po: str,
        vt: str,
        cp: str,
        ec: str,
        vf: str,
        vb: str,
        fb: str,
        ed: str,
        cf: str,
        im: str,
        dt: str,
        nl: str,
    ) -> dict[str, float | str]:
        values = encode(
            {
                "er": er,
                "po": po,
                "vt": vt,
                "cp": cp,
                "ec": ec,
                "vf": vf,
                "vb": vb,
                "fb": fb,
                "ed": ed,
                "cf": cf,
                "im": im,
                "dt": dt,
                "nl": nl,
            }
        )
        frame = pd.DataFrame([values], columns=list(COLUMNS))
        probability = float(model.predict_proba(frame)[0, 1])
        return {
            "clasificacion": "pagador" if probability >= 0.5 else "no pagador",
            "probabilidad": probability,
        }

    return app
