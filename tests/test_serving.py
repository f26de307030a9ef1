"""The request path and the swap: an answer belongs to one version, and a bad one never answers."""

from __future__ import annotations

import json
import math
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
from onnx import TensorProto, helper

from propensia import files, heartbeat, sampling
from propensia.admission.graph import Graph
from propensia.contract import Contract
from propensia.faults import BadRow
from propensia.features import Features
from propensia.locks import Lock
from propensia.registry import Registry
from propensia.scorer import Scorer, ScorerError, Unreliable
from propensia.serving import Answer, NoModel, Serving

WEIGHTS = np.linspace(-1.0, 1.0, tiny_models.WIDTH).tolist()
BIAS = 0.25


@pytest.fixture
def serving(contract: Contract, registry: Registry) -> Serving:
    return Serving(contract, registry)


def sigmoid(number: float) -> float:
    return 1 / (1 + math.exp(-number))


def dot(row: Sequence[float]) -> float:
    return math.fsum(weight * number for weight, number in zip(WEIGHTS, row, strict=True))


def publish(serving: Serving, onnx: bytes, of_zeros: float, **changes: object) -> str:
    """Add and publish a version, and let this process catch up; ``of_zeros`` is its golden row."""
    version = tiny_models.add(serving.registry, serving.contract, onnx, [of_zeros], **changes)
    serving.registry.publish(version, cause="prueba", who="yo")
    serving.tick()
    return version


def steady(serving: Serving, probability: float) -> str:
    """Publish a model that gives the same number to everybody."""
    return publish(serving, tiny_models.constant(probability), probability)


def broken(serving: Serving, number: float) -> str:
    """Publish a model that is right for rows of zeros, and impossible for all others.

    The last weight is on the age band 51-65, which the example has."""
    weights = [0.0] * tiny_models.WIDTH
    weights[14] = number
    return publish(serving, tiny_models.linear(weights, 0.5), 0.5)


def ask(serving: Serving, reasons: int = 0, **texts: str) -> Answer:
    return serving.answer(serving.contract.example() | texts, reasons)


def active(serving: Serving) -> str | None:
    return serving.bundle.release.version if serving.bundle else None


# One answer


def test_before_the_first_publication_there_is_no_answer(serving: Serving) -> None:
    serving.tick()
    assert (serving.bundle, serving.problem) == (None, None)
    with pytest.raises(NoModel):
        ask(serving)


def test_an_answer_is_the_model_s_own_number(serving: Serving, contract: Contract) -> None:
    features = Features(contract)
    publish(serving, tiny_models.logistic(WEIGHTS, BIAS), sigmoid(BIAS))
    changes: list[dict[str, str]] = [{}, {"im": "12,5", "ed": "70"}, {"er": "per", "fb": ""}]
    for texts in changes:
        row = features.row(features.read(contract.example() | texts)[0])
        wanted = sigmoid(dot(row) + BIAS)
        answer = serving.answer(contract.example() | texts)
        # Sixteen products and one exponential in double, in another order.
        assert answer.probability == pytest.approx(wanted, abs=1e-14)
        assert answer.positive is (wanted >= 0.5)
        assert answer.effects is None


def test_what_was_assumed_is_told_with_the_answer(serving: Serving) -> None:
    steady(serving, 0.3)
    told = [(note.parameter, note.code) for note in ask(serving, im="", cp="x8029"[1:]).notes]
    assert told == [("ed", "valor_supuesto"), ("im", "valor_supuesto")]


def test_a_bad_row_is_refused_with_every_fault_also_without_a_model(serving: Serving) -> None:
    with pytest.raises(BadRow) as caught:
        ask(serving, im="-1", nl="x")
    assert [fault.parameter for fault in caught.value.faults] == ["im", "nl"]


def test_the_prior_is_corrected_where_both_rates_are_known(serving: Serving) -> None:
    changes = {"training_rate": 0.5, "real_rate": 0.25}
    publish(serving, tiny_models.constant(0.75), 0.75, **changes)
    # Odds of 3 in a balanced table are odds of 3 x (0.25 / 0.75) = 1 in the real one.
    assert ask(serving).probability == pytest.approx(0.5, abs=1e-15)


