"""The script that makes files of transformers with an old scikit-learn, 1.1 to the newest.

It is kept as text, for it runs in an environment of its own: it writes ``NAME.pkl`` and
``NAME.npz`` (``x``: rows, a text as its place in ``TEXTS``, NaN where there is none; ``p``: the
probability of the second class) for each model into the folder that it is given.
"""

from __future__ import annotations

# The values of the text columns, in the order of their numbers in ``x``; the rest are numbers.
TEXTS = {"ESCENARIO": ("PER", "FU", "EMP"), "PORTADO": ("SI", "NO", "N/A", "BAJAS_I")}
NUMBERS = ("DEUDA", "CAMBIO", "PROVINCIA", "FACTURAS")
# The names of the files that need a version, and the first one that has them.
SINCE = {"keep_empty": (1, 2), "ordinal_rare": (1, 3), "target": (1, 3)}

SCIKIT_LEARN_TRANSFORMERS_PY = (
    f"""
import sys, warnings
from pathlib import Path
import joblib, numpy as np, pandas as pd, sklearn
warnings.simplefilter("ignore")
out = Path(sys.argv[1])
TEXTS, NUMBERS = {TEXTS!r}, {NUMBERS!r}
version = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
"""
    + """
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import (
    RFE, SelectFdr, SelectFromModel, SelectKBest, SelectPercentile, VarianceThreshold, chi2)
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    Binarizer, FunctionTransformer, KBinsDiscretizer, MinMaxScaler, Normalizer, OneHotEncoder,
    OrdinalEncoder, PolynomialFeatures, PowerTransformer, QuantileTransformer, RobustScaler,
    StandardScaler)

random = np.random.default_rng(5)
SIZE = 4000
frame = pd.DataFrame({
    "ESCENARIO": random.choice(np.array(TEXTS["ESCENARIO"], object), SIZE),
    "PORTADO": random.choice(np.array(TEXTS["PORTADO"], object), SIZE, p=[.5, .3, .15, .05]),
    "DEUDA": random.lognormal(5, 1.1, SIZE).round(2),
    "CAMBIO": random.normal(0, 40, SIZE).round(1),
    "PROVINCIA": random.integers(1, 53, SIZE).astype(float),
    "FACTURAS": random.integers(1, 10, SIZE).astype(float),
})
score = np.log(frame["DEUDA"]) - (frame["ESCENARIO"] == "PER") + (frame["PORTADO"] == "NO")
labels = (score + frame["CAMBIO"] / 50 + random.normal(size=SIZE) > 5.0).to_numpy().astype(int)
holed = frame.copy()
holed.loc[random.random(SIZE) < .1, "DEUDA"] = np.nan
holed.loc[random.random(SIZE) < .1, "PORTADO"] = np.nan
TEXT = list(TEXTS)
FEW = ["DEUDA", "CAMBIO", "FACTURAS"]

def dense(**settings):
    name = "sparse" if version < (1, 2) else "sparse_output"
    return OneHotEncoder(**{name: False}, **settings)

def texts(encoder, names=TEXT):
    return make_pipeline(make_column_transformer((encoder, names)), LogisticRegression())

def numbers(transformer, names=FEW, trees=False):
    forest = RandomForestClassifier(20, max_depth=7, random_state=0)
    last = forest if trees else LogisticRegression()
    return make_pipeline(make_column_transformer((transformer, names)), last)

filled = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
models = {
    "drop": (make_pipeline(make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), TEXT), (filled, ["DEUDA"])),
        LogisticRegression()), holed),
    "passthrough": (make_pipeline(make_column_transformer(
        (OneHotEncoder(), [0, 1]), (filled, ["DEUDA"]), remainder="passthrough"),
        RandomForestClassifier(20, max_depth=8, random_state=0)), holed),
    "rest": (make_pipeline(make_column_transformer(
        (dense(drop="first"), make_column_selector(dtype_include=object)), remainder=filled),
        LogisticRegression()), holed),
    "weights": (make_pipeline(ColumnTransformer(
        [("a", OneHotEncoder(drop="if_binary"), slice("ESCENARIO", "PORTADO")),
         ("b", "drop", ["PROVINCIA"]), ("c", filled, [False, False, True, True, False, False]),
         ("d", "passthrough", ["FACTURAS"])], transformer_weights={"a": 0.5, "c": -2.0}),
        LogisticRegression()), holed),
    "rare": (texts(OneHotEncoder(min_frequency=300, handle_unknown="infrequent_if_exist")), holed),
    "rare_dropped": (texts(OneHotEncoder(max_categories=3, drop="first")), holed),
    "dropped": (texts(OneHotEncoder(drop=["FU", "NO"])), holed),
    "ordinal": (texts(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1,
        encoded_missing_value=-2), [*TEXT, "PROVINCIA"]), holed),
    "filled_texts": (texts(make_pipeline(
        SimpleImputer(strategy="constant", fill_value="NADA"), OneHotEncoder())), holed),
    "indicator": (numbers(make_union(SimpleImputer(), MissingIndicator(error_on_new=False))),
        holed),
    "yeo_johnson": (numbers(PowerTransformer()), frame),
    "box_cox": (numbers(PowerTransformer(method="box-cox"), ["DEUDA", "FACTURAS"]), frame),
    "uniform": (numbers(QuantileTransformer(n_quantiles=300), trees=True), frame),
    "normal": (numbers(QuantileTransformer(n_quantiles=200, output_distribution="normal")), frame),
    "bins": (numbers(KBinsDiscretizer(6)), frame),
    "bins_dense": (numbers(KBinsDiscretizer([3, 5, 4], encode="onehot-dense",
        strategy="kmeans")), frame),
    "bins_ordinal": (numbers(KBinsDiscretizer(20, encode="ordinal", strategy="uniform"),
        trees=True), frame),
    "row_norm": (numbers(make_union(Normalizer(), Binarizer(threshold=3.0),
        FunctionTransformer())), frame),
    "components": (numbers(make_pipeline(RobustScaler(), PCA(2, whiten=True))), frame),
    "singular": (numbers(make_pipeline(MinMaxScaler(), TruncatedSVD(2, random_state=0))), frame),
    "products": (numbers(make_pipeline(StandardScaler(), PolynomialFeatures(3))), frame),
    "products_distinct": (numbers(PolynomialFeatures((2, 3), interaction_only=True),
        trees=True), frame),
    "variance": (numbers(make_pipeline(VarianceThreshold(50), StandardScaler())), frame),
    "best": (numbers(make_pipeline(MinMaxScaler(), SelectKBest(chi2, k=2))), frame),
    "percentile": (numbers(make_pipeline(StandardScaler(),
        SelectPercentile(percentile=70))), frame),
    "discoveries": (numbers(make_pipeline(StandardScaler(), SelectFdr(alpha=0.3))), frame),
    "from_forest": (numbers(SelectFromModel(RandomForestClassifier(10, random_state=0),
        threshold="0.5*mean"), trees=True), frame),
    "from_logistic": (numbers(make_pipeline(StandardScaler(),
        SelectFromModel(LogisticRegression(C=0.01, penalty="l1", solver="liblinear")))), frame),
    "elimination": (numbers(make_pipeline(StandardScaler(),
        RFE(LogisticRegression(), n_features_to_select=2))), frame),
}
if version >= (1, 2):
    models["keep_empty"] = (numbers(make_pipeline(SimpleImputer(keep_empty_features=True),
        StandardScaler()), [*FEW, "PROVINCIA"]), holed)
if version >= (1, 3):
    from sklearn.preprocessing import TargetEncoder
    models["target"] = (texts(TargetEncoder(), [*TEXT, "PROVINCIA"]), holed)
    models["ordinal_rare"] = (texts(OrdinalEncoder(min_frequency=300,
        encoded_missing_value=-1)), holed)
for name, (model, rows) in models.items():
    model.fit(rows[:1500], labels[:1500])
    known = {text: float(place) for column in TEXTS.values() for place, text in enumerate(column)}
    numbered = [[known.get(value, np.nan) for value in rows[column]] if column in TEXTS
                else rows[column].to_numpy(float) for column in rows.columns]
    x, p = np.column_stack(numbered), model.predict_proba(rows)[:, 1]
    np.savez(out / (name + ".npz"), x=x.astype(float), p=p)
    joblib.dump(model, out / (name + ".pkl"))
"""
)
