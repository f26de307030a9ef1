"""The original library's own answers, to compare a compiled model with.

Nothing is ever unpickled, and no configuration of a file is given to a library: estimators are
built from nodes and layers that the compiler has checked, by exact class names.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from propensia.admission.compiler import Compiled
from propensia.admission.parity.asked import Predict, installed, minor
from propensia.admission.parity.estimators import materialise
from propensia.admission.refusal import Refusal

__all__ = ["Predict", "Reference", "materialise", "reference"]

# By the name under which the compiler notes a library: what people call it, and the packages that
# must be there (one of each group).
_NAMES = {"keras": "Keras", "xgboost": "XGBoost", "lightgbm": "LightGBM"}
_PACKAGES: dict[str, list[tuple[str, ...]]] = {
    "keras": [("keras",), ("tensorflow",)],
    "xgboost": [("xgboost", "xgboost-cpu")],
}
# What opens files in older ones has known faults (CVE-2025-1550 among them).
_OLDEST_KERAS = (3, 9)


@dataclass(frozen=True, slots=True)
class Reference:
    """The original library as a function, or the reason why it cannot be asked.

    ``predict`` takes contract columns, double (n, k), and gives the probability of the positive
    class, double (n,); it raises ``Refusal`` where the library fails. ``library`` is its name and
    version, empty when there is none; ``reason`` and ``reason_en`` are a sentence in Spanish and
    in English where there is none, else empty. ``failed``: the library is here, in a version that
    should answer, and does not.
    """

    predict: Predict | None
    library: str = ""
    reason: str = ""
    reason_en: str = ""
    failed: bool = False


def reference(root: object, compiled: Compiled) -> Reference:
    """The original library's answers for the model that ``compiled`` was made from."""
    told = []
    for library, written in compiled.libraries.items():
        name, version = _NAMES.get(library, library), _version(library)
        if not version:
            return _not_installed(name)
        if not _fits(library, minor(written), minor(version)):
            return _other_version(name, written, version)
        told.append(f"{library} {version}")
    asked = ", ".join(told)
    try:
        answer = _answer(root, compiled)
        # A row of zeros shows whether what was built answers at all.
        answer(np.zeros((1, len(compiled.order))))
    except MemoryError:
        raise
    except Exception as error:  # odd attributes meet the library's own code: any class may come
        return _not_accepted(asked, error)

    def predict(rows: np.ndarray) -> np.ndarray:
        try:
            return answer(rows)
        except MemoryError:
            raise
        except Exception as error:  # any class of the library's own; told as a refusal
            name = f"{asked} ({type(error).__name__})"
            raise Refusal(
                "paridad_no_alcanzada", f"{name} no responde", f"{name} does not answer"
            ) from error

    return Reference(predict, library=asked)


def _answer(root: object, compiled: Compiled) -> Predict:
    model = materialise(root)
    return lambda rows: np.asarray(
        model.predict_proba(_as_trained(rows, compiled))[:, compiled.positive], np.float64
    ).reshape(len(rows))


def _as_trained(rows: np.ndarray, compiled: Compiled) -> np.ndarray:
    """Rows in the order of training, and with texts where the graph has their places."""
    columns = [compiled.inputs[place] for place in compiled.order]
    arranged = rows[:, list(compiled.order)]
    if all(column.texts is None for column in columns):
        return arranged
    mixed = arranged.astype(object)
    for place, column in enumerate(columns):
        if column.texts is not None:
            texts = np.array([*column.texts, np.nan], dtype=object)
            codes = np.nan_to_num(arranged[:, place], nan=len(column.texts))
            mixed[:, place] = texts[codes.astype(np.int64)]
    return mixed


def _version(library: str) -> str:
    """The version of a library that is here with all it needs, or nothing."""
    groups: list[tuple[str, ...]] = _PACKAGES.get(library, [(library,)])
    found = [next(filter(None, map(installed, group)), "") for group in groups]
    return found[0] if all(found) else ""


def _fits(library: str, written: tuple[int, ...], version: tuple[int, ...]) -> bool:
    """Whether the installed version answers as the one that wrote the file."""
    if library == "keras":
        return written[:1] == (3,) and _OLDEST_KERAS <= version < (4,)
    if library == "scikit-learn":
        return written == version
    # Boosters are kept in a format that every later version reads and answers alike; LightGBM
    # tells no more than the format, so any version will do.
    return written <= version


def _not_installed(library: str) -> Reference:
    return Reference(
        None,
        reason=f"{library} no está instalado aquí.",
        reason_en=f"{library} is not installed here.",
    )


def _other_version(library: str, written: str, version: str) -> Reference:
    return Reference(
        None,
        reason=f"El fichero es de {library} {written}; aquí está la versión {version}.",
        reason_en=f"The file is of {library} {written}; version {version} is here.",
    )


def _not_accepted(library: str, error: Exception) -> Reference:
    name = type(error).__name__
    return Reference(
        None,
        reason=f"{library} no admite lo que dice el fichero ({name}).",
        reason_en=f"{library} does not accept what the file says ({name}).",
        failed=True,
    )
