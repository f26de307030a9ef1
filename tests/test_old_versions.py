"""Files that old library versions really wrote are served with those versions' own answers.

The environments are made by uv, and the files are kept between runs in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from compiled_models import answers

from propensia.admission import graph, parity, reader
from propensia.admission.compiler import compile_model

pytestmark = pytest.mark.slow

COLUMNS = tuple(f"C{number:02}" for number in range(16))
SCIKIT_LEARN = {
    "1.1.3": ["scikit-learn==1.1.3", "numpy<1.24", "scipy<1.11", "pandas<2", "joblib<1.3"],
    "1.2.2": ["scikit-learn==1.2.2", "numpy<1.24", "scipy<1.11", "pandas<2", "joblib<1.3"],
    "1.3.2": ["scikit-learn==1.3.2", "numpy<1.27", "scipy<1.12", "pandas<2.2"],
    "1.4.2": ["scikit-learn==1.4.2", "numpy<2", "scipy<1.14", "pandas<2.3"],
    "1.7.2": ["scikit-learn==1.7.2", "numpy<2.4", "scipy<1.17", "pandas<3"],
}
KERAS = ["tensorflow==2.12.*", "joblib<1.3"]
FAMILIES = {
    "forest": "RandomForestClassifier",
    "search": "RandomizedSearchCV(RandomForestClassifier)",
    "extra": "ExtraTreesClassifier",
    "tree": "DecisionTreeClassifier",
    "logistic": "Pipeline(StandardScaler, LogisticRegression)",
    "multinomial": "Pipeline(MinMaxScaler, LogisticRegression)",
}

ROWS_PY = """
import sys, warnings
from pathlib import Path
import joblib, numpy as np
warnings.simplefilter("ignore")
out = Path(sys.argv[1])
random = np.random.default_rng(11)
rows = np.column_stack([random.lognormal(4, 1, (4000, 4)).round(2),
                        random.integers(0, 10, (4000, 12))]).astype(float)
labels = (np.log(rows[:, 0] + 1) + rows[:, 5] / 3 + random.normal(size=4000) > 5.7).astype(int)
"""
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
KERAS_PY = (
    ROWS_PY
    + """
import tensorflow as tf
keras = tf.keras
layers = keras.layers
scaled = (rows - rows.mean(0)) / rows.std(0)
model = keras.Sequential([
    layers.Dense(27, activation="relu", input_shape=(16,)), layers.Dropout(0.2),
    layers.Dense(352, activation="relu", name="second"), layers.Dropout(0.2),
    layers.Dense(480, activation="relu"), layers.Dense(1, activation="sigmoid")])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
model.fit(scaled[:1500], labels[:1500], epochs=2, verbose=0)
x = np.concatenate([scaled, scaled[:200] * 50])
np.savez(out / "network.npz", x=x, p=model(x.astype("float32"), training=False).numpy()[:, 0])
joblib.dump(model, out / "network.pkl")
"""
)


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "propensia-tests"


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def files_of(requirements: list[str], script: str) -> Path:
    """The folder with the files that a script wrote in an environment of its own."""
    key = hashlib.sha256("\n".join([*requirements, script]).encode()).hexdigest()[:16]
    folder = cache_folder() / key
    if folder.is_dir():
        return folder
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not on the path: no environment with an old library can be made")
    work = folder.with_name(f"{key}.{os.getpid()}")
    (work / "files").mkdir(parents=True)
    python = work / "env" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    try:
        run([uv, "venv", "--quiet", "--python", "3.11", str(work / "env")])
        run([uv, "pip", "install", "--quiet", "--python", str(python), *requirements])
        (work / "write.py").write_text(script, encoding="utf-8")
        run([str(python), str(work / "write.py"), str(work / "files")])
        (work / "files").rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


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


def test_what_keras_2_12_wrote_answers_as_it_did() -> None:
    folder = files_of(KERAS, KERAS_PY)
    root = reader.read((folder / "network.pkl").read_bytes())
    result = compile_model(root, COLUMNS, frozenset({"1"}), frozenset({"0"}))
    with np.load(folder / "network.npz") as golden:
        rows, expected = golden["x"], golden["p"]
    got = answers(result, rows)
    assert np.abs(got - expected).max() <= 1e-5
    decided = np.abs(expected - 0.5) > 1e-5
    assert ((got >= 0.5) == (expected >= 0.5))[decided].all()
    assert result.family == "Keras Sequential 27/352/480/1"
    graph.check(result.onnx, len(COLUMNS))
    assert result.libraries == {"keras": "2.12.0"}
    assert parity.reference(root, result).predict is None
