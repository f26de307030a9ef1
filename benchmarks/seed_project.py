"""`python -m benchmarks seed`: the seed project's recipe as it was, and its models judged well.

Written from the published facts, mistakes included; all rows are generated, none is a person's.
It must never mend the recipe: what is honest stands beside it.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from imblearn.over_sampling import SMOTE
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split

from benchmarks import seed_report
from benchmarks.rows import COLUMNS
from benchmarks.seed_report import Figures
from benchmarks.training import keep_to
from benchmarks.verdicts import Chances, Labels
from propensia import contract as contracts
from propensia import stats, synthetic
from propensia.features import Features

_WHOLE = ("ESCENARIO_RECOBRO", "PORTADO", "VPT", "ESTADO_CLIENTE", "VAP_SCF", "VAP_OB", "BAJA")
"""The columns that are `int` in the recipe's matrix: SMOTE cuts its new points back to that."""

_WATCHED = 0.2
"""Share of the network's training part that it only watches; it learns from the first rows."""

_OTHER_TABLE = 100_000
"""Added to a table's seed: the table of debtors that come after the model was made."""

Predictor = Callable[[pd.DataFrame], Chances]


@dataclass(frozen=True, slots=True)
class Rows:
    """n debtors: the 16 columns, labels 0 and 1, and the true probability of each."""

    columns: pd.DataFrame
    labels: Labels
    truth: Chances

    def take(self, places: np.ndarray) -> "Rows":
        """The rows at `places`."""
        return Rows(self.columns.iloc[places], self.labels[places], self.truth[places])


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large everything is; the defaults are those of the recipe.

    `further`: debtors of another table that every model is judged on, besides its test part.
    """

    rows: int = 7_339
    further: int = 20_000
    trees: int = 500
    searched_trees: int = 200
    epochs: int = 48
    cores: int = 2


def debtors(count: int, seed: int) -> Rows:
    """Generated debtors, read and encoded by the contract: the recipe's constants are the same."""
    made = synthetic.generate(count, seed)
    contract = contracts.load("cobranza")
    texts = synthetic.texts(made)
    features = Features(contract)
    values, faults = features.read_many({p.name: texts[p.feature] for p in contract.parameters})
    if faults:
        raise ValueError(f"the contract cannot read a generated row: {faults[0]}")
    columns = pd.DataFrame(features.matrix(values), columns=list(COLUMNS))
    return Rows(columns.astype(dict.fromkeys(_WHOLE, np.int64)), made.paid, made.truth)


def base_forest(columns: pd.DataFrame, labels: Labels, sizes: Sizes, seed: int) -> Predictor:
    """Gini, depth 10; its seed was always 123."""
    forest = RandomForestClassifier(
        sizes.trees, max_depth=10, random_state=123, n_jobs=sizes.cores
    )
    return _of(forest.fit(columns, labels))


def searched_forest(columns: pd.DataFrame, labels: Labels, sizes: Sizes, seed: int) -> Predictor:
    """The best of its random search, the model that was served; it had no seed."""
    forest = RandomForestClassifier(
        sizes.searched_trees,
        max_depth=11,
        min_samples_split=5,
        bootstrap=False,
        random_state=seed,
        n_jobs=sizes.cores,
    )
    return _of(forest.fit(columns, labels))


def _of(forest: RandomForestClassifier) -> Predictor:
    return lambda columns: np.asarray(forest.predict_proba(columns)[:, 1], dtype=np.float64)


def network(columns: pd.DataFrame, labels: Labels, sizes: Sizes, seed: int) -> Predictor:
    """The tuned network; a fifth of its training part is only watched, as in the recipe."""
    # TensorFlow takes seconds to import, and only this recipe needs it.
    import keras

    keras.utils.set_random_seed(seed)
    hidden = [keras.layers.Dense(units, activation="relu") for units in (27, 352, 480)]
    model = keras.Sequential(
        [keras.Input((len(COLUMNS),)), *hidden, keras.layers.Dense(1, activation="sigmoid")]
    )
    model.compile(keras.optimizers.Adam(0.001), "binary_crossentropy")
    inputs = columns.to_numpy(np.float32)
    model.fit(
        inputs, labels, batch_size=32, epochs=sizes.epochs, validation_split=_WATCHED, verbose=0
    )

    def chances(columns: pd.DataFrame) -> Chances:
        answers = model.predict(columns.to_numpy(np.float32), batch_size=4096, verbose=0)
        return np.asarray(answers[:, 0], dtype=np.float64)

    return chances


MODELS = {"base": base_forest, "searched": searched_forest, "network": network}
"""The three models of the seed project."""


def balanced(rows: pd.DataFrame, labels: Labels, seed: int) -> tuple[pd.DataFrame, Labels]:
    """As many payers as others: SMOTE with its defaults. The recipe gave it no seed."""
    columns, both = SMOTE(random_state=seed).fit_resample(rows, labels)
    return columns, np.asarray(both, dtype=np.int64)


