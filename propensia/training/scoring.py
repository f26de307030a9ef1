"""What a fitted model says of rows: the one place that asks it.

Nothing here fits a model, and none is asked about rows in any other form than it learnt from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from propensia.contract import Contract
from propensia.training import networks
from propensia.training.rows import Chances, Rows


def chances(model: Any, contract: Contract, view: str, rows: Rows) -> Chances:
    """The chances ``(n,)`` in [0, 1] that the model itself gives, float64.

    ``model`` is a plain scikit-learn or Keras object that takes ``rows.table(contract, view)``.
    """
    table = rows.table(contract, view)
    if not hasattr(model, "predict_proba"):
        return networks.chances(model, table)
    # Many small questions: threads wait for each other longer than they help, and on a busy
    # machine ten times as long.
    with threadpool_limits(1):
        return np.asarray(model.predict_proba(table)[:, 1], dtype=np.float64)
