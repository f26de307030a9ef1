"""The sandbox for a family that the reader does not know: loaded, converted, and compared.

It runs only where the setting ``unknown_models`` says so, for one file, in a process of its own
that ``propensia.confinement`` has shut into the folder. It never loads a name outside the list of
``loading``, and never lets a file through without a comparison.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from propensia import contract as contracts
from propensia import files, sampling
from propensia.admission import converted, loading, reader, results
from propensia.admission.families import INSIDE
from propensia.admission.families.attributes import binary_classes, pair_of, short_name, texts
from propensia.admission.ladder import Check, Remark, climb
from propensia.admission.nodes import Node, walk
from propensia.admission.parity.asked import installed
from propensia.admission.reading import agreed, agreement, told_columns
from propensia.admission.refusal import Refusal, shown
from propensia.admission.results import Reading
from propensia.confinement import MINIMUM
from propensia.decision import Decision
from propensia.features import Matrix
from propensia.scorer import Scorer

ROWS = 2_000
TOLERANCE = 1e-5
_PIPELINE = ("sklearn.pipeline", "Pipeline")
# The converter's usual way for neighbours is a loop inside the graph, which is not let through.
_NEIGHBOURS = {"KNeighborsClassifier", "RadiusNeighborsClassifier"}


@dataclass(slots=True)
class Case:
    """One file on its way through this ladder; the checks fill it in."""

    data: bytes
    contract: contracts.Contract
    limit_bytes: int
    rule: Decision
    layers: list[str]
    told: tuple[str, ...] = ()
    root: Node | None = None
    label: str = ""
    place: int = 1
    order: tuple[int, ...] = ()
    model: Any = None
    theirs: Matrix = field(default_factory=lambda: np.zeros(0))
    onnx: bytes = b""
    parity: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> Matrix:
        """Rows of the contract, double (n, k), the columns in the order of the model."""
        return sampling.rows(self.contract, ROWS, seed=1)


def shut_in(case: Case) -> None:
    """El recinto está cerrado: sin otras carpetas, programas ni red."""
    missing = ", ".join(sorted(MINIMUM.difference(case.layers)))
    if missing:
        raise Refusal(
            "no_convertido",
            f"en esta máquina le faltan barreras al recinto ({missing})",
            f"on this machine the sandbox lacks barriers ({missing})",
        )


def listed(case: Case) -> Remark:
    """Solo nombra clases de la lista de las que se pueden cargar en el recinto."""
    root = reader.read(case.data, limit_bytes=case.limit_bytes)
    loading.check_names(root)
    if isinstance(root, Node) and pair_of(root) in INSIDE:
        root = root.attributes().get(INSIDE[pair_of(root)])
    if not isinstance(root, Node):
        raise Refusal("no_es_un_modelo", type(root).__name__)
    case.root, case.label = root, short_name(_classifier(root))
    return Remark(
        "aviso",
        f"La familia {case.label} no se sabe leer: su biblioteca la carga y la convierte aquí, en "
        "el recinto, por el ajuste unknown_models. De las demás no se ejecuta nada.",
    )


def binary_classifier(case: Case) -> None:
    """Es un clasificador entrenado de dos clases, las del contrato."""
    assert case.root is not None
    first, second = binary_classes(_classifier(case.root))
    positive, negative = case.contract.positive, case.contract.negative
    if first in negative and second in positive:
        case.place = 1
    elif first in positive and second in negative:
        case.place = 0
    else:
        raise Refusal("clases_distintas", f"{shown(first)}, {shown(second)}")


def contract_columns(case: Case) -> Remark | None:
    """Las columnas del modelo son las del contrato, por su nombre."""
    columns = case.contract.column_names
    named = {
        texts(node, "feature_names_in_")
        for node in walk(case.root)
        if isinstance(node, Node) and "feature_names_in_" in node.attributes()
    }
    case.order = tuple(range(len(columns)))
    same = told_columns(case.told, columns, in_order=not named)
    if not named and same:
        return Remark("bien", "Usa las columnas del contrato: la ficha las nombra por su orden.")
    if not named:
        return Remark(
            "aviso",
            "El fichero no trae nombres de columnas: se toman por su orden en el contrato.",
        )
    names = named.pop()
    if named or sorted(names) != sorted(columns):
        told = ", ".join(map(shown, names[:20]))
        raise Refusal("columnas_distintas", told)
    case.order = tuple(columns.index(name) for name in names)
    return None


def loads(case: Case) -> None:
    """Su biblioteca lo admite, y da probabilidades."""

    def answer() -> Matrix:
        case.model = loading.load(case.root)
        if not hasattr(case.model, "predict_proba"):
            raise Refusal(
                "no_es_clasificador_binario",
                f"{case.label} no da probabilidades; envuélvalo en CalibratedClassifierCV",
                f"{case.label} gives no probabilities; wrap it in CalibratedClassifierCV",
            )
        chances = np.asarray(case.model.predict_proba(case.rows[:, case.order]), np.float64)
        if chances.shape != (ROWS, 2) or not np.isfinite(chances).all():
            raise ValueError("no probabilities of two classes")
        return chances[:, case.place]

    case.theirs = _tried(case, "no lo admite scikit-learn", "scikit-learn refuses it", answer)


def converts(case: Case) -> None:
    """El conversor lo traduce a ONNX, con las operaciones de su lista, y da lo mismo."""
    skl2onnx = _converter(case)
    # A double graph where the converter can: neighbours that are almost as near change in float.
    found: Refusal | None = None
    for dtype in (np.float64, np.float32):
        try:
            case.onnx = _converted(case, skl2onnx, dtype)
            case.parity = _compared(case)
            agreed(case.parity, TOLERANCE)
            return
        except Refusal as refusal:
            worse = found is not None and refusal.code != "paridad_no_alcanzada"
            found = found if worse else refusal
    assert found is not None
    raise found


def same_as_original(case: Case) -> Remark:
    """Da las probabilidades de la biblioteca que lo hizo."""
    return agreed(case.parity, TOLERANCE)


CHECKS = [
    Check("recinto cerrado", shut_in),
    Check("familia en el recinto", listed),
    Check("clasificador de dos clases", binary_classifier),
    Check("columnas del contrato", contract_columns),
    Check("se carga", loads),
    Check("se convierte", converts),
    Check("igual que el original", same_as_original),
]


def _classifier(root: Node) -> Node:
    """The last step of a pipeline, or the estimator itself."""
    node = root
    for _ in range(10):
        if pair_of(node) != _PIPELINE:
            return node
        steps = node.attributes().get("steps")
        last = steps[-1] if isinstance(steps, list) and steps else None
        if not isinstance(last, tuple) or len(last) != 2 or not isinstance(last[1], Node):
            break
        node = last[1]
    raise Refusal("no_entrenado", "Pipeline")


def _converter(case: Case) -> Any:
    try:
        return importlib.import_module("skl2onnx")
    except ImportError as error:
        install = "uv sync --group converters"
        raise Refusal(
            "no_convertido",
            f"{case.label} sin skl2onnx, que se instala con «{install}»",
            f"{case.label} without skl2onnx, which is installed by “{install}”",
        ) from error


def _converted(case: Case, skl2onnx: Any, dtype: type) -> bytes:
    """The model as ONNX in that arithmetic, checked by the rules for converted ones."""

    def convert() -> bytes:
        model = loading.load(case.root)
        options: dict[int, dict[str, Any]] = {
            id(part): {"optim": "cdist"}
            for part in _parts(model)
            if type(part).__name__ in _NEIGHBOURS
        }
        options.setdefault(id(model), {})["zipmap"] = False
        example: np.ndarray = np.zeros((1, len(case.order)), dtype)
        versions = dict(converted.OPSETS)
        proto = skl2onnx.to_onnx(model, example, options=options, target_opset=versions)
        return converted.wrapped(proto, len(case.order), case.order, case.place)

    onnx: bytes = _tried(case, "no lo admite el conversor", "the converter refuses it", convert)
    try:
        converted.check(onnx, len(case.order))
    except Refusal as error:  # not the file's doing, so not a reason to suspect it
        raise Refusal(
            "no_convertido",
            f"{case.label}: {error.detail}",
            f"{case.label}: {error.detail_en}",
        ) from error
    return onnx


def _compared(case: Case) -> dict[str, Any]:
    def score() -> Matrix:
        return Scorer(case.onnx, files.sha256(case.onnx)).many(case.rows)

    ours = _tried(case, "la conversión no responde", "the conversion does not answer", score)
    library = f"scikit-learn {installed('scikit-learn')}"
    return {"library": library, **agreement(ours, case.theirs, case.rule, TOLERANCE)}


def _parts(model: Any) -> list[Any]:
    """The estimators inside an estimator, itself first."""
    found: dict[int, Any] = {}
    waiting = [model]
    while waiting:
        part = waiting.pop()
        if id(part) in found:
            continue
        if isinstance(part, list | tuple):
            waiting.extend(part)
        elif hasattr(part, "get_params"):
            found[id(part)] = part
            waiting.extend(vars(part).values())
    return list(found.values())


def _tried(case: Case, spanish: str, english: str, action: Callable[[], Any]) -> Any:
    """What an action gives; whatever a library raises in it becomes a refusal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return action()
    except (Refusal, MemoryError):
        raise
    except Exception as error:  # odd attributes meet the library's own code: any class may come
        name = type(error).__name__
        raise Refusal(
            "no_convertido",
            f"{case.label}: {spanish} ({name})",
            f"{case.label}: {english} ({name})",
        ) from error


def main(folder: Path, layers: list[str]) -> None:
    """As ``reading.main``: from ``request.json`` and ``model.pkl`` to ``result.json`` and, for a
    good file, ``model.onnx``."""
    request = files.read_json(folder / "request.json")
    case = Case(
        data=files.read(folder / "model.pkl"),
        contract=contracts.load(request["contract"]),
        limit_bytes=request["unpacked_bytes"],
        rule=Decision(**request["rule"]),
        layers=layers,
        told=tuple(request["columns"]),
    )
    checks, refusal = climb(CHECKS, case)
    result = Reading(checks, refusal, layers, case.parity)
    if refusal is None:
        files.write(folder / "model.onnx", case.onnx, durable=False)
        result = replace(
            result,
            columns=list(case.contract.column_names),
            family=f"{case.label} (convertido en el recinto)",
            kind="sklearn",
            libraries={
                "scikit-learn": installed("scikit-learn"),
                "skl2onnx": installed("skl2onnx"),
            },
        )
    results.write(folder / "result.json", result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
