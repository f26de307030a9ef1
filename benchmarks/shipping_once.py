"""Ship one journal, in a process that has loaded nothing else, and print how it went.

It must never import what the service does not, for its memory is measured.
"""

import json
import os
import time
from pathlib import Path

import psutil
from sqlalchemy import func, select

from propensia.journal.writer import FOLDER
from propensia.settings import Settings
from propensia.store import database, schema, shipping


def ship() -> dict[str, float]:
    """Ship the journal of the environment's state folder, and tell how it went."""
    chosen = Settings(
        state=Path(os.environ["PROPENSIA_STATE"]),
        database_url=os.environ["PROPENSIA_DATABASE_URL"],
    )
    engine = database.open_store(chosen)
    shipper = shipping.Shipper(engine, chosen.state / FOLDER, chosen.outcome_days)
    began, busy = time.perf_counter(), time.process_time()
    shipped = shipper.turn()
    took, busy = time.perf_counter() - began, time.process_time() - busy
    memory = psutil.Process().memory_info()
    peak = getattr(memory, "peak_wset", 0) or _peak()
    with engine.connect() as connection:
        kept = sum(
            connection.execute(select(func.count()).select_from(of)).scalar_one()
            for of in (schema.answers, schema.refusals)
        )
    rate = shipped / took
    return {"records": kept, "rate": rate, "busy": busy / took, "mib": peak / (1 << 20)}


def _peak() -> int:
    """On Linux, where ``getrusage`` would tell the peak of the process that started this one."""
    for text in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if text.startswith("VmHWM:"):
            return int(text.split()[1]) * 1024
    raise SystemExit("the peak of the memory is not told here")


if __name__ == "__main__":
    print(json.dumps(ship()))
