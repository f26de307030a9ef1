"""Families that the reader does not know: refused, or converted in the sandbox by the setting."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnx import ModelProto, TensorProto, helper
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from propensia import admission, files, sampling, settings
from propensia.admission import Dropped, converted, converting, graph, loading, reader
from propensia.admission.compiler import compile_model
from propensia.admission.ladder import Finding, climb
from propensia.admission.refusal import Refusal
from propensia.confinement import MINIMUM, OWN_FOLDER
from propensia.contract import Contract
from propensia.decision import Decision
from propensia.registry import Registry
from propensia.scorer import Scorer
from propensia.settings import Settings
from propensia.training.demonstration import table
from tests.admission_files import HOSTILE, Hostile, name, stream, system, text

TOLERANCE = 1e-5  # the converter's operators compute in float32
Data = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def data(contract: Contract) -> Data:
    columns, labels = table(contract, 500, seed=8)
    return np.asarray(columns, np.float64), np.asarray(labels).astype(np.int64)


@pytest.fixture
def place(tmp_path: Path) -> Settings:
    return replace(settings.load({}), state=tmp_path / "state", unknown_models="sandbox")


def svc() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn would rather have a calibration
        return make_pipeline(StandardScaler(), SVC(probability=True, random_state=1))


FAMILIES = {
    "SVC": svc,
    "KNeighborsClassifier": lambda: make_pipeline(
        StandardScaler(), KNeighborsClassifier(7, algorithm="kd_tree")
    ),
    "QuadraticDiscriminantAnalysis": lambda: QuadraticDiscriminantAnalysis(reg_param=0.1),
}


def fitted(make: Any, data: Data) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make().fit(*data)


def judged(model: bytes, place: Settings, contract: Contract) -> admission.Outcome:
    return admission.judge(Dropped("m", model), place, contract, Registry(place.state))


def case_of(file: bytes, contract: Contract) -> converting.Case:
    return converting.Case(file, contract, 1 << 28, Decision(0.5, None, None), sorted(MINIMUM))


def climbed(case: converting.Case) -> tuple[list[Finding], Refusal | None]:
    """The ladder of the sandbox in this process: for files that are ours, or that nothing runs."""
    return climb(converting.CHECKS, case)


def refusal_of(file: bytes, contract: Contract) -> Refusal:
    refusal = climbed(case_of(file, contract))[1]
    assert refusal is not None
    return refusal


# By the setting, end to end


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_admitted_in_the_sandbox_and_answers_as_the_original(
    family: str, data: Data, place: Settings, contract: Contract
) -> None:
    model = fitted(FAMILIES[family], data)
    outcome = judged(pickle.dumps(model), place, contract)
    assert outcome.refusal is None, outcome.refusal
    manifest = outcome.manifest
    assert manifest["family"] == f"{family} (convertido en el recinto)"
    assert manifest["kind"] == "sklearn" and manifest["parity"]["rows"] >= 2_000
    assert manifest["parity"]["flipped"] == 0
    assert set(manifest["libraries"]) == {"scikit-learn", "skl2onnx"}
    assert "memoria" in manifest["layers"]
    told = {check.name: check for check in outcome.checks}["familia en el recinto"]
    assert told.outcome == "aviso" and "recinto" in told.sentence
    assert told.sentence in outcome.report
    onnx = outcome.parts["model.onnx"]
    rows = sampling.rows(contract, 1_000, seed=99)  # other ones than admission took
    theirs = model.predict_proba(rows)[:, 1]
    assert np.abs(Scorer(onnx, files.sha256(onnx)).many(rows) - theirs).max() <= TOLERANCE


@pytest.mark.parametrize("family", FAMILIES)
def test_without_the_setting_the_family_is_refused_by_its_name(
    family: str, data: Data, place: Settings, contract: Contract
) -> None:
    file = pickle.dumps(fitted(FAMILIES[family], data))
    refusal = judged(file, replace(place, unknown_models="refuse"), contract).refusal
    assert refusal is not None and refusal.code == "familia_desconocida"
    assert family in refusal.detail


def test_the_setting_takes_two_words(contract: Contract) -> None:
    assert settings.load({}).unknown_models == "refuse"
    chosen = settings.load({"PROPENSIA_UNKNOWN_MODELS": "sandbox"})
    assert chosen.unknown_models == "sandbox"
    with pytest.raises(settings.SettingsError, match="refuse, sandbox"):
        settings.load({"PROPENSIA_UNKNOWN_MODELS": "yes"})


# What the sandbox makes of a file


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_pipeline(StandardScaler(), SVC(kernel="poly", probability=True)),
        lambda: make_pipeline(StandardScaler(), PCA(5), SGDClassifier(loss="log_loss")),
        lambda: BaggingClassifier(KNeighborsClassifier(), 3, random_state=1),
        lambda: GridSearchCV(make_pipeline(StandardScaler(), svc()), {}, cv=2),
    ],
    ids=["polynomial", "sgd", "bagging", "search"],
)
def test_other_shapes_of_a_model_are_converted_too(
    make: Any, data: Data, contract: Contract
) -> None:
    checks, refusal = climbed(case_of(pickle.dumps(fitted(make, data)), contract))
    assert refusal is None and checks[-1].name == "igual que el original"


def test_columns_are_taken_by_their_names(data: Data, contract: Contract) -> None:
    names = list(contract.column_names)
    frame = pd.DataFrame(data[0], columns=names)[names[::-1]]
    model = fitted(svc, (frame, data[1]))
    case = case_of(pickle.dumps(model), contract)
    assert climbed(case)[1] is None
    rows = sampling.rows(contract, 500, seed=5)
    theirs = model.predict_proba(pd.DataFrame(rows, columns=names)[names[::-1]])[:, 1]
    ours = Scorer(case.onnx, files.sha256(case.onnx)).many(rows)
    assert np.abs(ours - theirs).max() <= TOLERANCE
    assert np.ptp(theirs) > 0.01


def test_other_columns_are_refused(data: Data, contract: Contract) -> None:
    frame = pd.DataFrame(data[0], columns=[f"c{i}" for i in range(data[0].shape[1])])
    refusal = refusal_of(pickle.dumps(fitted(svc, (frame, data[1]))), contract)
    assert refusal.code == "columnas_distintas" and "c0" in refusal.detail


def test_a_conversion_that_answers_otherwise_is_refused(data: Data, contract: Contract) -> None:
    """skl2onnx 1.20 gets neighbours weighted by distance wrong, by 0.3 here."""

    def weighted() -> Any:
        return make_pipeline(StandardScaler(), KNeighborsClassifier(7, weights="distance"))

    refusal = refusal_of(pickle.dumps(fitted(weighted, data)), contract)
    assert refusal.code == "paridad_no_alcanzada"


def test_a_model_of_other_classes_is_refused(data: Data, contract: Contract) -> None:
    model = fitted(svc, (data[0], np.where(data[1], "rojo", "azul")))
    assert refusal_of(pickle.dumps(model), contract).code == "clases_distintas"


def test_a_model_without_probabilities_is_refused(data: Data, contract: Contract) -> None:
    model = SVC().fit(*data)
    refusal = refusal_of(pickle.dumps(model), contract)
    assert refusal.code == "no_es_clasificador_binario"
    assert "SVC no da probabilidades" in refusal.detail


def test_another_version_of_the_library_is_refused_by_its_number(
    data: Data, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fitted(FAMILIES["QuadraticDiscriminantAnalysis"], data)
    with monkeypatch.context() as older:
        older.setattr("sklearn.base.__version__", "1.2.2")
        file = pickle.dumps(model)
    refusal = refusal_of(file, contract)
    assert refusal.code == "familia_desconocida" and "scikit-learn 1.2 " in refusal.detail


def test_without_the_converter_the_refusal_says_what_to_install(
    data: Data, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = converting.importlib.import_module

    def without(module: str) -> Any:
        if module == "skl2onnx":
            raise ImportError(module)
        return really(module)

    monkeypatch.setattr(converting.importlib, "import_module", without)
    file = pickle.dumps(fitted(FAMILIES["QuadraticDiscriminantAnalysis"], data))
    refusal = refusal_of(file, contract)
    assert refusal.code == "no_convertido"
    assert "skl2onnx" in refusal.detail and "--group converters" in refusal.detail


# Hostile files


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.title)
def test_a_hostile_file_is_named_and_nothing_runs_in_the_sandbox_either(
    hostile: Hostile, tmp_path: Path, contract: Contract
) -> None:
    """The gate of the sandbox alone, as if the first child had let the file through."""
    marker = tmp_path / "marker"
    refusal = refusal_of(hostile.build(marker), contract)
    assert hostile.names in refusal.text("es")
    assert not marker.exists()


@pytest.mark.parametrize("title", ["call_at_the_start", "in_an_object_array_of_joblib"])
def test_a_hostile_file_is_refused_by_its_name_end_to_end(
    title: str, tmp_path: Path, place: Settings, contract: Contract
) -> None:
    hostile = next(item for item in HOSTILE if item.title == title)
    marker = tmp_path / "marker"
    refusal = judged(hostile.build(marker), place, contract).refusal
    assert refusal is not None and hostile.names in refusal.text("es")
    assert not marker.exists()


_SVC = name("sklearn.svm._classes", "SVC")


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda m: stream(_SVC + b")\x81}" + text("kernel") + system(m) + b"sb"), "system"),
        (lambda m: stream(_SVC + b"}" + text("fit") + b"K\x01sb"), "SVC"),
        (
            lambda m: stream(
                name("builtins", "getattr") + _SVC + text("__init_subclass__") + b"\x86R"
            ),
            "getattr",
        ),
        (lambda m: stream(_SVC + b")\x81}" + text("a") + name("os", "system") + b"sb"), "system"),
        (lambda m: stream(name("sklearn.svm._classes", "BaseSVC") + b")\x81"), "BaseSVC"),
        (lambda m: stream(name("sklearn.svm", "SVC") + b")\x81"), "sklearn.svm.SVC"),
    ],
    ids=["call", "class", "getattr", "name", "a name near the list", "a short cut"],
)
def test_a_family_of_the_sandbox_with_something_more_is_refused_by_its_name(
    build: Any, named: str, tmp_path: Path, contract: Contract
) -> None:
    marker = tmp_path / "marker"
    refusal = refusal_of(build(marker), contract)
    assert named in refusal.text("es")
    assert not marker.exists()


def test_an_attribute_cannot_take_the_place_of_a_method(contract: Contract) -> None:
    file = stream(_SVC + b")\x81}" + text("predict_proba") + b"K\x01sb")
    with pytest.raises(Refusal) as raised:
        loading.load(reader.read(file))
    assert raised.value.code == "contenido_no_permitido"
    assert "SVC.predict_proba" in raised.value.detail


def test_a_forest_is_not_loaded_in_the_sandbox(data: Data, contract: Contract) -> None:
    """Its trees would go to native code unchecked; the compiler is there for them."""
    file = pickle.dumps(RandomForestClassifier(2).fit(*data))
    assert refusal_of(file, contract).code == "familia_desconocida"


def test_the_search_tree_of_a_file_is_not_used_but_made_anew(
    data: Data, contract: Contract
) -> None:
    model = KNeighborsClassifier(3, algorithm="kd_tree").fit(*data)
    root = reader.read(pickle.dumps(model))
    root.state["_tree"].state = ("anything",)  # type: ignore[attr-defined]
    rows = sampling.rows(contract, 100, seed=3)
    ours = loading.load(root).predict_proba(rows)
    assert np.array_equal(ours, model.predict_proba(rows))


def test_numbers_that_lie_end_in_a_refusal_and_not_in_the_parent(
    data: Data, place: Settings, contract: Contract
) -> None:
    """libsvm believes its counts: whatever it does with these, it does alone."""
    model = fitted(svc, data)
    inner = model.steps[-1][1]
    inner._n_support = np.array([2**30, 2**30], dtype=np.int32)
    inner.support_ = inner.support_[:1]
    outcome = judged(pickle.dumps(model), place, contract)
    assert outcome.refusal is not None and outcome.parts == {}


# What is let through as ONNX


@pytest.fixture(scope="module")
def onnx(data: Data, contract: Contract) -> bytes:
    case = case_of(pickle.dumps(fitted(svc, data)), contract)
    assert climbed(case)[1] is None
    return case.onnx


def changed(onnx: bytes, change: Any) -> bytes:
    model = ModelProto.FromString(onnx)
    change(model)
    return bytes(model.SerializeToString())


def _loop(model: ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["y"], body=body))


def _file_outside(model: ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def _function(model: ModelProto) -> None:
    model.functions.append(helper.make_function("d", "f", [], [], [], []))


def _text_attribute(model: ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type == "SVMClassifier":
            node.attribute.append(helper.make_attribute("classlabels_strings", ["a", "b"]))


def _word(model: ModelProto) -> None:
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "kernel_type":
                attribute.s = b"/etc/passwd"


def _opset(model: ModelProto) -> None:
    model.opset_import[0].version += 1


CHANGES = [_loop, _file_outside, _function, _text_attribute, _word, _opset]


@pytest.mark.parametrize("change", CHANGES)
def test_a_converted_graph_holds_nothing_outside_the_list(
    onnx: bytes, change: Any, contract: Contract
) -> None:
    columns = len(contract.column_names)
    converted.check(onnx, columns)
    with pytest.raises(Refusal) as raised:
        converted.check(changed(onnx, change), columns)
    assert raised.value.code == "contenido_no_permitido"


def test_neither_rule_lets_through_what_is_the_others(
    onnx: bytes, data: Data, contract: Contract
) -> None:
    columns = contract.column_names
    root = reader.read(pickle.dumps(RandomForestClassifier(2, random_state=1).fit(*data)))
    own = compile_model(root, columns, contract.positive, contract.negative).onnx
    graph.check(own, len(columns))
    for check, foreign in ((graph.check, onnx), (converted.check, own)):
        with pytest.raises(Refusal):
            check(foreign, len(columns))


def test_nothing_is_loaded_where_the_sandbox_lacks_its_barriers(contract: Contract) -> None:
    case = converting.Case(b"", contract, 1 << 20, Decision(0.5, None, None), [OWN_FOLDER])
    with pytest.raises(Refusal) as refusal:
        converting.shut_in(case)
    assert refusal.value.code == "no_convertido"
    assert "sin llamadas peligrosas" in refusal.value.detail
    assert OWN_FOLDER not in refusal.value.detail
