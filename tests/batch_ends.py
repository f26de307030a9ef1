"""A run from one end to the other in this very process, for tests of what is read and written.

It goes the way of the command, but for the note and the lock beside the result.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tiny_models

from propensia.batch import formats
from propensia.batch.added import Added
from propensia.batch.blocks import Place, Tally
from propensia.batch.formats import Ends, Selection
from propensia.batch.worker import model
from propensia.batch.worker.model import Model
from propensia.batch.worker.scoring import Task, Wanted, Worker
from propensia.contract import Contract
from propensia.registry import Registry

# So small that amounts of thousands do not all come to 0 or 1.
WEIGHTS = np.linspace(-1e-3, 1e-3, tiny_models.WIDTH).tolist()
BANDS = Wanted((0.25, 0.5, 0.75))


def published(registry: Registry, contract: Contract) -> Model:
    """A logistic regression without a reference of its training."""
    version = tiny_models.add(registry, contract, tiny_models.logistic(WEIGHTS))
    registry.publish(version, cause="prueba", who="yo")
    return model.take(registry, contract)


def opened(taken: Model, source: Path, target: Path, *, own_deciles: bool = False) -> Ends:
    contract = taken.contract
    added = Added(
        taken.release.version, (contract.negative_name["es"], contract.positive_name["es"])
    )
    found = formats.open_source(str(source), contract, Selection())
    return formats.open_ends(found, str(target), contract, added, own_deciles=own_deciles)


def score(
    taken: Model,
    ends: Ends,
    *,
    blocks: int | None = None,
    after: tuple[Place, Place] | None = None,
) -> tuple[Place, Place]:
    """Score the first ``blocks``, or all and to the end; the places of source and sink."""
    worker = Worker(Task(taken, ends.reader, ends.sink.writer, BANDS))
    source_place, sink_place = after or (None, None)
    ends.sink.start(sink_place)
    tally = Tally()
    for count, block in enumerate(ends.source.blocks(source_place)):
        if count == blocks:
            assert source_place is not None and sink_place is not None
            return source_place, sink_place
        piece = worker.piece(block)
        tally.add(piece.tally)
        source_place, sink_place = block.end, ends.sink.keep(piece.content)
    if blocks is None:
        ends.sink.finish()
    assert source_place is not None and sink_place is not None
    return source_place, sink_place
