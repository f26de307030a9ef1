"""The optional ``NAME.json`` beside ``NAME.pkl``: what the analyst knows about the model.

A wrong sidecar refuses the model; silence in it is reported, never guessed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from propensia.admission.refusal import Refusal

# Kept with the version as they were told: figures, distributions, and where it all comes from.
TOLD = (
    "metricas",
    "calibracion",
    "referencia",
    "versiones",
    "datos",
    "semilla",
    "entrenamiento",
)
KEYS = frozenset(
    {
        "umbral",
        "tasa_entrenamiento",
        "tasa_real",
        "filas_doradas",
        "huella_contrato",
        "columnas",
        *TOLD,
    }
)
MOST_GOLDEN = 10_000
MOST_COLUMNS = 10_000
DEEPEST = 20
MOST_IGNORED = 20
RAREST = 1e-6  # closer to 0 or 1, correcting for a rate divides by next to nothing
LIMIT_BYTES = 1 << 20  # it is kept in the manifest, which every process reads


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What a sidecar says; ``None`` and empty where it says nothing.

    ``golden``: pairs of parameter texts by name and the probability expected, in [0, 1].
    ``columns``: the names of what the model takes, in its order.
    """

    threshold: float | None = None
    training_rate: float | None = None
    real_rate: float | None = None
    golden: tuple[tuple[dict[str, str], float], ...] = ()
    contract: str | None = None
    columns: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    told: dict[str, Any] = field(default_factory=dict)

    def unknown(self, own_threshold: bool = False) -> list[str]:
        """What nobody said, in sentences for the report; ``own_threshold``: the model did."""
        sentences = []
        if self.threshold is None:
            whose = "que trae el modelo" if own_threshold else "del contrato"
            sentences.append(f"No hay umbral en la ficha: se usa el {whose}.")
        if self.training_rate is None or self.real_rate is None:
            sentences.append(
                "No se sabe con qué tasa de pago se entrenó: las probabilidades no se corrigen."
            )
        if not self.golden:
            sentences.append("No hay filas doradas: no se ha comparado con resultados esperados.")
        if "metricas" not in self.told:
            sentences.append("No hay métricas del entrenamiento en la ficha.")
        if "referencia" not in self.told:
            sentences.append("No hay distribuciones de entrenamiento en la ficha.")
        return sentences


def read(data: bytes | None) -> Sidecar:
    """The sidecar in ``data``; an empty one for ``None``. Raises ``Refusal``."""
    if data is None:
        return Sidecar()
    try:
        table = json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant)
        # 1e999 and lone surrogates are read, but the manifest could not be written with them.
        json.dumps(table, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise Refusal("ficha_no_valida", "no es JSON en UTF-8", "it is not UTF-8 JSON") from error
    if not isinstance(table, dict):
        raise Refusal("ficha_no_valida", "debe ser un objeto {…}", "it must be an object {…}")
    _check_depth(table)
    training, real = _rate(table, "tasa_entrenamiento"), _rate(table, "tasa_real")
    return Sidecar(
        threshold=_share(table, "umbral"),
        training_rate=training if real is not None else None,
        real_rate=real if training is not None else None,
        golden=_golden(table.get("filas_doradas")),
        contract=_text(table, "huella_contrato"),
        columns=_columns(table.get("columnas")),
        ignored=tuple(sorted(str(key)[:40] for key in table.keys() - KEYS)[:MOST_IGNORED]),
        told={key: table[key] for key in TOLD if key in table},
    )


def _check_depth(table: dict[str, Any]) -> None:
    """Refuses a table that another reader, deeper in its own calls, could not read any more."""
    level: list[Any] = [table]
    for _ in range(DEEPEST):
        inner = [list(one.values()) if isinstance(one, dict) else one for one in level]
        level = [item for one in inner for item in one if isinstance(item, dict | list)]
        if not level:
            return
    raise Refusal(
        "ficha_no_valida", f"tiene más de {DEEPEST} niveles", f"it has more than {DEEPEST} levels"
    )


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _share(table: dict[str, Any], key: str) -> float | None:
    value = table.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Refusal("ficha_no_valida", f"{key} va de 0 a 1", f"{key} runs from 0 to 1")
    return float(value)


def _rate(table: dict[str, Any], key: str) -> float | None:
    value = _share(table, key)
    if value is not None and not RAREST <= value <= 1 - RAREST:
        raise Refusal(
            "ficha_no_valida",
            f"{key} debe estar entre {RAREST:g} y {1 - RAREST:g}",
            f"{key} must lie between {RAREST:g} and {1 - RAREST:g}",
        )
    return value


def _text(table: dict[str, Any], key: str) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise Refusal("ficha_no_valida", f"{key} es un texto", f"{key} is a text")
    return value


def _columns(names: Any) -> tuple[str, ...]:
    if names is None:
        return ()
    listed = isinstance(names, list) and 0 < len(names) <= MOST_COLUMNS
    if not listed or not all(isinstance(name, str) for name in names):
        raise Refusal(
            "ficha_no_valida",
            'columnas es una lista de nombres, como ["EDAD", "IMPORTE"]',
            'columnas is a list of names, such as ["EDAD", "IMPORTE"]',
        )
    return tuple(names)


def _golden(rows: Any) -> tuple[tuple[dict[str, str], float], ...]:
    if rows is None:
        return ()
    shape = Refusal(
        "ficha_no_valida",
        'filas_doradas es una lista de {"parametros": {…}, "probabilidad": 0.5}',
        'filas_doradas is a list of {"parametros": {…}, "probabilidad": 0.5}',
    )
    if not isinstance(rows, list) or len(rows) > MOST_GOLDEN:
        raise shape
    golden = []
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("parametros"), dict):
            raise shape
        expected = row.get("probabilidad")
        if isinstance(expected, bool) or not isinstance(expected, int | float):
            raise shape
        if not 0 <= expected <= 1:
            raise shape
        texts = {str(k): "" if v is None else str(v) for k, v in row["parametros"].items()}
        golden.append((texts, float(expected)))
    return tuple(golden)
