"""Files that old library versions really wrote are served with those versions' own answers.

The environments are made by uv, and the files are kept between runs in the user's cache folder.
"""

from __future__ import annotations

import numpy as np
import pytest
from compiled_models import answers
from old_environments import COLUMNS, ROWS_PY, files_of

from propensia.admission import graph, parity, reader
from propensia.admission.compiler import compile_model

pytestmark = pytest.mark.slow

SCIKIT_LEARN = {
    "1.1.3": ["scikit-learn==1.1.3", "numpy<1.24", "scipy<1.11", "pandas<2", "joblib<1.3"],
    "1.2.2": ["scikit-learn==1.2.2", "numpy<1.24", "scipy<1.11", "pandas<2", "joblib<1.3"],
    "1.3.2": ["scikit-learn==1.3.2", "numpy<1.27", "scipy<1.12", "pandas<2.2"],
    "1.4.2": ["scikit-learn==1.4.2", "numpy<2", "scipy<1.14", "pandas<2.3"],
    "1.7.2": ["scikit-learn==1.7.2", "numpy<2.4", "scipy<1.17", "pandas<3"],
}
FAMILIES = {
    "forest": "RandomForestClassifier",
    "search": "RandomizedSearchCV(RandomForestClassifier)",
    "extra": "ExtraTreesClassifier",
    "tree": "DecisionTreeClassifier",
    "logistic": "Pipeline(StandardScaler, LogisticRegression)",
    "multinomial": "Pipeline(MinMaxScaler, LogisticRegression)",
}

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


@pytest.mark.parametrize("version", SCIKIT_LEARN)
def test_what_an_old_scikit_learn_wrote_answers_as_it_did(version: str) -> None:
    folder = files_of(SCIKIT_LEARN[version], SCIKIT_LEARN_PY)
    for name, family in FAMILIES.items():
        root = reader.read((folder / f"{name}.pkl").read_bytes())
        result = compile_model(root, COLUMNS, frozenset({"1"}), frozenset({"0"}))
        with np.load(folder / f"{name}.npz") as golden:
            rows, expected = golden["x"], golden["p"]
        got = answers(result, rows)
        assert np.abs(got - expected).max() <= 1e-12, name
        decided = np.abs(expected - 0.5) > 1e-12
        assert ((got >= 0.5) == (expected >= 0.5))[decided].all(), name
        assert result.family == family
        graph.check(result.onnx, len(COLUMNS))
        assert result.libraries == {"scikit-learn": version}
        assert result.named_columns
        assert version in parity.reference(root, result).reason
