"""What old XGBoost and LightGBM versions really wrote is served with their own answers."""

from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np
import pytest
import xgboost
from compiled_models import answers
from old_environments import COLUMNS, ROWS_PY, files_of

from propensia.admission import graph, parity, reader
from propensia.admission.compiler import Compiled, compile_on
from propensia.admission.families.parts import Column

pytestmark = pytest.mark.slow

OLD = ["scikit-learn==1.2.2", "numpy<1.24", "scipy<1.11", "pandas<2", "joblib<1.3"]
NEWER = ["scikit-learn==1.4.2", "numpy<2", "scipy<1.14", "pandas<2.3", "joblib<1.5"]
XGBOOST = {
    "1.6.2": ["xgboost==1.6.2", "scikit-learn==1.1.3", *OLD[1:], "setuptools<70"],
    "1.7.6": ["xgboost==1.7.6", *OLD],
    "2.0.3": ["xgboost==2.0.3", *NEWER],
    "2.1.4": ["xgboost-cpu==2.1.4", *NEWER],
    "3.0.5": ["xgboost-cpu==3.0.5", "scikit-learn==1.6.1", "numpy<2.4", "pandas<3"],
}
LIGHTGBM = {
    "3.3.5": ["lightgbm==3.3.5", *OLD],
    "4.0.0": ["lightgbm==4.0.0", *NEWER],
    "4.3.0": ["lightgbm==4.3.0", *NEWER],
    "4.6.0": ["lightgbm==4.6.0", "scikit-learn==1.6.1", "numpy<2.4", "pandas<3"],
}
# Exponentials of another compiler may round the last bit of float32 otherwise.
CLOSE = {"xgboost": 2e-7, "lightgbm": 1e-14}

