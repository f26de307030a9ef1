"""What an old scikit-learn runs to write boostings and baggings, and its own answers to them.

The text is run in the environment of that version, where nothing of Propensia is installed: it
writes NAME.pkl and, beside it, NAME.npz with rows ``x`` and probabilities ``p``.
"""

from __future__ import annotations

COLUMNS = tuple(f"C{number:02}" for number in range(16))

SCIKIT_LEARN_ENSEMBLES_PY = """
import inspect, sys, warnings
from pathlib import Path
import joblib, numpy as np, pandas as pd, sklearn
warnings.simplefilter("ignore")
from sklearn.ensemble import (AdaBoostClassifier, BaggingClassifier, GradientBoostingClassifier,
                              HistGradientBoostingClassifier, RandomForestClassifier)
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

out = Path(sys.argv[1])
columns = [f"C{number:02}" for number in range(16)]
random = np.random.default_rng(11)
rows = np.column_stack([random.lognormal(4, 1, (4000, 4)).round(2),
                        random.integers(0, 10, (4000, 12))]).astype(float)
labels = (np.log(rows[:, 0] + 1) + rows[:, 5] / 3 + (rows[:, 7] % 3 == 1)
          + random.normal(size=4000) > 6).astype(int)
version = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
base = "estimator" if version >= (1, 2) else "base_estimator"
discrete = {"algorithm": "SAMME"} if version < (1, 6) else {}
stump = DecisionTreeClassifier(max_depth=2, random_state=0)
logistic = LogisticRegression(max_iter=3000)
models = {
    "gradient": GradientBoostingClassifier(n_estimators=60, subsample=0.8, random_state=0),
    "gradient_exponential": GradientBoostingClassifier(
        loss="exponential", n_estimators=30, random_state=0),
    "gradient_zero": GradientBoostingClassifier(n_estimators=20, init="zero", random_state=0),
    "gradient_init": GradientBoostingClassifier(
        n_estimators=20, init=logistic, random_state=0),
    "gradient_sure": GradientBoostingClassifier(
        n_estimators=10, init=RandomForestClassifier(2, random_state=0), random_state=0),
    "histogram": HistGradientBoostingClassifier(max_iter=60, random_state=0),
    "histogram_stopped": HistGradientBoostingClassifier(
        max_iter=60, early_stopping=True, max_leaf_nodes=15, random_state=0),
    "histogram_categories": HistGradientBoostingClassifier(
        max_iter=40, categorical_features=[7, 12, 5], random_state=0),
    "ada": AdaBoostClassifier(n_estimators=30, random_state=0, **discrete),
    "ada_deeper": AdaBoostClassifier(
        **{base: stump}, n_estimators=30, learning_rate=0.5, random_state=0, **discrete),
    "bagging": BaggingClassifier(
        **{base: DecisionTreeClassifier(max_depth=6, random_state=0)}, n_estimators=12,
        max_samples=0.7, max_features=0.6, random_state=0),
    "bagging_logistic": BaggingClassifier(
        **{base: logistic}, n_estimators=4, max_features=5, random_state=0),
}
if version < (1, 6):
    models["ada_real"] = AdaBoostClassifier(n_estimators=20, algorithm="SAMME.R", random_state=0)
    models["ada_real_logistic"] = AdaBoostClassifier(
        **{base: logistic}, n_estimators=5, algorithm="SAMME.R", random_state=0)
try:
    from imblearn.ensemble import (BalancedBaggingClassifier, BalancedRandomForestClassifier,
                                   EasyEnsembleClassifier, RUSBoostClassifier)
except ImportError:
    pass
else:
    told = inspect.signature(RUSBoostClassifier.__init__).parameters
    discrete = {"algorithm": "SAMME"} if "algorithm" in told else {}
    models["balanced_forest"] = BalancedRandomForestClassifier(
        n_estimators=20, max_depth=6, sampling_strategy="all", replacement=True,
        bootstrap=False, random_state=0)
    models["balanced_bagging"] = BalancedBaggingClassifier(n_estimators=5, random_state=0)
    models["easy"] = EasyEnsembleClassifier(n_estimators=4, random_state=0)
    models["rus"] = RUSBoostClassifier(n_estimators=12, random_state=0, **discrete)


def splits(value, shift=None):
    # Column and threshold of every split of the trees inside a model.
    if hasattr(value, "tree_"):
        tree = value.tree_
        for node in np.flatnonzero(tree.children_left >= 0)[:40]:
            column = tree.feature[node]
            yield (column if shift is None else shift[column]), tree.threshold[node]
    elif hasattr(value, "_predictors"):
        if getattr(value, "is_categorical_", None) is None:
            for (tree,) in value._predictors[:20]:
                for node in tree.nodes[tree.nodes["is_leaf"] == 0][:40]:
                    yield node["feature_idx"], node["num_threshold"]
    elif hasattr(value, "estimators_"):
        places = getattr(value, "estimators_features_", None)
        inside = value.estimators_
        inside = inside.ravel() if isinstance(inside, np.ndarray) else inside
        for number, inner in enumerate(inside[:20]):
            if hasattr(inner, "steps"):
                inner = inner.steps[-1][1]
            yield from splits(inner, None if places is None else places[number])


def write(name, model, frame, target, missing=False):
    model.fit(frame[:1500], target[:1500])
    checked, random = [frame.to_numpy()[1500:]], np.random.default_rng(12)
    for column, exact in splits(model):
        near, high = np.float32(exact), np.float32(np.inf)
        block = frame.to_numpy()[random.integers(0, len(frame), 6)]
        block[:, column] = [exact, np.nextafter(exact, np.inf), np.nextafter(exact, -np.inf),
                            near, np.nextafter(near, high), np.nextafter(near, -high)]
        checked.append(block[np.isfinite(block[:, column])])
    x = np.concatenate(checked)[:12000]
    p = model.predict_proba(pd.DataFrame(x, columns=columns))[:, 1]
    np.savez(out / (name + ".npz"), x=x, p=p)
    joblib.dump(model, out / (name + ".pkl"))


frame = pd.DataFrame(rows, columns=columns)
for name, model in models.items():
    write(name, model, frame, labels)
holed = frame.mask(random.random(frame.shape) < 0.1)
target = labels ^ (holed["C01"].isna() & (random.random(4000) < 0.6)).to_numpy(int)
write("histogram_missing", HistGradientBoostingClassifier(max_iter=40, random_state=0),
      holed, target)
write("histogram_missing_categories", HistGradientBoostingClassifier(
    max_iter=40, categorical_features=[5, 7], random_state=0), holed, target)
"""
