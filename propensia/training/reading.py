"""From a table to labelled rows, and everything that is wrong with it, told at once.

It keeps arrays only, of a bounded number of rows, and no sentence of it holds a debtor's value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date as Date

import numpy as np
import pandas as pd

from propensia import faults, spanish
from propensia.contract import Contract
from propensia.features import Features
from propensia.files import shown
from propensia.tables import Table, open_table
from propensia.training import headings, labelling
from propensia.training.gathering import Fills, Points, Sample, hashes
from propensia.training.headings import Columns
from propensia.training.inspecting import allowed, inspect
from propensia.training.labelling import NO_LABEL, STRANGE
from propensia.training.results import ACCEPTED, Data, Finding
from propensia.training.rows import Places, Rows

MOST_ROWS = 1_000_000
# Rows that cannot be read are dropped with a warning, but no more than this share of them.
MOST_UNREADABLE = 0.05
TOO_MANY = f"más del {spanish.percent(MOST_UNREADABLE, 0)}, que es lo admitido: corríjalas"
# Of one column; more is a column written in another way, not a slip here and there.
MOST_UNREADABLE_OF_COLUMN = 0.01
# Numbers that on average more rows than these share do not tell customers apart.
MOST_SHARING = 5
# More spellings than this of a label are no label; then none is shown.
MOST_SPELLINGS = 10
# Only what is short, has no digits and is frequent is shown: the rest may be a debtor's name,
# as where rows are shifted.
LONGEST_SPELLING = 12
LEAST_SPELT = 5
LEAST_SPELT_SHARE = 0.01


def read(
    source: str,
    contract: Contract,
    *,
    query: str | None = None,
    renamed: Mapping[str, str] | None = None,
    allow: Collection[str] = (),
    date: str | None = None,
    key: str | None = None,
    most_rows: int = MOST_ROWS,
    seed: int = 0,
    today: Date,
) -> tuple[Rows, Data, tuple[Finding, ...]]:
    """The rows of a table that can be learnt from, where they come from, and the findings.

    ``renamed`` gives the table's names of columns by the contract's, ``allow`` the columns whose
    allowable findings are accepted. ``date`` and ``key`` name columns of the table: the
    contract's where ``None``, none at all where ``""``. Findings that stop the training come
    first; where the heading alone has one, nothing was read and there are no rows. Of more than
    ``most_rows`` rows, a sample of whole customers is kept, the same for the same ``seed``; all
    counts but those of repeated rows are of the whole table. Raises ``delimited.TableError`` for
    what is no table and ``OSError``.
    """
    table = open_table(source, query)
    columns, findings = headings.resolve(
        table.heading, contract, renamed=renamed or {}, allow=allow, date=date, key=key
    )
    if columns is None:
        data = Data(table.source, table.sha256, rows=0, used=0, faults={})
        return _no_rows(contract), data, _sorted(findings)
    sample = Sample(most_rows)
    tally = _gather(table, columns, contract, sample, seed, today)
    rows, cut = sample.rows()
    if columns.key is None:
        rows = _copies_together(rows, contract)
    findings += _told(tally, columns, contract, allow)
    findings += inspect(rows, contract, allow=allow, has_key=columns.key is not None)
    if cut:
        text = (
            f"De {_count(tally.rows)} filas se aprende de una muestra de {_count(len(rows))}, con "
            "todas las de cada cliente"
        )
        findings.append(Finding("muestra", "", text))
    counts = {f"{name} {code}": count for (name, code), count in sorted(tally.faults.items())}
    filled = tally.fills.shares()
    data = Data(table.source, table.sha256, tally.rows, len(rows), counts, cut, filled)
    return rows, data, _sorted(findings)


@dataclass(slots=True)
class _Tally:
    """What was seen of a whole table, row by row."""

    fills: Fills
    points: Points
    rows: int = 0
    unlabelled: int = 0
    strange: int = 0
    spellings: Counter[str] = field(default_factory=Counter)
    labelled: int = 0
    undated: int = 0
    future: int = 0
    keyless: int = 0
    unreadable: int = 0
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)


def _copies_together(rows: Rows, contract: Contract) -> Rows:
    """Where nobody says whose a row is, equal rows count as one customer's if nobody else has
    their numbers: a copy on the other side of a split would give its label away.

    Not where many rows share the same numbers, or there are only categories: then different
    customers have equal rows, and each row stands alone.
    """
    table = rows.table(contract, "raw")
    names = [p.feature for p in contract.parameters if not p.is_category]
    _, numbers, sharing = _equal(table[names])
    if len(sharing) * MOST_SHARING < len(rows):
        return rows
    firsts, alike, equal = _equal(table)
    copies = equal[alike] == sharing[numbers]
    return replace(rows, groups=np.where(copies, rows.groups[firsts][alike], rows.groups))


def _equal(table: pd.DataFrame) -> tuple[Places, Places, Places]:
    """The first row of each kind of equal rows, the kind of each row, and the rows of each kind;
    without columns all rows are equal."""
    if not len(table.columns):
        table = table.assign(none=0)
    seen = pd.util.hash_pandas_object(table, index=False).to_numpy()
    _, firsts, kinds, counts = np.unique(
        seen, return_index=True, return_inverse=True, return_counts=True
    )
    return firsts, kinds, counts


def _gather(
    table: Table, columns: Columns, contract: Contract, sample: Sample, seed: int, today: Date
) -> _Tally:
    """Fill ``sample`` block by block; nothing else of a block is kept but what is counted."""
    tally, features = _Tally(Fills(contract), Points(contract)), Features(contract)
    sample.add(_no_rows(contract, dated=columns.date is not None))
    for block in table.blocks(columns.names):
        labels, strange = labelling.labels(block[columns.label], contract)
        count, first = len(labels), tally.rows
        tally.rows += count
        tally.unlabelled += int((labels == NO_LABEL).sum())
        tally.strange += int((labels == STRANGE).sum())
        if len(tally.spellings) <= MOST_SPELLINGS:
            tally.spellings += strange
        wanted = labels >= 0
        tally.labelled += int(wanted.sum())
        usable, days = wanted.copy(), None
        if columns.date is not None:
            days = labelling.days(block[columns.date])
            usable &= ~np.isnat(days)
            tally.undated += int((wanted & np.isnat(days)).sum())
            tally.future += int((wanted & (days > np.datetime64(today))).sum())
        texts = {name: block[column] for name, column in columns.parameters.items()}
        tally.points.add(texts)
        values, found = features.read_many(texts)
        bad = np.zeros(count, dtype=bool)
        for row, fault in found:
            if wanted[row]:
                bad[row] = True
                tally.faults[contract.parameter(fault.parameter).feature, fault.code] += 1
        tally.unreadable += int(bad.sum())
        keys = None if columns.key is None else labelling.keys(block[columns.key], contract)
        if keys is not None:
            tally.keyless += int((wanted & (np.array(keys, dtype=object) == "")).sum())
        rows = Rows(values, labels, hashes(keys, first, count, seed), days)
        kept = np.flatnonzero(usable & ~bad)
        tally.fills.add(texts, values, kept)
        sample.add(rows.take(kept))
    return tally


def _told(
    tally: _Tally, columns: Columns, contract: Contract, allow: Collection[str]
) -> list[Finding]:
    """The findings about rows that were left out, and about days to come."""
    found = []
    label = columns.label
    if tally.strange:
        found.append(_strange(label, tally, contract))
    if tally.unlabelled:
        text = f"Hay {_rows(tally.unlabelled, tally.rows)} sin etiqueta en {label}: no se usan"
        found.append(Finding("sin_etiqueta", label, text))
    if columns.date is not None and tally.undated:
        text = (
            f"La columna {columns.date} tiene {_rows(tally.undated, tally.labelled)} sin fecha "
            "legible (DD/MM/AAAA, AAAA-MM-DD o AAAAMMDD): "
        )
        fatal = tally.undated > MOST_UNREADABLE * tally.labelled
        text += f"son {TOO_MANY}" if fatal else "no se usan"
        found.append(Finding("fecha_ilegible", columns.date, text, fatal=fatal))
    if columns.date is not None and tally.future:
        fatal = columns.date not in allow
        todo = f"corríjalas o, si es así, confírmelo con --allow {columns.date}"
        text = (
            f"La columna {columns.date} tiene {_rows(tally.future, tally.labelled)} con fecha "
            f"posterior a hoy: {todo if fatal else ACCEPTED}"
        )
        found.append(Finding("fecha_futura", columns.date, text, fatal=fatal, allowable=True))
    if columns.key is not None and tally.keyless:
        text = (
            f"La columna {columns.key} tiene {_rows(tally.keyless, tally.labelled)} sin cliente: "
            "cada una cuenta como un cliente distinto, y las que sean del mismo no van juntas"
        )
        found.append(Finding("sin_cliente", columns.key, text))
    return [*found, *_thousands(tally, contract, allow), *_unreadable(tally, contract, allow)]


def _strange(label: str, tally: _Tally, contract: Contract) -> Finding:
    spellings = tally.spellings.most_common()
    told = [f"«{shown(text)}» ({n})" for text, n in spellings if _showable(text, n, tally.rows)]
    hidden = sum(n for text, n in spellings if not _showable(text, n, tally.rows))
    if hidden:
        told.append(f"otros textos, que no se muestran ({hidden})")
    what = ", ".join(told)
    if len(spellings) > MOST_SPELLINGS:  # the values of another column, perhaps a debtor's
        what = f"más de {MOST_SPELLINGS} textos distintos, como los de otra columna"
    known = ", ".join(sorted(contract.positive) + sorted(contract.negative))
    text = (
        f"La etiqueta {label} tiene {_rows(tally.strange, tally.rows)} con valores que el "
        f"contrato no conoce: {what}. El contrato conoce {known}"
    )
    return Finding("etiqueta_desconocida", label, text, fatal=True)


def _showable(text: str, count: int, rows: int) -> bool:
    plain = len(text) <= LONGEST_SPELLING and not any(letter.isdigit() for letter in text)
    return plain and count >= max(LEAST_SPELT, LEAST_SPELT_SHARE * rows)


def _thousands(tally: _Tally, contract: Contract, allow: Collection[str]) -> list[Finding]:
    found = []
    for name, count in tally.points.suspects(tally.rows).items():
        parameter = contract.parameter(name)
        fatal = not allowed(parameter, allow)
        todo = f"quítelos, o confirme que son decimales con --allow {parameter.feature}"
        text = (
            f"La columna {parameter.feature} parece escrita con puntos de millar (1.234) en "
            f"{_rows(count, tally.rows)}: {todo if fatal else ACCEPTED}"
        )
        code = "puntos_de_millar"
        found.append(Finding(code, parameter.feature, text, fatal=fatal, allowable=True))
    return found


def _unreadable(tally: _Tally, contract: Contract, allow: Collection[str]) -> list[Finding]:
    """One finding per column and kind of fault, fatal where too many rows have any; and one per
    column that has too many by itself."""
    fatal = tally.unreadable > MOST_UNREADABLE * tally.labelled
    known = {p.feature: p for p in contract.parameters}
    found = []
    for (name, code), count in tally.faults.most_common():
        why = faults.sentence(
            code, name, "es", admits=known[name].admits(), own=contract.own_faults
        )
        text = f"El contrato no lee {_rows(count, tally.labelled)}: {why}"
        if fatal:
            text += f". En total no se leen {_rows(tally.unreadable, tally.labelled)}, {TOO_MANY}"
        found.append(Finding("filas_ilegibles", name, text, fatal=fatal))
    for name, parameter in known.items():
        codes = {code: n for (column, code), n in tally.faults.items() if column == name}
        if sum(codes.values()) > MOST_UNREADABLE_OF_COLUMN * tally.labelled:
            stops = not allowed(parameter, allow)
            todo = f"corríjala o, si esas filas sobran, confírmelo con --allow {name}"
            text = (
                f"La columna {name} no se lee en {_rows(sum(codes.values()), tally.labelled)}, "
                f"más del {spanish.percent(MOST_UNREADABLE_OF_COLUMN, 0)} "
                f"({', '.join(sorted(codes))}): {todo if stops else ACCEPTED}"
            )
            found.append(Finding("columna_ilegible", name, text, fatal=stops, allowable=True))
    return found


def _rows(part: int, whole: int) -> str:
    return f"{_count(part)} filas ({spanish.percent(part / whole, 1)})"


def _count(number: int) -> str:
    return spanish.number(number, 0)


def _no_rows(contract: Contract, *, dated: bool = False) -> Rows:
    kinds = {p.name: object if p.is_category else np.float64 for p in contract.parameters}
    return Rows(
        values={name: np.empty(0, dtype=kind) for name, kind in kinds.items()},
        labels=np.empty(0, dtype=np.int64),
        groups=np.empty(0, dtype=np.int64),
        days=np.empty(0, dtype="datetime64[D]") if dated else None,
    )


def _sorted(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """What stops the training first, then what the person accepted, then the rest."""
    return tuple(sorted(findings, key=lambda one: (not one.fatal, not one.allowable)))