def test_reasons_come_largest_first_and_add_up(serving: Serving, contract: Contract) -> None:
    publish(serving, tiny_models.logistic(WEIGHTS, BIAS), sigmoid(BIAS))
    answer = ask(serving, reasons=13)
    assert answer.effects is not None
    sizes = [abs(effect) for _, effect in answer.effects]
    assert sizes == sorted(sizes, reverse=True)
    row = Features(contract).row(sampling.typical(contract))
    typical = sigmoid(dot(row) + BIAS)
    total = math.fsum(effect for _, effect in answer.effects)
    assert total == pytest.approx(answer.probability - typical, abs=1e-13)
    assert ask(serving, reasons=2).effects == answer.effects[:2]


def test_reasons_are_those_of_the_corrected_probability(serving: Serving) -> None:
    totals: list[float] = []
    for changes in ({}, {"training_rate": 0.5, "real_rate": 0.1}):
        bias = BIAS + len(totals)  # other bytes: another version
        publish(serving, tiny_models.logistic(WEIGHTS, bias), sigmoid(bias), **changes)
        answer, typical = ask(serving, reasons=13), ask_typical(serving)
        total = math.fsum(effect for _, effect in answer.effects or ())
        assert total == pytest.approx(answer.probability - typical, abs=1e-13)
        totals.append(total)
    assert totals[0] != pytest.approx(totals[1], abs=0.01)


def ask_typical(serving: Serving) -> float:
    """The typical debtor of the published shares, as a caller would send it."""
    texts = {"er": "PER", "po": "NO", "vt": "N", "cp": "28037", "ec": "A", "vf": "N", "vb": "N"}
    texts |= {"fb": "NaN", "ed": "53", "cf": "2", "im": "71.99", "dt": "125.61", "nl": "1"}
    return serving.answer(texts).probability


