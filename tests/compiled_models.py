"""What the tests of the compiler share: models as dropped files, and the answers of a graph."""

from __future__ import annotations

import io
from typing import Any

import joblib
import numpy as np
import onnxruntime

from propensia.admission import reader
from propensia.admission.compiler import Compiled, compile_model

COLUMNS = tuple("ABCDEF")
POSITIVE = frozenset({"1", "True", "SI"})
NEGATIVE = frozenset({"0", "False", "NO"})


def node_of(model: object) -> Any:
    """A model after the way through a dropped file: dumped by joblib, read as data."""
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return reader.read(buffer.getvalue())


def compiled(node: object, columns: tuple[str, ...] = COLUMNS) -> Compiled:
    return compile_model(node, columns, POSITIVE, NEGATIVE)


def answers(model: Compiled, rows: np.ndarray) -> np.ndarray:
    """The probabilities (n,) that ONNX Runtime computes for double rows."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.onnx, options, providers=["CPUExecutionProvider"])
    (chances,) = session.run(["p"], {"x": rows})
    assert chances.dtype == np.float64 and chances.shape == (len(rows), 1)
    return np.asarray(chances[:, 0])


def beside(values: np.ndarray) -> np.ndarray:
    """Each value, and its neighbours one unit in the last place away in double and in float32."""
    near = values.astype(np.float32)
    singles = [
        near,
        np.nextafter(near, np.float32(np.inf)),
        np.nextafter(near, np.float32(-np.inf)),
    ]
    doubles = [values, np.nextafter(values, np.inf), np.nextafter(values, -np.inf)]
    return np.concatenate([*doubles, *(single.astype(np.float64) for single in singles)])
