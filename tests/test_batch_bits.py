"""A row has the same probability, to the last bit, alone and in a batch of any size."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import joblib
import numpy as np
import onnxruntime
import pytest
from family_models import CONTRACT, FAMILIES, fitted
from keras_files import OLD_COPY
from lengths import steps
from onnx import ModelProto

from propensia import files, sampling
from propensia.admission import Dropped, graph, judge, proving, reading
from propensia.admission.graph import DOUBLE, FLOAT, Graph
from propensia.admission.sidecar import Sidecar
from propensia.decision import Decision
from propensia.registry import Registry
from propensia.scorer import Matrix, Scorer
from propensia.settings import Settings

pytestmark = pytest.mark.filterwarnings(OLD_COPY)
SIZES = (2, 3, 7, 8, 64, 1_000)
MORE_SIZES = (*SIZES, 5_000, 20_000)
RULE = Decision(0.5, None, None)


def dumped(family: str) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(fitted(family), buffer)
    return buffer.getvalue()


def compiled(family: str, rows: int) -> tuple[bytes, Matrix]:
    """The ONNX file of a family, and rows of the contract, half of them up to its limits."""
    case = reading.Case(dumped(family), CONTRACT, 1 << 30, RULE)
    reading.complete(case)
    reading.known_family(case)
    assert case.compiled is not None and case.refusal is None
    return case.compiled.onnx, sampling.rows(case.view, rows, seed=29)


def unlike(
    one: Callable[[Matrix], np.ndarray],
    many: Callable[[Matrix], np.ndarray],
    rows: Matrix,
    sizes: Sequence[int],
) -> dict[int, int]:
    """How many rows have other bits in batches of so many rows than alone; none is left out."""
    # Each in memory of its own, as a request has it.
    alone = np.array([one(row.copy()) for row in rows]).reshape(-1).view(np.int64)
    found = {}
    for size in sizes:
        batches = [many(rows[i : i + size]) for i in range(0, len(rows), size)]
        found[size] = int((np.concatenate(batches).reshape(-1).view(np.int64) != alone).sum())
    return {size: count for size, count in found.items() if count}


def unlike_of_model(onnx: bytes, rows: Matrix, sizes: Sequence[int]) -> dict[int, int]:
    scorer = Scorer(onnx, files.sha256(onnx))
    return unlike(lambda row: np.array(scorer.one(row.tolist())), scorer.many, rows, sizes)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_alone_has_the_bits_of_a_batch_in_every_family(family: str) -> None:
    onnx, rows = compiled(family, 1_000)
    assert unlike_of_model(onnx, rows, SIZES) == {}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_many_rows_have_the_bits_of_each_alone_in_every_family(family: str) -> None:
    onnx, rows = compiled(family, steps(5_000, 20_000))
    assert unlike_of_model(onnx, rows, MORE_SIZES) == {}


def answers_of(onnx: bytes) -> Callable[[Matrix], np.ndarray]:
    """What a graph says, probability or not, with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])

    def answers(rows: Matrix) -> np.ndarray:
        given = np.ascontiguousarray(rows.reshape(-1, rows.shape[-1]))
        return np.asarray(session.run(["p"], {"x": given})[0])

    return answers


def numbers(columns: int, count: int = 700) -> Matrix:
    """Small and large positive numbers: every curve has a value there, and few are round."""
    random = np.random.default_rng(31)
    spread = random.choice([0.01, 0.1, 1.0, 5.0, 20.0], size=(count, 1))
    return np.abs(random.normal(size=(count, columns))) * spread


CURVES = {
    DOUBLE: ("Exp", "Log", "Sigmoid", "Tanh"),
    FLOAT: ("Exp", "Log", "Sigmoid", "Tanh", "Elu", "Selu", "Softplus", "Softsign", "Gelu"),
}
SUMS = ("ReduceSum", "ReduceMean", "ReduceMax")


def one_operator(operator: str, kind: int, columns: int, last: int) -> bytes:
    """A graph with one operator, and its result for the column ``last`` as the answer."""
    made = Graph(columns)
    # Behind another operator, so that the tensor lies where ONNX Runtime puts it.
    tensor = made.add("Abs", made.cast("x", kind))
    if operator in ("Elu", "Selu"):  # lines on the other side
        tensor = made.add("Neg", tensor)
    if operator in SUMS:
        axis = made.constant(np.array([1]))
        tensor = made.add(operator, tensor, axis, keepdims=1)
    else:
        tensor = made.picked(made.add(operator, tensor), [last])
    onnx = made.to_bytes(made.cast(tensor, DOUBLE))
    graph.check(onnx, columns)
    return onnx


