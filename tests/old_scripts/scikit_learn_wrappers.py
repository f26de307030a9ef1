"""Writes models of wrappers and of the other classifiers, with the answers of their own library.

It runs under scikit-learn 1.1 to 1.9, imbalanced-learn where it is installed, in an environment
of its own: it must never import anything of this program.

``python scikit_learn_wrappers.py FOLDER`` writes NAME.pkl and NAME.npz (``x`` rows, ``p`` the
probability of the second class, ``said`` whether the model itself says it) for each model.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import (
    LogisticRegression,
    PassiveAggressiveClassifier,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, HalvingRandomSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

COLUMNS = [f"C{number:02}" for number in range(16)]
VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])


def forest(trees=20):
    return RandomForestClassifier(trees, max_depth=6, random_state=0)


def scaled(model):
    return make_pipeline(StandardScaler(), model)


def models():
    logistic = "log_loss" if VERSION >= (1, 2) else "log"
    two = [("forest", forest()), ("linear", scaled(LogisticRegression()))]
    found = {
        "sgd_log": scaled(SGDClassifier(loss=logistic, random_state=0)),
        "sgd_huber": scaled(SGDClassifier(loss="modified_huber", alpha=0.1, random_state=0)),
        "sgd_average": scaled(SGDClassifier(loss=logistic, average=True, random_state=0)),
        "sparse": scaled(LogisticRegression(C=0.01, penalty="l1", solver="liblinear")),
        "discriminant": scaled(LinearDiscriminantAnalysis()),
        "gaussian": scaled(GaussianNB()),
        "gaussian_raw": GaussianNB(),
        "bernoulli": BernoulliNB(binarize=3.0),
        "multinomial": make_pipeline(MinMaxScaler(clip=True), MultinomialNB()),
        "complement": make_pipeline(MinMaxScaler(clip=True), ComplementNB()),
        "isotonic": CalibratedClassifierCV(forest(), method="isotonic", cv=3),
        "isotonic_linear": CalibratedClassifierCV(scaled(LogisticRegression()), method="isotonic"),
        "isotonic_once": CalibratedClassifierCV(forest(), method="isotonic", ensemble=False),
        "sigmoid": CalibratedClassifierCV(forest(), cv=3),
        "voting": VotingClassifier(
            [*two, ("dropped", "drop"), ("tree", DecisionTreeClassifier(max_depth=5))],
            voting="soft",
            weights=[2, 1.5, 7, 1],
        ),
        "voting_equal": VotingClassifier(two, voting="soft"),
        "stacking": StackingClassifier(two, cv=3),
        "stacking_passthrough": StackingClassifier(
            [("forest", forest()), ("out", "drop"), ("ridge", scaled(RidgeClassifier()))],
            final_estimator=scaled(LogisticRegression()),
            passthrough=True,
            cv=3,
        ),
        "stacking_said": StackingClassifier(two, stack_method="predict", cv=3),
        "one_rest": OneVsRestClassifier(scaled(LogisticRegression())),
        "halving": HalvingGridSearchCV(
            scaled(LogisticRegression()), {"logisticregression__C": [0.1, 1.0]}, cv=3
        ),
        "halving_random": HalvingRandomSearchCV(
            DecisionTreeClassifier(random_state=0),
            {"max_depth": [3, 4, 5]},
            cv=3,
            random_state=0,
        ),
        "search": GridSearchCV(
            CalibratedClassifierCV(forest(5), method="isotonic", cv=2),
            {"method": ["sigmoid", "isotonic"]},
            cv=2,
            scoring=make_scorer(f1_score),
        ),
    }
    for name, model in {
        "svc": LinearSVC(random_state=0),
        "ridge": RidgeClassifier(),
        "ridge_cv": RidgeClassifierCV(),
        "perceptron": Perceptron(random_state=0),
        "aggressive": PassiveAggressiveClassifier(random_state=0),
        "hinge": SGDClassifier(random_state=0),
    }.items():
        found[f"calibrated_{name}"] = CalibratedClassifierCV(scaled(model), cv=3)
    for activation in ("relu", "tanh", "logistic", "identity"):
        found[f"network_{activation}"] = scaled(
            MLPClassifier((12, 7), activation=activation, max_iter=40, random_state=0)
        )
    found["network_sgd"] = scaled(
        MLPClassifier(8, solver="sgd", early_stopping=True, max_iter=30, random_state=0)
    )
    found["network_lbfgs"] = scaled(MLPClassifier(8, solver="lbfgs", random_state=0))
    found.update(of_later_versions())
    found.update(resampled())
    return found


def of_later_versions():
    found = {}
    if VERSION >= (1, 5):
        from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV

        found["tuned"] = TunedThresholdClassifierCV(scaled(LogisticRegression()), cv=3)
        found["tuned_f1"] = TunedThresholdClassifierCV(
            CalibratedClassifierCV(forest(5), cv=2), scoring="f1", store_cv_results=True, cv=3
        )
        found["fixed"] = FixedThresholdClassifier(forest(), threshold=0.3)
        found["fixed_decision"] = FixedThresholdClassifier(
            LogisticRegression(max_iter=9000), threshold=0.7, response_method="decision_function"
        )
    if VERSION >= (1, 8):
        found["temperature"] = CalibratedClassifierCV(forest(), method="temperature", cv=3)
        found["temperature_linear"] = CalibratedClassifierCV(
            scaled(LogisticRegression()), method="temperature", cv=3
        )
    return found


def resampled():
    try:
        from imblearn.combine import SMOTEENN, SMOTETomek
        from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE, RandomOverSampler
        from imblearn.pipeline import make_pipeline as resampling
        from imblearn.under_sampling import NearMiss, RandomUnderSampler
    except ImportError:
        return {}
    return {
        "smote": resampling(StandardScaler(), SMOTE(random_state=0), forest()),
        "smote_search": GridSearchCV(
            resampling(SMOTE(random_state=0), forest(5)), {"smote__k_neighbors": [3, 5]}, cv=2
        ),
        "tomek": resampling(SMOTETomek(random_state=0), StandardScaler(), LogisticRegression()),
        "enn": resampling(SMOTEENN(random_state=0), forest(5)),
        "adasyn": resampling(ADASYN(random_state=0), forest(5)),
        "borderline": resampling(BorderlineSMOTE(random_state=0), forest(5)),
        "over": resampling(RandomOverSampler(random_state=0), forest(5)),
        "under": resampling(RandomUnderSampler(random_state=0), NearMiss(), forest(5)),
    }


def prefit(frame, labels):
    """Wrappers around models that are fitted already."""
    fitted = forest().fit(frame[:1000], labels[:1000])
    rest = frame[1000:1500], labels[1000:1500]
    found = {
        "stacking_prefit": StackingClassifier([("forest", fitted)], cv="prefit").fit(*rest),
    }
    if VERSION >= (1, 6):
        from sklearn.frozen import FrozenEstimator

        frozen = FrozenEstimator(fitted)
        found["frozen"] = CalibratedClassifierCV(frozen, method="isotonic").fit(*rest)
    else:
        found["prefit"] = CalibratedClassifierCV(fitted, method="isotonic", cv="prefit").fit(*rest)
    return found


def main(out):
    warnings.simplefilter("ignore")
    random = np.random.default_rng(11)
    amounts, counts = (
        random.lognormal(4, 1, (12000, 4)).round(2),
        random.integers(0, 10, (12000, 12)),
    )
    rows = np.column_stack([amounts, counts]).astype(float)
    noise = random.normal(size=12000)
    labels = (np.log(rows[:, 0] + 1) + rows[:, 5] / 3 + noise > 6.5).astype(int)
    frame = pd.DataFrame(rows, columns=COLUMNS)
    fitted = {name: model.fit(frame[:1500], labels[:1500]) for name, model in models().items()}
    fitted["sparse"][-1].sparsify()
    fitted.update(prefit(frame, labels))
    x = np.concatenate([rows[1500:], rows[:500] * 3])
    for name, model in fitted.items():
        asked = pd.DataFrame(x, columns=COLUMNS)
        p, said = model.predict_proba(asked)[:, 1], model.predict(asked) == 1
        np.savez_compressed(out / f"{name}.npz", x=x, p=p, said=said)
        joblib.dump(model, out / f"{name}.pkl")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
