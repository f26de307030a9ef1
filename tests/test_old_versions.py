"""Files that old library versions really wrote are served with those versions' own answers.

The environments are made by uv, and the files are kept between runs in the user's cache folder.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from compiled_models import answers
from old_environments import COLUMNS, ROWS_PY, folders_of
from old_scripts.scikit_learn_ensembles import SCIKIT_LEARN_ENSEMBLES_PY
from old_scripts.scikit_learn_transformers import NUMBERS, SCIKIT_LEARN_TRANSFORMERS_PY, TEXTS

from propensia.admission import graph, parity, reader
from propensia.admission.compiler import Compiled, compile_on
from propensia.admission.families.parts import Column, plain

pytestmark = pytest.mark.slow

SCIKIT_LEARN = {
    "1.1.3": ["numpy<1.24", "scipy<1.11", "pandas<2", "joblib<1.3", "imbalanced-learn==0.10.1"],
    "1.2.2": ["numpy<1.24", "scipy<1.11", "pandas<2", "joblib<1.3", "imbalanced-learn==0.10.1"],
    "1.4.2": ["numpy<2", "scipy<1.14", "pandas<2.3", "imbalanced-learn==0.12.4"],
    "1.6.1": ["numpy<2.3", "scipy<1.16", "pandas<2.3", "imbalanced-learn==0.13.0"],
}
FAMILIES = {
    "forest": "RandomForestClassifier",
    "search": "RandomizedSearchCV(RandomForestClassifier)",
    "extra": "ExtraTreesClassifier",
    "tree": "DecisionTreeClassifier",
    "logistic": "Pipeline(StandardScaler, LogisticRegression)",
    "multinomial": "Pipeline(MinMaxScaler, LogisticRegression)",
}
# Beyond the plain ones: a linear first model of a boosting is asked in float32 by its library.
CLOSE, LESS_CLOSE = 1e-12, 1e-6

SCIKIT_LEARN_PY = (
    ROWS_PY
    + """
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier
columns = [f"C{number:02}" for number in range(16)]
frame = pd.DataFrame(rows, columns=columns)
seed = dict(n_estimators=200, max_depth=11, min_samples_split=5, bootstrap=False)
models = {
    "forest": RandomForestClassifier(random_state=0, **seed),
    "search": RandomizedSearchCV(
        RandomForestClassifier(random_state=0),
        {"n_estimators": list(range(10, 60, 10)), "max_depth": list(range(6, 12)),
         "min_samples_split": [5, 10], "min_samples_leaf": [1, 2, 4], "bootstrap": [True, False]},
        n_iter=3, cv=3, random_state=123),
    "extra": ExtraTreesClassifier(20, max_depth=9, random_state=0),
    "tree": DecisionTreeClassifier(max_depth=9, random_state=0),
    "logistic": make_pipeline(StandardScaler(), LogisticRegression()),
    "multinomial": make_pipeline(MinMaxScaler(), LogisticRegression(multi_class="multinomial")),
}
for name, model in models.items():
    model.fit(frame[:1500], labels[:1500])
    checked = [rows[1500:]]
    inner = getattr(model, "best_estimator_", model)
    random = np.random.default_rng(12)
    for tree in getattr(inner, "estimators_", [inner])[:10]:
        if not hasattr(tree, "tree_"):
            break
        t = tree.tree_
        for node in np.flatnonzero(t.children_left >= 0)[:60]:
            exact = t.threshold[node]
            near = np.float32(exact)
            high, low = np.float32(np.inf), np.float32(-np.inf)
            values = [exact, np.nextafter(exact, np.inf), np.nextafter(exact, -np.inf),
                      near, np.nextafter(near, high), np.nextafter(near, low)]
            block = rows[random.integers(0, 4000, len(values))]
            block[:, t.feature[node]] = values
            checked.append(block)
    x = np.concatenate(checked)
    p = model.predict_proba(pd.DataFrame(x, columns=columns))[:, 1]
    np.savez(out / (name + ".npz"), x=x, p=p)
    joblib.dump(model, out / (name + ".pkl"), compress=3 if name == "search" else 0)
"""
)


SCRIPTS = {
    "plain": SCIKIT_LEARN_PY,
    "ensembles": SCIKIT_LEARN_ENSEMBLES_PY,
    "transformers": SCIKIT_LEARN_TRANSFORMERS_PY,
    "wrappers": (Path(__file__).parent / "old_scripts" / "scikit_learn_wrappers.py").read_text(
        encoding="utf-8"
    ),
}
RAW = tuple(Column(name, TEXTS.get(name)) for name in (*TEXTS, *NUMBERS))


@pytest.fixture(scope="module", params=SCIKIT_LEARN)
def written(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """A version, and the folder with what its scripts wrote."""
    version: str = request.param
    requirements = [f"scikit-learn=={version}", *SCIKIT_LEARN[version]]
    return version, folders_of(requirements, SCRIPTS)


def check(folder: Path, name: str, inputs: tuple[Column, ...], version: str) -> Compiled:
    """Compile a file and compare it with the answers of the library that wrote it."""
    root = reader.read((folder / f"{name}.pkl").read_bytes())
    with np.load(folder / f"{name}.npz") as golden:
        rows, expected = golden["x"], golden["p"]
    holes = zip(inputs, np.isnan(rows).any(axis=0), strict=True)
    inputs = tuple(replace(column, missing=bool(missing)) for column, missing in holes)
    result = compile_on(root, inputs, frozenset({"1"}), frozenset({"0"}))
    got = answers(result, rows)
    tolerance = CLOSE if name in FAMILIES else LESS_CLOSE
    assert np.abs(got - expected).max() <= tolerance, name
    decided = np.abs(expected - 0.5) > tolerance
    assert ((got >= 0.5) == (expected >= 0.5))[decided].all(), name
    graph.check(result.onnx, len(inputs))
    assert result.libraries == {"scikit-learn": version}, name
    assert result.named_columns, name
    assert version in parity.reference(root, result).reason, name
    return result


@pytest.mark.parametrize("script", ["plain", "ensembles", "wrappers", "transformers"])
def test_what_an_old_scikit_learn_wrote_answers_as_it_did(
    written: tuple[str, Path], script: str
) -> None:
    version, folder = written
    names = sorted(path.stem for path in (folder / script).glob("*.pkl"))
    assert len(names) >= len(FAMILIES)
    for name in names:
        inputs = RAW if script == "transformers" else plain(COLUMNS)
        result = check(folder / script, name, inputs, version)
        if script == "plain":
            assert result.family == FAMILIES[name]