ROWS = (
    ROWS_PY
    + """
import pandas as pd
columns = [f"C{number:02}" for number in range(16)]
names = columns[3:] + columns[:3]
def shuffled(x):
    return pd.DataFrame(x, columns=columns)[names]
def holed(x):
    return np.where(np.random.default_rng(5).random(x.shape) < 0.15, np.nan, x)
wide = np.repeat(rows, 3, axis=0)[:11_000]
wide[:, :4] *= np.random.default_rng(6).lognormal(0, 1, (11_000, 4))
odd = np.array([-1, -0.5, 2.7, 9, 10, 31, 32, 63, 64, 1e6, 2.0**24, np.nan])
strange = np.repeat(rows[:40], len(odd), axis=0)
strange[:, 4] = strange[:, 7] = np.tile(odd, 40)
y = labels[:1500]
def keep(name, model, x, given=None, predict=None):
    given = x if given is None else given
    p = predict(given) if predict else model.predict_proba(given)[:, 1]
    np.savez(out / (name + ".npz"), x=x, p=p)
    joblib.dump(model, out / (name + ".pkl"))
def beside(splits):
    blocks = [wide]
    low, high = np.float32(-np.inf), np.float32(np.inf)
    for number, (column, exact) in enumerate(splits):
        near = np.float32(exact)
        values = [exact, np.nextafter(exact, np.inf), np.nextafter(exact, -np.inf),
                  near, np.nextafter(near, high), np.nextafter(near, low)]
        block = wide[number * 6 % 9000:][:6].copy()
        block[:, column] = values
        blocks.append(block)
    return np.concatenate(blocks)
"""
)
XGBOOST_PY = (
    ROWS
    + """
import xgboost
from xgboost import XGBClassifier, XGBRFClassifier
def fit(x=rows, **settings):
    given = dict(n_estimators=40, max_depth=5, n_jobs=1, tree_method="hist")
    given.update(settings)
    return XGBClassifier(**given).fit(x[:1500], y)
def at_splits(model):
    frame = model.get_booster().trees_to_dataframe()
    inner = frame[frame.Feature != "Leaf"].head(200)
    return beside([(int(name[1:]), float(split))
                   for name, split in zip(inner.Feature, inner.Split)])
trees = {"hist": {}, "exact": dict(tree_method="exact", gamma=2),
         "base": dict(base_score=0.9, learning_rate=0.05),
         "many": dict(n_estimators=400, learning_rate=0.05)}
for name, settings in trees.items():
    model = fit(**settings)
    keep(name, model, at_splits(model))
keep("named", XGBClassifier(n_estimators=20).fit(shuffled(rows[:1500]), y), wide, shuffled(wide))
keep("dart", fit(booster="dart", rate_drop=0.3, base_score=0.8), wide)
keep("softprob", fit(objective="multi:softprob", num_class=2), wide)
keep("linear", XGBClassifier(booster="gblinear", n_jobs=1).fit(rows[:1500], y), wide)
keep("forest", XGBRFClassifier(n_estimators=60, n_jobs=1).fit(rows[:1500], y), wide)
keep("missing", fit(holed(rows), missing=-1.0),
     np.where(np.isnan(holed(wide)), np.where(wide > 5, -1.0, np.nan), wide))
stopped = XGBClassifier(n_estimators=300, learning_rate=0.3, early_stopping_rounds=5, n_jobs=1)
stopped.fit(rows[:1500], y, eval_set=[(rows[1500:], labels[1500:])], verbose=False)
assert stopped.best_iteration + 1 < stopped.get_booster().num_boosted_rounds()
keep("stopped", stopped, wide)
kinds = ["q"] * 4 + ["c"] * 12
method = "approx" if xgboost.__version__ < "1.7" else "hist"
given = dict(objective="binary:logistic", tree_method=method, max_depth=4, nthread=1)
for name, onehot in (("onehot", 100), ("partition", 1)):
    given["max_cat_to_onehot"] = onehot
    def matrix(x, y=None):
        return xgboost.DMatrix(x, y, feature_types=kinds, enable_categorical=True)
    x = np.concatenate([wide, strange])
    model = xgboost.train(given, matrix(holed(rows[:1500]), y), 25)
    wrapper = None
    if method == "hist":
        wrapper = XGBClassifier(feature_types=kinds, enable_categorical=True)
    if wrapper is not None:
        wrapper.set_params(tree_method="hist", max_cat_to_onehot=onehot, n_estimators=25)
        keep(name, wrapper.fit(holed(rows[:1500]), y), x)
    else:
        wrapper = XGBClassifier(objective="binary:logistic", enable_categorical=True)
        wrapper._Booster, wrapper.n_classes_ = model, 2
        wrapper.feature_types = kinds
        keep(name, wrapper, x, predict=lambda x: model.predict(matrix(x)))
"""
)
LIGHTGBM_PY = (
    ROWS
    + """
import lightgbm
from lightgbm import LGBMClassifier
def fit(x=rows, **settings):
    given = dict(n_estimators=40, num_leaves=20, n_jobs=1, verbose=-1)
    given.update(settings)
    return LGBMClassifier(**given).fit(x[:1500], y)
def at_splits(model):
    frame = model.booster_.trees_to_dataframe()
    inner = frame[frame.left_child.notna()].head(200)
    return beside([(int(name[7:]), float(split))
                   for name, split in zip(inner.split_feature, inner.threshold)])
boosting = {"gbdt": {}, "dart": dict(boosting_type="dart"), "sigmoid": dict(sigmoid=2.5),
            "forest": dict(boosting_type="rf", subsample=0.6, subsample_freq=1),
            "entropy": dict(objective="cross_entropy"), "stumps": dict(num_leaves=2)}
for name, settings in boosting.items():
    model = fit(**settings)
    keep(name, model, at_splits(model))
# The wrappers of these versions forget that there are two columns already.
softmax = fit(objective="multiclass", num_class=2)
keep("softmax", softmax, wide, predict=lambda x: softmax.booster_.predict(x)[:, 1])
keep("single", fit(min_child_samples=1499), wide)
keep("missing", fit(holed(rows)), holed(wide))
keep("zeros", fit(zero_as_missing=True), np.concatenate([wide, holed(wide)]))
keep("none", fit(use_missing=False), holed(wide))
named = LGBMClassifier(n_estimators=20, n_jobs=1, verbose=-1).fit(shuffled(rows[:1500]), y)
keep("named", named, wide, shuffled(wide))
frame = pd.DataFrame(rows, columns=columns)
def coded(x):
    frame = pd.DataFrame(x, columns=columns)
    for column in ("C04", "C07"):
        frame[column] = pd.Categorical(frame[column])
    return frame
model = LGBMClassifier(n_estimators=20, n_jobs=1, verbose=-1, min_data_per_group=5)
keep("frame", model.fit(coded(rows[:1500][rows[:1500, 4] != 3]), y[rows[:1500, 4] != 3]),
     wide, coded(wide))
codes = LGBMClassifier(n_estimators=20, n_jobs=1, verbose=-1, min_data_per_group=5, cat_smooth=1)
keep("codes", codes.fit(holed(rows[:1500]), y, categorical_feature=[4, 7]),
     np.concatenate([wide, strange]))
stopped = LGBMClassifier(n_estimators=300, n_jobs=1, verbose=-1)
stopped.fit(rows[:1500], y, eval_set=[(rows[1500:], labels[1500:])],
            callbacks=[lightgbm.early_stopping(5, verbose=False)])
assert stopped.best_iteration_ < 300
keep("stopped", stopped, wide)
bare = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(rows[:1500], y), 20)
bare.best_iteration = 7
from sklearn.calibration import CalibratedClassifierCV
calibrated = CalibratedClassifierCV(LGBMClassifier(n_estimators=9, n_jobs=1, verbose=-1), cv=2)
keep("calibrated", calibrated.fit(rows[:1500], y), wide)
keep("bare", bare, wide, predict=bare.predict)
"""
)


