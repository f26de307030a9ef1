"""One verified model in memory: rows of columns in, probabilities out.

It loads an ONNX file only, checks its digest first, and never passes on an impossible number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from propensia import files, processes

Matrix = npt.NDArray[np.float64]
INPUT, OUTPUT = "x", "p"


class ScorerError(Exception):
    """The model file is damaged or not one that admission made, or the model cannot be run."""


class Unreliable(Exception):
    """The model gave a number that is not a probability."""


class Scorer:
    """An ONNX session with one input, ``x (n, k) float64``, and one output, ``p (n, 1) float64``.

    Safe to call from several threads. ``digest`` is the SHA-256 that the bytes must have.
    ``ScorerError`` if they have another, if ONNX Runtime refuses them, or if input and output
    are not those two.
    """

    def __init__(self, model: bytes, digest: str, threads: int = 1) -> None:
        if files.sha256(model) != digest:
            raise ScorerError("the model file has changed since it was admitted")
        opened = session(model, threads)
        self.columns = _width(opened.get_inputs(), INPUT)
        if _width(opened.get_outputs(), OUTPUT) != 1:
            raise ScorerError("the output p is not one column")
        self._run = opened.run
        processes.give_back_memory()

    def one(self, row: list[float]) -> float:
        """The probability of one row of k columns, in [0, 1].

        Raises ``Unreliable``, or ``ScorerError`` when the model cannot be run.
        """
        try:
            probability = self._run([OUTPUT], {INPUT: np.array((row,))})[0].item()
        except Exception as error:
            raise not_run(error) from error
        if not 0.0 <= probability <= 1.0:  # also false for NaN
            raise Unreliable("the model gave a number that is not a probability")
        return probability  # type: ignore[no-any-return]

    def many(self, rows: Matrix) -> Matrix:
        """The probabilities of n rows, ``(n,) float64``, each in [0, 1].

        Raises ``Unreliable``, or ``ScorerError`` when the model cannot be run.
        """
        matrix = np.ascontiguousarray(rows, dtype=np.float64)
        try:
            found = self._run([OUTPUT], {INPUT: matrix})[0]
        except Exception as error:
            raise not_run(error) from error
        return checked(found.reshape(-1))


def session(model: bytes, threads: int = 1) -> Any:
    """ONNX Runtime's session of a model that is trusted already, with the options of all of ours.

    Raises ``ScorerError`` if ONNX Runtime refuses it.
    """
    # The official Windows builds tell their maker about use; nothing leaves this machine.
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Memory is worth more than the last microsecond: arenas keep what a batch once took.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no base class for its own errors
        raise ScorerError(f"ONNX Runtime refuses the model: {error}") from error


def checked(probabilities: Matrix) -> Matrix:
    """The same probabilities; raises ``Unreliable`` if one is not in [0, 1]."""
    # Also false for NaN.
    if not bool(np.all((probabilities >= 0.0) & (probabilities <= 1.0))):
        raise Unreliable("the model gave a number that is not a probability")
    return probabilities


def not_run(error: Exception) -> ScorerError:
    """Without the text of ONNX Runtime, which may carry a value of the row."""
    return ScorerError(f"ONNX Runtime cannot run the model ({type(error).__name__})")


def _width(tensors: Sequence[Any], name: str) -> int:
    """The columns of the one tensor, a double matrix with any number of rows."""
    if [tensor.name for tensor in tensors] != [name]:
        raise ScorerError("the model does not have one input x and one output p")
    kind, shape = tensors[0].type, tensors[0].shape
    # ONNX Runtime gives a free number of rows as None or as a name.
    if kind != "tensor(double)" or len(shape) != 2 or isinstance(shape[0], int):
        raise ScorerError(f"{name} is not a double matrix with any number of rows")
    if not isinstance(shape[1], int):
        raise ScorerError(f"{name} does not say how many columns it has")
    return shape[1]
