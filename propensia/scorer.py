"""One verified model in memory: rows of columns in, probabilities out.

It loads an ONNX file only, checks its digest first, and never passes on an impossible number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime

from propensia import files

Matrix = npt.NDArray[np.float64]
INPUT, OUTPUT = "x", "p"


class ScorerError(Exception):
    """The model file is damaged, or is not one that admission made."""


class Unreliable(Exception):
    """The model gave a number that is not a probability."""


class Scorer:
    """An ONNX session with one input, ``x (n, k) float64``, and one output, ``p (n, 1) float64``.

    Safe to call from several threads. ``digest`` is the SHA-256 that the bytes must have;
    ``ScorerError`` if they have another, or if ONNX Runtime refuses them.
    """

    def __init__(self, model: bytes, digest: str, threads: int = 1) -> None:
        if files.sha256(model) != digest:
            raise ScorerError("the model file has changed since it was admitted")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # Memory is worth more than the last microsecond: arenas keep what a batch once took.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        try:
            session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime has no base class for its own errors
            raise ScorerError(f"ONNX Runtime refuses the model: {error}") from error
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if [i.name for i in inputs] != [INPUT] or [o.name for o in outputs] != [OUTPUT]:
            raise ScorerError("the model does not have one input x and one output p")
        self.columns = int(inputs[0].shape[1])
        self._run = session.run

    def one(self, row: list[float]) -> float:
        """The probability of one row of k columns, in [0, 1]. Raises ``Unreliable``."""
        probability = self._run([OUTPUT], {INPUT: np.array((row,))})[0].item()
        if not 0.0 <= probability <= 1.0:  # also false for NaN
            raise Unreliable("the model gave a number that is not a probability")
        return probability  # type: ignore[no-any-return]

    def many(self, rows: Matrix) -> Matrix:
        """The probabilities of n rows, ``(n,) float64``, each in [0, 1]. Raises ``Unreliable``."""
        found = self._run([OUTPUT], {INPUT: np.ascontiguousarray(rows, dtype=np.float64)})[0]
        probabilities: Matrix = found.reshape(-1)
        if not bool(np.all((probabilities >= 0.0) & (probabilities <= 1.0))):
            raise Unreliable("the model gave a number that is not a probability")
        return probabilities