def check(folder: Path, library: str, installed: str) -> dict[str, Compiled]:
    """Every file in the folder answers as its old library did, and as the installed one does."""
    results = {}
    for path in sorted(folder.glob("*.pkl")):
        root = reader.read(path.read_bytes())
        inputs = tuple(Column(name, missing=True) for name in COLUMNS)
        result = compile_on(root, inputs, frozenset({"1"}), frozenset({"0"}))
        with np.load(path.with_suffix(".npz")) as golden:
            rows, expected = golden["x"], golden["p"].astype(np.float64)
        assert len(rows) >= 10_000
        got = answers(result, rows)
        assert np.abs(got - expected).max() <= CLOSE[library], path.stem
        decided = np.abs(expected - 0.5) > 1e-6
        assert ((got >= 0.5) == (expected >= 0.5))[decided].all(), path.stem
        graph.check(result.onnx, len(COLUMNS))
        results[path.stem] = result
        told = parity.reference(root, result)
        if "scikit-learn" in result.libraries:  # of another version than the installed one
            assert told.predict is None
            continue
        assert told.library == f"{library} {installed}", told.reason
        assert told.predict is not None
        # The installed version may send a code that is no category elsewhere than the old one.
        usual = rows[:10_000]
        assert np.abs(told.predict(usual) - expected[:10_000]).max() <= 2e-7, path.stem
    return results


@pytest.mark.parametrize("version", XGBOOST)
def test_what_an_old_xgboost_wrote_answers_as_it_did(version: str) -> None:
    folder = files_of(XGBOOST[version], XGBOOST_PY)
    results = check(folder, "xgboost", xgboost.__version__)
    assert len(results) == 13
    assert {result.libraries["xgboost"] for result in results.values()} == {version}
    assert results["named"].named_columns and results["named"].order[0] == 3


@pytest.mark.parametrize("version", LIGHTGBM)
def test_what_an_old_lightgbm_wrote_answers_as_it_did(version: str) -> None:
    folder = files_of(LIGHTGBM[version], LIGHTGBM_PY)
    results = check(folder, "lightgbm", lightgbm.__version__)
    assert len(results) == 17
    formats = {result.libraries["lightgbm"] for result in results.values()}
    assert formats == {"v3" if version < "4" else "v4"}
    assert results["named"].named_columns and results["named"].order[0] == 3
