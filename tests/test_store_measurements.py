"""Measurements of two machines that share a database: those of the later one, whole."""

from __future__ import annotations

import threading

from journals import table
from sqlalchemy import Engine

from propensia.store import measurements, schema
from propensia.store.measurements import Measurement


def measured(value: float, count: int) -> list[Measurement]:
    return [Measurement(1, "a", "realised", f"s{number}", value) for number in range(count)]


def test_two_that_measured_the_same_month_at_once_leave_one_whole_measurement(
    engine: Engine,
) -> None:
    """With more subjects and with fewer, so that a mixture would show."""
    counts = {0.25: 40, 0.75: 20}
    for _ in range(5):
        errors: list[BaseException] = []
        begun = threading.Barrier(2)

        def work(value: float, begun: threading.Barrier, errors: list[BaseException]) -> None:
            try:
                with engine.connect() as connection:
                    begun.wait(30)
                    with connection.begin():
                        measurements.write(connection, measured(value, counts[value]))
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(one, begun, errors)) for one in counts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        left = [row["value"] for row in table(engine, schema.measurements)]
        assert len(set(left)) == 1 and len(left) == counts[left[0]]