@pytest.mark.parametrize("kind", [DOUBLE, FLOAT], ids=["double", "float32"])
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 9, 16, 33])
def test_curves_and_sums_have_the_same_bits_for_any_number_of_rows(
    kind: int, columns: int
) -> None:
    for operator in (*CURVES[kind], *SUMS):
        answers = answers_of(one_operator(operator, kind, columns, columns - 1))
        found = unlike(answers, answers, numbers(columns), (2, 3, 7, 8, 700))
        assert found == {}, operator


@pytest.mark.parametrize("kind", [DOUBLE, FLOAT], ids=["double", "float32"])
def test_a_wide_network_has_the_same_bits_for_any_number_of_rows(kind: int) -> None:
    made, random = Graph(27), np.random.default_rng(5)
    number = np.float64 if kind == DOUBLE else np.float32
    tensor, width = made.cast("x", kind), 27
    for units in (353, 479, 1):
        weights = random.normal(size=(width, units)) / np.sqrt(width)
        tensor = made.add("MatMul", tensor, made.constant(weights.astype(number)))
        tensor = made.add("Add", tensor, made.constant(np.full(units, 0.1, number)))
        curve = "Sigmoid" if units == 1 else "Tanh" if kind == DOUBLE else "Elu"
        tensor, width = made.add(curve, tensor), units
    answers = answers_of(made.to_bytes(made.cast(tensor, DOUBLE)))
    assert unlike(answers, answers, numbers(27, 300), (2, 3, 7, 64, 300)) == {}


def test_what_is_added_for_the_bits_changes_no_value() -> None:
    rows = numbers(9)
    for column in range(9):
        wanted = 1 / (1 + np.exp(-rows[:, column]))
        found = answers_of(one_operator("Sigmoid", DOUBLE, 9, column))(rows)[:, 0]
        assert np.abs(found - wanted).max() <= 4e-16  # two units in the last place of one
    # Nine roundings of half a unit each, at most.
    close = {"rtol": 1e-15, "atol": 0.0}
    total = answers_of(one_operator("ReduceSum", DOUBLE, 9, 0))(rows)[:, 0]
    assert np.allclose(total, rows.sum(axis=1), **close)
    mean = answers_of(one_operator("ReduceMean", DOUBLE, 9, 0))(rows)[:, 0]
    assert np.allclose(mean, rows.mean(axis=1), **close)


def test_a_sum_that_is_divided_stays_double() -> None:
    """ONNX Runtime would take the division into a product before it, as a float32."""
    made, rows = Graph(3), numbers(3)
    axis, three = made.constant(np.array([1])), made.constant(np.array([3.0]))
    total = made.add("ReduceSum", made.add("Neg", "x"), axis, keepdims=1)
    found = answers_of(made.to_bytes(made.add("Div", total, three)))(rows)[:, 0]
    assert np.allclose(found, -rows.mean(axis=1), rtol=1e-15, atol=0)


def test_a_graph_without_curves_stays_as_a_family_wrote_it() -> None:
    onnx, _ = compiled("random forest", 2)
    kinds = [node.op_type for node in ModelProto.FromString(onnx).graph.node]
    assert "Gather" not in kinds and kinds.count("TreeEnsemble") == 1


class OneApart(Scorer):
    """A scorer that says the next number for a row that comes alone."""

    def one(self, row: list[float]) -> float:
        return float(np.nextafter(super().one(row), 1.0))


def case_of(scorer: type[Scorer], onnx: bytes, rows: Matrix) -> proving.Case:
    view = CONTRACT.view(list(CONTRACT.column_names))
    assert view is not None
    case = proving.Case(onnx, RULE, None, view, Sidecar(), force=False, rows=rows)
    case.scorer = scorer(onnx, files.sha256(onnx))
    case.raw = case.scorer.many(rows)
    return case


def test_admission_warns_of_a_model_whose_rows_differ_in_their_last_bit() -> None:
    onnx, rows = compiled("logistic regression", 1_000)
    good, bad = case_of(Scorer, onnx, rows), case_of(OneApart, onnx, rows)
    assert proving.batch_equals_single(good) is None and good.steady
    remark = proving.batch_equals_single(bad)
    assert remark is not None and remark.outcome == "aviso" and not bad.steady
    assert "500 de 500 filas" in remark.sentence


def test_the_manifest_of_an_admitted_model_says_that_it_is_steady(tmp_path: Path) -> None:
    settings = Settings(models=tmp_path / "models", state=tmp_path / "state")
    registry = Registry(settings.state)
    registry.prepare()
    outcome = judge(Dropped("modelo", dumped("naive Bayes")), settings, CONTRACT, registry)
    assert outcome.refusal is None
    assert outcome.manifest["steady"] is True