def judged(
    model: Predictor, columns: pd.DataFrame, labels: Labels, train_accuracy: float | None
) -> Figures:
    """The figures of a model on rows that are given with their labels."""
    chances = model(columns)
    return Figures(
        train_accuracy,
        _accuracy(chances, labels),
        float(roc_auc_score(labels, chances)),
        float(log_loss(labels, np.clip(chances, 1e-7, 1 - 1e-7))),
        float(brier_score_loss(labels, np.clip(chances, 0, 1))),
        stats.calibration_error(labels, chances)[0],
        float(chances.mean()),
        float(labels.mean()),
    )


def learnt(name: str, model: Predictor, columns: pd.DataFrame, labels: Labels) -> float:
    """The accuracy on the rows that a model was fitted to, out of its training part."""
    count = int(len(labels) * (1 - _WATCHED)) if name == "network" else len(labels)
    return _accuracy(model(columns[:count]), labels[:count])


def _accuracy(chances: Chances, labels: Labels) -> float:
    return float(np.mean((chances > 0.5) == labels))


def recipe(name: str, rows: Rows, further: Rows, sizes: Sizes, seed: int) -> dict[str, Figures]:
    """Balanced before the split, judged as it was; and that very model on further debtors."""
    columns, labels = balanced(rows.columns, rows.labels, seed)
    train, test, train_labels, test_labels = train_test_split(
        columns, labels, test_size=0.2, random_state=1
    )
    model = MODELS[name](train, train_labels, sizes, seed)
    return {
        "recipe": judged(model, test, test_labels, learnt(name, model, train, train_labels)),
        "recipe_new": judged(model, further.columns, further.labels, None),
    }


def honest(name: str, rows: Rows, further: Rows, sizes: Sizes, seed: int) -> dict[str, Figures]:
    """Split first, nothing made up in the test part; with and without balancing the rest.

    Each is judged on its test part and on the further debtors, and so is the truth.
    """
    places, kept = train_test_split(
        np.arange(len(rows.labels)), test_size=0.2, random_state=1, stratify=rows.labels
    )
    train, test = rows.take(places), rows.take(kept)
    found = {}
    for way in ("inside", "real"):
        columns, labels = train.columns, train.labels
        if way == "inside":
            columns, labels = balanced(columns, labels, seed)
        model = MODELS[name](columns, labels, sizes, seed)
        own = learnt(name, model, columns, labels)
        found[way] = judged(model, test.columns, test.labels, own)
        found[f"{way}_new"] = judged(model, further.columns, further.labels, None)
    for way, part in (("truth", test), ("truth_new", further)):
        found[way] = _ceiling(part)
    return found


def _ceiling(part: Rows) -> Figures:
    """What the probabilities that the labels were drawn from reach on these rows."""
    return judged(lambda _: part.truth, part.columns, part.labels, None)


def measure(
    names: Sequence[str], sizes: Sizes, seeds: Sequence[int], tell: Callable[[str], None]
) -> Mapping[str, Mapping[str, list[Figures]]]:
    """The figures of each model by way of judging, one of each seed: another table each time."""
    found: dict[str, dict[str, list[Figures]]] = {}
    for seed in seeds:
        rows = debtors(sizes.rows, seed)
        further = debtors(sizes.further, seed + _OTHER_TABLE)
        for name in names:
            tell(f"{name}, seed {seed} …")
            ways = recipe(name, rows, further, sizes, seed) | honest(
                name, rows, further, sizes, seed
            )
            for way, figures in ways.items():
                found.setdefault(name, {}).setdefault(way, []).append(figures)
    return found


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and write between the marks of a page. Returns 0."""
    asked = _arguments(arguments)
    keep_to(asked.cores)
    sizes = Sizes(rows=asked.rows, further=asked.further, cores=asked.cores)
    names = asked.model or list(MODELS)
    found = measure(names, sizes, range(1, asked.repeats + 1), partial(print, flush=True))
    text = seed_report.document(found, sizes.rows, sizes.further, asked.repeats)
    print(text)
    if asked.out:
        page = asked.out.read_text(encoding="utf-8")
        whole = seed_report.replaced(page, text)
        asked.out.write_text(whole, encoding="utf-8", newline="\n")
    return 0


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks seed", description=__doc__)
    parser.add_argument("--rows", type=int, default=Sizes().rows, help="debtors in a table")
    parser.add_argument(
        "--further", type=int, default=Sizes().further, help="debtors of the table to judge on"
    )
    parser.add_argument("--repeats", type=int, default=5, help="tables, each of another seed")
    parser.add_argument(
        "--model", action="append", choices=list(MODELS), help="one model; may be repeated"
    )
    parser.add_argument("--cores", type=int, default=Sizes().cores)
    parser.add_argument(
        "--out", type=Path, help="page with marks to write the tables between: docs/semilla.md"
    )
    return parser.parse_args(arguments)
