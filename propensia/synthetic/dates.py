"""When things happened: the four dates of a case, the month of leaving, and the payment.

Dates are days from the table's first one; nothing here looks at a clock.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from propensia.synthetic import customers, figures
from propensia.synthetic.accounts import Codes, Matrix, Vector
from propensia.synthetic.batches import Batch, World

Days = npt.NDArray[np.datetime64]
NEVER = np.datetime64("NaT", "D")


def of_cases(uniform: Matrix, world: World, batch: Batch, invoices: Codes) -> dict[str, Days]:
    """The four dates of the rows of a batch: billed, returned, sent and loaded, in this order.

    ``uniform`` ``(n, 8)`` in [0, 1); ``invoices`` ``(n,)``: the more, the older the bill.
    """
    given = figures.load()["dates"]
    sent = _sent(uniform, world, batch)
    age = _whole(uniform[:, 3] * 50) + 30 * (np.minimum(invoices, 3) - 1)
    billed = sent - age
    if batch.kind == customers.BUSINESS:
        month = (world.start + billed).astype("datetime64[M]").astype("datetime64[D]")
        first = (month - world.start).astype(np.int64)
        billed = np.where(sent - first <= given["usual"], first, billed)
    oldest = sent - given["usual"] - _whole(uniform[:, 4] * (given["oldest"] - given["usual"]))
    billed = np.where(uniform[:, 5] < given["old"], oldest, billed)
    billed = np.maximum(billed, -given["oldest"])
    returned = np.minimum(billed + 18 + _whole(uniform[:, 6] * 25), sent)
    share = given["loaded_later"]
    later = np.where(uniform[:, 7] < share, 1 + _whole(uniform[:, 7] / share * 3), 0)
    loaded = np.minimum(sent + later, world.days - 1)
    return {
        "FECHA_ENVIO": world.start + sent,
        "FECHA_DEVOLUCION": world.start + returned,
        "FECHA_FACTURA": world.start + billed,
        "FECHA CARGA": world.start + loaded,
    }


def _sent(uniform: Matrix, world: World, batch: Batch) -> Codes:
    """Days that grow with the place in the batch, but for one row in ten; no Sundays."""
    place = (batch.in_batch + np.arange(batch.rows) + uniform[:, 0]) / batch.batch_rows
    place = np.where(uniform[:, 1] < 0.1, uniform[:, 2], place)
    sent = batch.first + _whole(place * (batch.last + 1 - batch.first))
    weekday = (world.start + sent).astype(np.int64) % 7  # 1970-01-01 was a Thursday
    return np.where((weekday == 3) & (sent > batch.first), sent - 1, sent)


def _whole(numbers: Vector) -> Codes:
    return np.floor(numbers).astype(np.int64)


def leaving_months(uniform: Vector, world: World) -> Vector:
    """Months ``YYYYMM`` of a planned disconnection; the first is that of the table's last day."""
    steps = np.cumsum(figures.load()["case"]["leaving_months"])
    month = np.searchsorted(steps / steps[-1], uniform, side="right")
    last = (world.start + np.timedelta64(world.days - 1, "D")).astype("datetime64[M]")
    counted = last.astype(np.int64) + 12 * 1970 + month
    months: Vector = (counted // 12 * 100 + counted % 12 + 1).astype(np.float64)
    return months


def payments(uniform: Matrix, paid: Codes, sent: Days, debt: Vector) -> tuple[Days, Vector]:
    """When and how many euros those who paid did pay, each ``(n,)``; NaT and NaN for the rest.

    The days from ``sent`` have an exponential law cut at ``last`` days; what is paid is the whole
    debt or, for some, a part of it, spread evenly. ``uniform`` ``(n, 3)`` in [0, 1).
    """
    given = figures.load()["payments"]
    reach = 1 - np.exp(-given["last"] / given["typical"])
    delay = _whole(-given["typical"] * np.log1p(-uniform[:, 0] * reach))
    least, most = given["part"]
    part = np.where(uniform[:, 1] < given["partly"], least + (most - least) * uniform[:, 2], 1.0)
    on = np.where(paid == 1, sent + delay, NEVER)
    return on, np.where(paid == 1, np.round(part * debt, 2), np.nan)
