"""What stands around a classifier: pipelines, and searches for the best settings.

Only the steps and the best estimator count; what a search remembers of its trials is never read.
"""

from __future__ import annotations

from dataclasses import replace

from propensia.admission.families.attributes import fitted, short_name
from propensia.admission.families.parts import Chance, Flow, Workshop
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal


def pipeline(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """Transformers one after the other, then a classifier."""
    *before, last = steps(node)
    labels = []
    for step in before:
        flow = shop.transformer(step, flow)
        labels.append(flow.label)
    chance = shop.classifier(last, flow)
    label = f"{short_name(node)}({', '.join([*labels, chance.label])})"
    return replace(chance, label=label)


def search(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """The best estimator of a finished search, which must have been refitted."""
    chance = shop.classifier(fitted(node, "best_estimator_"), flow)
    return replace(chance, label=f"{short_name(node)}({chance.label})")


def steps(node: Node) -> list[object]:
    """The estimators of a pipeline in order, without the steps that do nothing."""
    listed = fitted(node, "steps")
    if not isinstance(listed, list) or not all(
        isinstance(step, tuple | list) and len(step) == 2 for step in listed
    ):
        raise Refusal(
            "no_entrenado", f"{short_name(node)} sin pasos", f"{short_name(node)} without steps"
        )
    estimators = [step[1] for step in listed]
    kept = [step for step in estimators if not (step is None or _is_passthrough(step))]
    if not kept or kept[-1] is not estimators[-1]:
        raise Refusal(
            "no_es_clasificador_binario",
            f"{short_name(node)} no termina en un clasificador",
            f"{short_name(node)} does not end in a classifier",
        )
    return kept


def _is_passthrough(step: object) -> bool:
    return isinstance(step, str) and step == "passthrough"


_SEARCHES = (
    ("sklearn.model_selection._search", "GridSearchCV"),
    ("sklearn.model_selection._search", "RandomizedSearchCV"),
)
CLASSIFIERS = {
    ("sklearn.pipeline", "Pipeline"): pipeline,
    **dict.fromkeys(_SEARCHES, search),
}
INSIDE = dict.fromkeys(_SEARCHES, "best_estimator_")