def test_ids_are_never_given_twice(contract: Contract, registry: Registry) -> None:
    """Not by the threads of one process, and not by two processes with the same clock."""
    workers = [Serving(contract, registry) for _ in range(2)]
    found: list[str] = []

    def many(worker: Serving) -> None:
        found.extend([worker.new_id() for _ in range(2000)])

    threads = [threading.Thread(target=many, args=(worker,)) for worker in workers * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == len(found) == 8000
    assert {len(id) for id in found} == {29}
    before = workers[0].new_id()[11:23]
    workers[0].new_process()
    assert workers[0].new_id()[11:23] != before


# The swap


def test_a_process_follows_the_pointer_forward_and_back(serving: Serving) -> None:
    first = steady(serving, 0.1)
    second = steady(serving, 0.9)
    assert (active(serving), ask(serving).probability) == (second, 0.9)
    serving.registry.publish(first, cause="vuelta", who="yo")
    serving.tick()
    assert (active(serving), ask(serving).probability) == (first, 0.1)
    assert serving.bundle is not None and serving.bundle.release.number == 3


def test_a_tick_without_news_changes_nothing(serving: Serving) -> None:
    steady(serving, 0.1)
    before = serving.bundle
    serving.tick()
    assert serving.bundle is before


def test_a_worker_that_is_born_later_reads_the_pointer(
    serving: Serving, contract: Contract, registry: Registry
) -> None:
    steady(serving, 0.1)
    second = steady(serving, 0.2)
    late = Serving(contract, registry)
    late.tick()
    assert active(late) == second


def test_the_version_before_is_not_loaded_again(serving: Serving, registry: Registry) -> None:
    """Going back must not wait for a large model; its file may even be damaged by now."""
    first = steady(serving, 0.1)
    steady(serving, 0.9)
    registry.part(first, "model.onnx").write_bytes(b"damaged")
    registry.publish(first, cause="vuelta", who="yo")
    serving.tick()
    assert (active(serving), serving.problem) == (first, None)


def test_a_version_that_is_admitted_again_as_another_graph_is_loaded_again(
    serving: Serving, registry: Registry
) -> None:
    """The compiler changed: the same dropped file, so the same version, but another ONNX file."""
    version = steady(serving, 0.1)
    other = tiny_models.constant(0.9)
    golden = {"rows": [[0.0] * tiny_models.WIDTH], "probabilities": [0.9]}
    manifest = registry.manifest(version)
    manifest |= {"onnx_sha256": files.sha256(other), "golden": golden}
    shutil.rmtree(registry.part(version, "model.onnx").parent)
    registry.add_version(version, manifest, {"model.onnx": other})
    registry.publish(version, cause="prueba", who="yo")
    serving.tick()
    assert (active(serving), serving.problem) == (version, None)
    assert ask(serving).probability == 0.9


def test_a_bundle_remembers_that_its_model_is_a_demonstration(serving: Serving) -> None:
    steady(serving, 0.1)
    assert serving.bundle is not None and not serving.bundle.demonstration
    publish(serving, tiny_models.constant(0.2), 0.2, demonstration=True)
    assert serving.bundle.demonstration


def test_a_new_threshold_is_a_new_release_of_the_same_scorer(
    serving: Serving, registry: Registry
) -> None:
    version = steady(serving, 0.6)
    before = serving.bundle
    assert before is not None and ask(serving).positive
    registry.publish(version, cause="umbral", who="yo", why="campaña", threshold=0.7)
    serving.tick()
    after = serving.bundle
    assert after is not None
    assert after.scorer is before.scorer
    assert (after.release.number, after.decision.threshold) == (2, 0.7)
    assert not ask(serving).positive
    registry.publish(version, cause="umbral", who="yo", why="fuera", threshold=0.0)
    serving.tick()
    assert serving.bundle is not None and serving.bundle.decision.threshold == 0.0


def test_a_request_keeps_the_version_that_it_began_with(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The swap happens while the model of the first version works."""
    first = steady(serving, 0.1)
    plain = Scorer.one

    def swapped_meanwhile(scorer: Scorer, row: list[float]) -> float:
        monkeypatch.setattr(Scorer, "one", plain)
        publish(serving, tiny_models.constant(0.9), 0.9, threshold=0.05)
        return plain(scorer, row)

    monkeypatch.setattr(Scorer, "one", swapped_meanwhile)
    answer = ask(serving)
    assert active(serving) != first
    assert (answer.bundle.release.version, answer.probability) == (first, 0.1)
    assert not answer.positive, "the threshold of the other version"
    assert ask(serving).probability == 0.9


def test_under_swaps_no_answer_mixes_two_versions(serving: Serving, registry: Registry) -> None:
    numbers = {steady(serving, 0.25): 0.25, steady(serving, 0.75): 0.75}
    stop = threading.Event()
    mixed: list[Answer] = []
    counted = []

    def caller() -> None:
        count = 0
        while not stop.is_set():
            answer = ask(serving)
            count += 1
            if answer.probability != numbers[answer.bundle.release.version]:
                mixed.append(answer)
        counted.append(count)

    threads = [threading.Thread(target=caller) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(25):
        for version in numbers:
            registry.publish(version, cause="prueba", who="yo")
            serving.tick()
    stop.set()
    for thread in threads:
        thread.join()
    assert mixed == []
    assert len(counted) == 3 and min(counted) > 10


# What cannot be loaded


@pytest.mark.parametrize(("kind", "apart"), [("sklearn", 1e-8), ("keras", 2e-5)])
def test_golden_rows_that_differ_keep_the_version_before(
    kind: str, apart: float, serving: Serving
) -> None:
    first = steady(serving, 0.1)
    publish(serving, tiny_models.constant(0.9), 0.9 + apart, kind=kind)
    assert (active(serving), ask(serving).probability) == (first, 0.1)
    assert serving.problem is not None and "publicación 2" in serving.problem


@pytest.mark.parametrize(("kind", "apart"), [("sklearn", 1e-10), ("keras", 8e-6)])
def test_what_another_processor_changes_in_the_golden_rows_is_forgiven(
    kind: str, apart: float, serving: Serving
) -> None:
    """Networks compute in float32, where sums in another order differ in the sixth digit."""
    version = publish(serving, tiny_models.constant(0.9), 0.9 + apart, kind=kind)
    assert (active(serving), serving.problem) == (version, None)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 1000])
def test_a_model_file_that_changed_is_never_loaded(
    content: bytes, serving: Serving, registry: Registry, contract: Contract
) -> None:
    first = steady(serving, 0.1)
    version = tiny_models.add(registry, contract, tiny_models.constant(0.9), [0.9])
    registry.part(version, "model.onnx").write_bytes(content)
    registry.publish(version, cause="prueba", who="yo")
    serving.tick()
    assert active(serving) == first
    assert serving.problem is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"columns": ["other"]},
        {"golden": None},
        {"golden": {"rows": [[0.0]], "probabilities": [0.9]}},
        {"golden": {"rows": [[0.0], [0.0, 1.0]], "probabilities": [0.9]}},
        {"golden": {"rows": [], "probabilities": []}},
        {"golden": {}},
        {"onnx_sha256": "0" * 64},
    ],
)
def test_a_manifest_that_does_not_fit_keeps_the_version_before(
    changes: dict[str, object], serving: Serving
) -> None:
    first = steady(serving, 0.1)
    publish(serving, tiny_models.constant(0.9), 0.9, **changes)
    assert (active(serving), ask(serving).probability) == (first, 0.1)
    assert serving.problem is not None and "publicación 2" in serving.problem


def test_a_model_of_another_width_keeps_the_version_before(serving: Serving) -> None:
    first = steady(serving, 0.1)
    publish(serving, tiny_models.constant(0.9, width=5), 0.9)
    assert active(serving) == first
    assert serving.problem is not None


def test_a_damaged_release_keeps_the_version_before(serving: Serving, registry: Registry) -> None:
    first = steady(serving, 0.1)
    (registry.state / "releases" / "000002.json").write_bytes(b"{")
    serving.tick()
    assert active(serving) == first
    assert serving.problem is not None


def test_the_next_good_release_clears_the_problem(serving: Serving) -> None:
    steady(serving, 0.1)
    publish(serving, tiny_models.constant(0.9), 0.2)
    assert serving.problem is not None
    third = steady(serving, 0.3)
    assert active(serving) == third
    assert serving.problem is None


def test_what_cannot_be_loaded_is_not_tried_at_every_tick(
    serving: Serving, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = publish(serving, tiny_models.constant(0.9), 0.2)
    tries: list[str] = []
    plain = Registry.manifest

    def counting(self: Registry, asked: str) -> dict[str, object]:
        tries.append(asked)
        return plain(self, asked)

    monkeypatch.setattr(Registry, "manifest", counting)
    for _ in range(5):
        serving.tick()
    assert tries == []
    assert serving.problem is not None
    monkeypatch.setattr("propensia.serving.RETRY_LOAD_S", 0.0)
    serving._failed = (1, 0.0)
    serving.tick()
    assert tries == [version]


def test_a_state_folder_that_cannot_be_read_keeps_the_active_version(
    serving: Serving, registry: Registry
) -> None:
    """Another kind of thing lies where the releases were: reading them is an error."""
    steady(serving, 0.1)
    (registry.state / "releases").rename(registry.state / "away")
    (registry.state / "releases").write_bytes(b"")
    serving.tick()
    assert ask(serving).probability == 0.1
    assert serving.problem is not None


def test_a_state_folder_that_went_away_is_told(serving: Serving, registry: Registry) -> None:
    steady(serving, 0.1)
    (registry.state / "releases").rename(registry.state / "away")
    serving.tick()
    assert ask(serving).probability == 0.1
    assert serving.problem is not None
    (registry.state / "away").rename(registry.state / "releases")
    serving.tick()
    assert serving.problem is None


# A model that gives impossible numbers


@pytest.mark.parametrize("number", [math.nan, math.inf, 0.7, -0.7])
def test_a_number_that_is_no_probability_is_never_an_answer(
    number: float, contract: Contract
) -> None:
    onnx = tiny_models.linear([0.0] * 15 + [number], 0.5)
    scorer = Scorer(onnx, files.sha256(onnx))
    row = [0.0] * 15 + [1.0]
    with pytest.raises(Unreliable):
        scorer.one(row)
    with pytest.raises(Unreliable):
        scorer.many(np.array([[0.0] * 16, row]))
    if math.isfinite(number):  # infinity times 0 is no number either
        assert scorer.one([0.0] * 16) == 0.5


def test_three_impossible_numbers_in_a_row_bring_the_version_before_back(
    serving: Serving, registry: Registry
) -> None:
    first = steady(serving, 0.1)
    registry.publish(first, cause="umbral", who="yo", threshold=0.05)
    serving.tick()
    bad = broken(serving, 7.0)
    for place in range(3):
        assert registry.current_number() == 3, place
        with pytest.raises(Unreliable):
            ask(serving)
    serving.tick()
    current = registry.current()
    assert current is not None
    assert (current.version, current.cause, current.threshold) == (first, "retorno", 0.05)
    assert bad in current.why
    assert (ask(serving).probability, ask(serving).positive) == (0.1, True)


def test_a_good_number_in_between_starts_the_count_again(
    serving: Serving, registry: Registry
) -> None:
    steady(serving, 0.1)
    broken(serving, 7.0)
    for _ in range(2):
        for _ in range(2):
            with pytest.raises(Unreliable):
                ask(serving)
        assert ask(serving, ed="40").probability == 0.5
    serving.tick()
    assert registry.current_number() == 2


def test_without_a_version_before_the_model_stays_and_says_so_each_time(
    serving: Serving, registry: Registry
) -> None:
    broken(serving, 7.0)
    for _ in range(7):
        with pytest.raises(Unreliable):
            ask(serving)
        serving.tick()
    assert registry.current_number() == 1


def distrusted(serving: Serving) -> None:
    for _ in range(3):
        with pytest.raises((Unreliable, ScorerError)):
            ask(serving)


def test_a_model_that_cannot_be_run_is_left_like_one_that_gives_impossible_numbers(
    serving: Serving, registry: Registry
) -> None:
    first = steady(serving, 0.1)
    publish(serving, failing(), 0.5)
    assert ask(serving, ed="40").probability == 0.5
    for _ in range(3):
        with pytest.raises(ScorerError) as caught:
            ask(serving)
        assert "7731" not in str(caught.value), "a value of the row"
    serving.tick()
    assert active(serving) == first


def failing() -> bytes:
    """A model that ONNX Runtime cannot run for the age band 51-65: it looks beyond a table."""
    graph = Graph(tiny_models.WIDTH)
    weights = np.zeros((tiny_models.WIDTH, 1))
    weights[14] = 7731.0
    place = graph.add("Cast", graph.add("MatMul", "x", graph.constant(weights)), to=7)  # int64
    return graph.to_bytes(graph.add("Gather", graph.constant(np.array([0.5])), place))


def test_no_request_waits_for_somebody_who_publishes(serving: Serving, registry: Registry) -> None:
    first = steady(serving, 0.1)
    broken(serving, 7.0)
    with Lock(registry.state / "releases.lock"):
        began = time.monotonic()
        distrusted(serving)
        assert time.monotonic() - began < 5.0, "the lock is waited for up to 30 s"
    serving.tick()
    assert active(serving) == first


def test_threads_that_fail_together_bring_one_return(serving: Serving, registry: Registry) -> None:
    steady(serving, 0.1)
    broken(serving, 7.0)
    threads = [threading.Thread(target=distrusted, args=(serving,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(3):
        serving.tick()
    assert [release.cause for release in registry.history()] == ["retorno", "prueba", "prueba"]


def test_what_somebody_published_meanwhile_is_not_taken_back(
    serving: Serving, registry: Registry
) -> None:
    steady(serving, 0.1)
    broken(serving, 7.0)
    distrusted(serving)
    third = steady(serving, 0.3)
    serving.tick()
    assert active(serving) == third
    assert registry.current_number() == 3


@pytest.mark.parametrize("damage", ["pruned", "another contract", "damaged"])
def test_a_return_passes_over_versions_that_do_not_load(
    damage: str, serving: Serving, registry: Registry, contract: Contract
) -> None:
    first = steady(serving, 0.1)
    second = steady(serving, 0.2)
    broken(serving, 7.0)
    folder = registry.part(second, "manifest.json").parent
    if damage == "pruned":
        shutil.rmtree(folder)
    elif damage == "damaged":
        (folder / "model.onnx").write_bytes(b"damaged")
    else:
        files.write_json(folder / "manifest.json", registry.manifest(second) | {"columns": ["x"]})
    late = Serving(contract, registry)
    late.tick()
    distrusted(late)
    late.tick()
    assert (active(late), ask(late).probability) == (first, 0.1)


def test_versions_that_do_not_load_are_not_tried_at_every_third_failure(
    serving: Serving, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = steady(serving, 0.1)
    bad = broken(serving, 7.0)
    shutil.rmtree(registry.part(first, "model.onnx").parent)
    tries: list[str] = []
    plain = Registry.manifest

    def counting(self: Registry, asked: str) -> dict[str, object]:
        tries.append(asked)
        return plain(self, asked)

    monkeypatch.setattr(Registry, "manifest", counting)
    for _ in range(4):
        distrusted(serving)
        serving.tick()
    assert (tries, active(serving)) == ([first], bad)


def test_reasons_that_cannot_be_computed_do_not_cost_the_answer(
    serving: Serving, contract: Contract
) -> None:
    """Here the case and the typical one get 0.5, and every mixture of the two is impossible."""
    features = Features(contract)
    steady(serving, 0.1)
    row = np.array(features.row(features.read(contract.example())[0]))
    base = np.array(features.row(sampling.typical(contract)))
    moved = row - base
    weights = np.zeros(tiny_models.WIDTH)
    weights[:2] = 10.0, -10.0 * moved[0] / moved[1]
    onnx = tiny_models.linear(weights.tolist(), 0.5 - float(weights @ row))
    golden = {"rows": [row.tolist()], "probabilities": [0.5]}
    version = publish(serving, onnx, 0.0, golden=golden)
    for _ in range(4):
        answer = ask(serving, reasons=2)
        assert answer.probability == pytest.approx(0.5, abs=1e-12)
        assert answer.effects == []
        told = [(note.parameter, note.code) for note in answer.notes]
        assert told[-1] == ("motivos", "motivos_no_disponibles")
        serving.tick()
    assert active(serving) == version
    assert "motivos" not in [note.parameter for note in ask(serving).notes]


def test_a_return_is_not_returned_from(serving: Serving, registry: Registry) -> None:
    """Two versions that are both bad must not hand the pointer to each other for ever."""
    broken(serving, 7.0)
    broken(serving, 9.0)
    for _ in range(20):
        with pytest.raises(Unreliable):
            ask(serving)
        serving.tick()
    assert [release.cause for release in registry.history()] == ["retorno", "prueba", "prueba"]


def test_returns_go_back_to_the_last_version_that_was_good(
    serving: Serving, registry: Registry
) -> None:
    good = steady(serving, 0.1)
    broken(serving, 7.0)
    broken(serving, 9.0)
    for _ in range(6):
        with pytest.raises(Unreliable):
            ask(serving)
        serving.tick()
    assert (active(serving), ask(serving).probability) == (good, 0.1)
    assert [release.cause for release in registry.history()[:2]] == ["retorno", "retorno"]


def test_a_return_keeps_a_pinned_state(serving: Serving, registry: Registry) -> None:
    """Who pinned does not want the folder to publish; going back does not change that."""
    steady(serving, 0.1)
    bad = broken(serving, 7.0)
    registry.publish(bad, cause="fijada", who="yo", pinned=True)
    serving.tick()
    for _ in range(3):
        with pytest.raises(Unreliable):
            ask(serving)
    serving.tick()
    current = registry.current()
    assert current is not None and (current.cause, current.pinned) == ("retorno", True)


@pytest.mark.parametrize("damage", ["lock", "history"])
def test_a_return_that_cannot_be_published_is_still_an_unreliable_model(
    damage: str, serving: Serving, registry: Registry
) -> None:
    """A full disk must not turn the answer into a fault of ours."""
    steady(serving, 0.1)
    broken(serving, 7.0)
    if damage == "lock":  # the lock cannot be taken: a folder lies there
        (registry.state / "releases.lock").unlink(missing_ok=True)
        (registry.state / "releases.lock").mkdir()
    else:
        (registry.state / "releases" / "000001.json").write_bytes(b"{")
    for _ in range(4):
        with pytest.raises(Unreliable):
            ask(serving)
        serving.tick()
    assert ask(serving, ed="40").probability == 0.5


# What the process tells of itself


def test_a_worker_leaves_a_note_that_health_can_read(serving: Serving, registry: Registry) -> None:
    serving.report()
    (note,) = heartbeat.look_all(registry.state / "workers")
    assert (note["publicacion"], note["version"], note["problema"]) == (0, None, None)
    version = steady(serving, 0.1)
    publish(serving, tiny_models.constant(0.9), 0.2)
    serving.report()
    (note,) = heartbeat.look_all(registry.state / "workers")
    assert (note["publicacion"], note["version"]) == (1, version)
    assert note["problema"] == serving.problem


def test_a_scorer_takes_only_the_bytes_that_were_admitted(tmp_path: Path) -> None:
    onnx = tiny_models.constant(0.5)
    with pytest.raises(ScorerError, match="changed"):
        Scorer(onnx + b"x", files.sha256(onnx))
    for strange in (b"", b"x", json.dumps({}).encode()):
        with pytest.raises(ScorerError, match="refuses"):
            Scorer(strange, files.sha256(strange))


DOUBLE, SINGLE = int(TensorProto.DOUBLE), int(TensorProto.FLOAT)


@pytest.mark.parametrize(
    ("taken", "given"),
    [
        (("x", SINGLE, [None, 1]), ("p", SINGLE, [None, 1])),
        (("x", DOUBLE, [None]), ("p", DOUBLE, [None])),
        (("x", DOUBLE, [None, 1, 1]), ("p", DOUBLE, [None, 1, 1])),
        (("x", DOUBLE, [1, 1]), ("p", DOUBLE, [1, 1])),
        (("x", DOUBLE, [None, None]), ("p", DOUBLE, [None, None])),
        (("x", DOUBLE, [None, 2]), ("p", DOUBLE, [None, 2])),
        (("y", DOUBLE, [None, 1]), ("p", DOUBLE, [None, 1])),
        (("x", DOUBLE, [None, 1]), ("q", DOUBLE, [None, 1])),
    ],
)
def test_a_scorer_takes_only_a_double_matrix_and_gives_one_double_column(
    taken: tuple[str, int, list[int | None]], given: tuple[str, int, list[int | None]]
) -> None:
    with pytest.raises(ScorerError):
        scorer_of(taken, given)


def test_a_scorer_knows_how_many_columns_it_takes() -> None:
    assert scorer_of(("x", DOUBLE, ["rows", 1]), ("p", DOUBLE, ["rows", 1])).columns == 1


def scorer_of(taken: tuple[str, int, list[Any]], given: tuple[str, int, list[Any]]) -> Scorer:
    """A scorer of a graph that gives back what it takes."""
    graph = helper.make_graph(
        [helper.make_node("Identity", [taken[0]], [given[0]])],
        "same",
        [helper.make_tensor_value_info(*taken)],
        [helper.make_tensor_value_info(*given)],
    )
    versions = [helper.make_opsetid("", 21)]
    onnx = helper.make_model(graph, opset_imports=versions, ir_version=10).SerializeToString()
    return Scorer(onnx, files.sha256(onnx))


def test_rows_of_another_width_are_an_error_of_the_scorer() -> None:
    onnx = tiny_models.constant(0.5)
    scorer = Scorer(onnx, files.sha256(onnx))
    with pytest.raises(ScorerError, match="cannot run"):
        scorer.one([0.0] * 3)
    with pytest.raises(ScorerError, match="cannot run"):
        scorer.many(np.zeros((2, 3)))
