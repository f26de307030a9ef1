"""The keeper's clerk: brings the journal into the store, at its times, in a thread of its own.

It never stops for good, whatever becomes of the database, and answers wait for nothing it does.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from propensia.journal.writer import FOLDER
from propensia.settings import Settings
from propensia.store import database
from propensia.store.database import StoreError
from propensia.store.shipping import Shipper

log = logging.getLogger(__name__)

SHIP_S = 1.0
AGAIN_S = 5.0
"""After a failure; the journal keeps everything meanwhile."""


@dataclass(slots=True)
class Clerk:
    """What the clerk of this keeper works with; ``problem``: what is wrong now, for a person."""

    settings: Settings
    problem: str | None = None

    def work(self, ended: threading.Event) -> None:
        """Ship until the keeper ends."""
        shipper: Shipper | None = None
        while not ended.is_set():
            pause = SHIP_S
            try:
                if shipper is None:
                    engine = database.open_store(self.settings)
                    shipper = Shipper(engine, self.settings.state / FOLDER)
                shipper.turn()
                self.problem = None
            except (StoreError, SQLAlchemyError, OSError, ValueError) as error:
                problem = f"la base de datos no recibe el diario ({type(error).__name__})"
                if problem != self.problem:
                    log.error("nothing is shipped: %s", type(error).__name__)
                self.problem, pause = problem, AGAIN_S
            ended.wait(pause)
