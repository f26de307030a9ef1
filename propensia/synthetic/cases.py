"""One block of rows of the table: the cases of customers of one kind, in one batch of days.

Every row is drawn anew; no row that was ever printed is in here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia.synthetic import amounts, customers, dates, figures, truth
from propensia.synthetic.accounts import Accounts, Codes, Vector, accounts
from propensia.synthetic.batches import Batch, World
from propensia.synthetic.customers import NOTHING, Customers, pick

Columns = dict[str, npt.NDArray[Any]]

# The columns of the file, in its order.
COLUMNS = (
    "CUST_CODE",
    "NUMERO_FACTURA",
    "FECHA_ENVIO",
    "CANTIDAD_FACTURAS",
    "FECHA_DEVOLUCION",
    "IMPORTE_FACTURA",
    "FECHA_FACTURA",
    "ESCENARIO_RECOBRO",
    "DEUDA_TOTAL",
    "PORTADO",
    "EMAIL",
    "EDAD",
    "FECHA CARGA",
    "IMPORTE PRODUCTO",
    "TARGET",
    "PERMANENCIA",
    "VPT",
    "FECHA_BPI",
    "TIPO_DOCUMENTO",
    "CODIGO_POSTAL",
    "NUM_LINEAS_ACTIVAS",
    "ESTADO_CLIENTE",
    "VAP_SCF",
    "VAP_OB",
    "FEU",
)


@dataclass(frozen=True, slots=True)
class Table:
    """n rows: ``columns`` in the order of the file, ``truth`` ``(n,)`` the true probability of
    paying, ``paid`` ``(n,) int64``, and for those who paid ``paid_on`` and ``paid_euros``
    (NaT and NaN for the rest).

    Amounts, post codes and months are float64 with NaN for no data, counts int64, dates
    datetime64[D], everything else text as in the file, empty for no data.
    """

    columns: Columns
    truth: Vector
    paid: Codes
    paid_on: dates.Days
    paid_euros: Vector

    def __len__(self) -> int:
        return len(self.truth)


def draw(random: np.random.Generator, world: World, batch: Batch) -> Table:
    """The rows of that batch. As many numbers are drawn whatever the drift."""
    rows = batch.rows
    moved = figures.load()["drift"]
    person = customers.describe(batch.kind, _places(random, batch), world.key)
    table = accounts()
    kinds = _kinds(
        table.moved(moved["leaving"] * world.drift), batch.kind, person.band, random.random(rows)
    )
    invoices, lines = _counts(table, kinds, random.random((rows, 2)))
    growth = moved["amounts"] ** world.drift
    invoice, debt = amounts.owed(kinds, invoices, random.random((rows, 3)), growth)
    unknown = _unknown(debt, random.random(rows))
    columns: Columns = {
        **_who(person, batch, world),
        **dates.of_cases(random.random((rows, 8)), world, batch, invoices),
        **_account(random, table, kinds, world),
        "CANTIDAD_FACTURAS": invoices,
        "NUM_LINEAS_ACTIVAS": lines,
        "IMPORTE_FACTURA": np.where(unknown, np.nan, invoice),
        "DEUDA_TOTAL": debt,
    }
    chances = truth.chances(columns, world.drift)
    paid = (random.random(rows) < chances).astype(np.int64)
    columns["TARGET"] = np.where(paid == 1, "SI", "NO").astype(object)
    paid_on, paid_euros = dates.payments(
        random.random((rows, 3)), paid, columns["FECHA_ENVIO"], debt
    )
    ordered = {name: columns[name] for name in COLUMNS}
    return Table(ordered, chances, paid, paid_on, paid_euros)


def _places(random: np.random.Generator, batch: Batch) -> Codes:
    """A customer's place per row: a new one, or that of an earlier row of the same kind."""
    places = batch.in_kind + np.arange(batch.rows)
    again = random.random(batch.rows) < figures.load()["customer"]["returning"]
    earlier = np.floor(random.random(batch.rows) * places).astype(np.int64)
    return np.where(again & (places > 0), earlier, places)


def _unknown(debt: Vector, uniform: Vector) -> npt.NDArray[np.bool_]:
    """Where the amount of the invoice is missing: in a few of the small debts."""
    given = figures.load()["amounts"]
    missing: npt.NDArray[np.bool_] = (debt < given["missing_below"]) & (uniform < given["missing"])
    return missing


