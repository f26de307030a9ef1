"""What its owner must know of labelled rows before anything is learnt from them.

It changes no row, and its sentences hold names and counts, never a value of a row.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from propensia import spanish
from propensia.contract import Contract, Parameter
from propensia.training import leaks, splitting
from propensia.training.results import ACCEPTED, Finding
from propensia.training.rows import Rows

# With fewer, the folds hold a handful of positives and every figure is luck.
LEAST_ROWS = 200
LEAST_OF_A_CLASS = 30
LEAST_CUSTOMERS = 50
LEAK = 0.98
SUSPECT = 0.90
PARTS = {
    "data": "lo que tiene dato",
    "no_data": "lo que no tiene dato",
    "value": "uno de sus valores",
}


def inspect(
    rows: Rows, contract: Contract, *, allow: Collection[str], has_key: bool
) -> list[Finding]:
    """All findings about rows that could be read; leaks are looked for where there are enough."""
    short = _too_few(rows, contract, has_key)
    findings = [*short, *_constant(rows, contract)]
    if not short:
        findings += _leaks(rows, contract, allow)
        findings += _without_cut(rows)
    return [*findings, *_repeated(rows, has_key)]


def allowed(parameter: Parameter, allow: Collection[str]) -> bool:
    """Whether the person said that this column may stay, by either of its names."""
    return parameter.feature in allow or parameter.name in allow


def _too_few(rows: Rows, contract: Contract, has_key: bool) -> list[Finding]:
    label, count, positives = contract.label_column, len(rows), int(rows.labels.sum())
    words = {1: contract.positive_name["es"], 0: contract.negative_name["es"]}
    found = []
    if count < LEAST_ROWS:
        text = f"Hay {count} filas útiles; hacen falta al menos {LEAST_ROWS}"
        found.append(Finding("pocas_filas", "", text, fatal=True))
    if count and positives in (0, count):
        text = (
            f"Todas las filas son de la misma clase, «{words[int(positives > 0)]}»: sin casos de "
            f"«{words[int(positives == 0)]}» no hay nada que aprender"
        )
        found.append(Finding("una_clase", label, text, fatal=True))
    elif count and min(positives, count - positives) < LEAST_OF_A_CLASS:
        fewest = int(positives < count - positives)
        text = (
            f"Hay {min(positives, count - positives)} filas de «{words[fewest]}»; hacen falta "
            f"al menos {LEAST_OF_A_CLASS} de cada clase"
        )
        found.append(Finding("pocos_casos", label, text, fatal=True))
    customers = len(np.unique(rows.groups))
    if has_key and count >= LEAST_ROWS and customers < LEAST_CUSTOMERS:
        text = (
            f"Las {_count(count)} filas son de {customers} clientes; hacen falta al menos "
            f"{LEAST_CUSTOMERS}. Compruebe que la columna de cliente (--key) es la suya"
        )
        found.append(Finding("pocos_clientes", "", text, fatal=True))
    return found


def _constant(rows: Rows, contract: Contract) -> list[Finding]:
    text = "La columna {} vale siempre lo mismo: no enseña nada"
    found = [
        Finding("columna_constante", p.feature, text.format(p.feature))
        for p in contract.parameters
        if len(rows) and _one_value(rows, p)
    ]
    if found and len(found) == len(contract.parameters):
        text = (
            "Todas las columnas del contrato valen siempre lo mismo: no hay nada que aprender. "
            "Revise la extracción"
        )
        found.append(Finding("nada_que_aprender", "", text, fatal=True))
    return found


def _one_value(rows: Rows, parameter: Parameter) -> bool:
    values = rows.values[parameter.name]
    if parameter.is_category:
        return bool((values == values[0]).all())
    return bool(np.isnan(values).all() or (values == values[0]).all())


def _leaks(rows: Rows, contract: Contract, allow: Collection[str]) -> list[Finding]:
    found = []
    aucs, sides = leaks.single_auc(rows), leaks.one_sided(rows)
    for parameter in contract.parameters:
        name, auc = parameter.feature, aucs[parameter.name]
        told = f"La columna {name} sola casi adivina la etiqueta (AUC {spanish.number(auc, 3)})"
        if auc >= LEAK:
            fatal = not allowed(parameter, allow)
            todo = (
                "parece anotada después del resultado. Quítela del contrato o, si se conoce "
                f"antes, confírmelo con --allow {name}"
            )
            text = f"{told}: {todo if fatal else ACCEPTED}"
            found.append(Finding("fuga", name, text, fatal=fatal, allowable=True))
        elif auc >= SUSPECT:
            text = f"{told}: compruebe que se conoce antes del resultado"
            found.append(Finding("fuga_posible", name, text))
        elif side := sides.get(parameter.name):
            answer = contract.positive_name if side.positive else contract.negative_name
            text = (
                f"La columna {name} delata a una parte: {PARTS[side.part]}, "
                f"{_count(side.rows)} filas, es casi solo de «{answer['es']}». Compruebe que se "
                "conoce antes del resultado"
            )
            found.append(Finding("fuga_posible", name, text))
    return found


def _without_cut(rows: Rows) -> list[Finding]:
    if rows.days is None or splitting.hold_out(rows, splitting.HELD_OUT) is not None:
        return []
    text = (
        "Las fechas no dejan apartar las filas más nuevas (pocos días, o los mismos clientes "
        "todos los meses, y sin ellos cambiaría la tasa): la evaluación no será por tiempo"
    )
    return [Finding("sin_corte", "", text)]


def _repeated(rows: Rows, has_key: bool) -> list[Finding]:
    found = []
    if has_key:
        counts = np.bincount(rows.groups)
        again = int((counts > 1).sum())
        if again:
            text = (
                f"{_count(again)} clientes tienen más de una fila "
                f"({_count(int(counts[counts > 1].sum()))} en total): las de cada uno van siempre "
                "juntas"
            )
            found.append(Finding("clientes_repetidos", "", text))
    table = pd.DataFrame({**rows.values, "": rows.labels})
    if has_key:
        table[" group"] = rows.groups
    if rows.days is not None:
        table[" day"] = rows.days.astype("datetime64[s]")
    copies = int(table.duplicated().sum())
    if copies:
        text = (
            f"{_count(copies)} filas ({spanish.percent(copies / len(rows), 1)}) son copia exacta "
            "de otra: si no son casos distintos, quítelas, porque cuentan dos veces"
        )
        found.append(Finding("filas_repetidas", "", text))
    return found


def _count(number: int) -> str:
    return spanish.number(number, 0)
