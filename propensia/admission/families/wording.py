"""How a refusal tells names: which columns differ, and lists that do not run on without end.

It never decides whether anything is refused.
"""

from __future__ import annotations

from propensia.admission.refusal import Refusal, shown

_NAMES_SHOWN = 20


def different_columns(given: tuple[str, ...], wanted: tuple[str, ...]) -> Refusal:
    """The refusal of a model trained on other columns than the given ones."""
    expected, found = set(given), set(wanted)
    missing = listed([name for name in given if name not in found])
    surplus = listed([name for name in wanted if name not in expected])
    if not missing and not surplus:
        surplus = listed([name for name in given if wanted.count(name) > 1])
    spanish = [f"faltan {missing}"] * bool(missing) + [f"sobran {surplus}"] * bool(surplus)
    english = [f"missing {missing}"] * bool(missing) + [f"not expected {surplus}"] * bool(surplus)
    return Refusal("columnas_distintas", "; ".join(spanish), "; ".join(english))


def listed(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = f" … (+{len(names) - _NAMES_SHOWN})" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(shown(name) for name in names[:_NAMES_SHOWN]) + more