def _kinds(table: Accounts, kind: int, band: Codes, uniform: Vector) -> Codes:
    """A kind of account per row, ``(n,)``, given the customer's kind and band."""
    personal = 0 if kind == customers.BUSINESS else 1
    kinds = np.zeros(len(band), dtype=np.int64)
    for number in np.unique(band):
        fits = (table.code("personal") == personal) & (table.code("band") == number)
        places = np.flatnonzero(fits)
        steps = np.cumsum(table.shares[places])
        own = band == number
        found = np.searchsorted(steps / steps[-1], uniform[own], side="right")
        kinds[own] = places[np.minimum(found, len(places) - 1)]
    return kinds


def _counts(table: Accounts, kinds: Codes, uniform: npt.NDArray[Any]) -> tuple[Codes, Codes]:
    """Invoices and lines, with the open last classes spread over their numbers."""
    given = figures.load()["tails"]
    invoices = table.code("invoices")[kinds] + 1
    four = pick(given["four_or_more"], uniform[:, 0]).astype(np.int64)
    lines = table.code("lines")[kinds]
    many = _many_lines(uniform[:, 1])
    return np.where(invoices == 4, four, invoices), np.where(lines == 3, many, lines)


def _many_lines(uniform: Vector) -> Codes:
    """Lines of those who have three or more: a power law, and the few large accounts."""
    given = figures.load()["tails"]["lines"]
    shift, power, most = given["shift"], given["power"], given["most"]
    share = given["large_share"]
    large = given["large"] + np.floor(uniform / share * (most + 1 - given["large"]))
    left = np.clip((uniform - share) / (1 - share), 0.0, 1.0)
    beyond = ((3 + shift) / (most + 1 + shift)) ** power  # none has more than most
    tail = np.floor((3 + shift) * (1 - left * (1 - beyond)) ** (-1 / power) - shift)
    lines: Codes = np.where(uniform < share, large, np.minimum(tail, most)).astype(np.int64)
    return lines


def _who(person: Customers, batch: Batch, world: World) -> Columns:
    places = batch.in_table + np.arange(batch.rows)
    serial = (places + 1) * (world.key % 899_999_921 + 1) % customers.PRIME
    return {
        "CUST_CODE": person.number.astype(np.float64),
        "NUMERO_FACTURA": np.array([f"F{number:09d}" for number in serial], dtype=object),
        "ESCENARIO_RECOBRO": person.segment,
        "EMAIL": person.email,
        "EDAD": person.age,
        "TIPO_DOCUMENTO": person.document,
        "CODIGO_POSTAL": person.postcode,
        "FEU": person.fund,
    }


def _account(random: np.random.Generator, table: Accounts, kinds: Codes, world: World) -> Columns:
    given = figures.load()["case"]
    rows = len(kinds)
    terminal = table.code("terminal")[kinds]
    leaving = table.code("leaving")[kinds] == 1
    vpt = np.where(terminal > 0, "S", "N").astype(object)
    # The published share of S holds the blanks: take them from those who count as S.
    only = figures.load()["account"]["terminal"] - figures.load()["account"]["bank"]
    blank = given["terminal_missing"] / figures.load()["rows"] / only
    vpt[(terminal == 1) & (random.random(rows) < blank)] = NOTHING
    ported = pick(given["ported_no"], random.random(rows))
    ported[table.code("ported")[kinds] == 1] = "SI"
    committed = pick(given["commitments"], random.random(rows))
    committed[random.random(rows) >= given["commitment"]] = NOTHING
    price = given["product_median"] * np.exp(
        given["product_spread"] * random.standard_normal(rows)
    )
    return {
        "VPT": vpt,
        "VAP_OB": np.where(terminal == 2, "S", "N").astype(object),
        "VAP_SCF": np.full(rows, "N", dtype=object),
        "ESTADO_CLIENTE": np.where(table.code("lines")[kinds] > 0, "A", "B").astype(object),
        "PORTADO": ported,
        "PERMANENCIA": committed,
        "IMPORTE PRODUCTO": np.where(terminal > 0, np.round(price, 2), 0.0),
        "FECHA_BPI": np.where(leaving, dates.leaving_months(random.random(rows), world), np.nan),
    }
