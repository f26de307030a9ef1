"""The parent of an admission: it believes little, survives its children, and blocks nobody."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models_for_tests import dumped, logistic, new_logistic

from propensia import admission, files, processes, settings
from propensia import contract as contracts
from propensia.admission import Dropped, results
from propensia.admission.ladder import Finding
from propensia.admission.results import Proof, Reading, ResultError
from propensia.contract import Contract
from propensia.processes import Finished
from propensia.registry import Registry, decision
from propensia.settings import Settings


@pytest.fixture
def place(tmp_path: Path) -> Settings:
    environment = {
        "PROPENSIA_STATE": str(tmp_path / "state"),
        "PROPENSIA_MODELS": str(tmp_path / "models"),
    }
    return settings.load(environment)


@pytest.fixture
def desk(place: Settings) -> Registry:
    registry = Registry(place.state)
    registry.prepare()
    return registry


@pytest.fixture(scope="module")
def good() -> bytes:
    return dumped(logistic())


def admitted(
    data: bytes, place: Settings, registry: Registry, sidecar: dict[str, Any] | None = None
) -> tuple[Dropped, admission.Outcome]:
    """A file that was admitted and published."""
    beside = None if sidecar is None else json.dumps(sidecar).encode()
    dropped = Dropped("modelo", data, beside)
    contract = contracts.load(place.contract)
    verdict, outcome = admission.admit(dropped, place, contract, registry)
    assert verdict["accepted"], verdict["why"]
    registry.publish(dropped.version, cause="prueba", who="yo")
    return dropped, outcome


# The two children


def test_a_model_compared_with_itself_changes_nobody(
    good: bytes, place: Settings, desk: Registry, contract: Contract
) -> None:
    """Also with rates to correct for: both sides are on the corrected scale."""
    rates = {"tasa_entrenamiento": 0.5, "tasa_real": 0.05, "umbral": 0.1}
    _, first = admitted(good, place, desk, rates)
    again = Dropped("otra vez", good, json.dumps(rates | {"metricas": {}}).encode())
    outcome = admission.judge(again, place, contract, desk)
    found = {check.name: check for check in outcome.checks}
    assert found["frente al activo"].outcome == "bien"
    assert "Cambia de clase el 0,0 %" in found["frente al activo"].sentence
    golden = first.manifest["golden"]
    assert outcome.manifest["golden"] == golden
    assert first.manifest["threshold"] == 0.1


@pytest.mark.slow
def test_a_file_that_two_judge_at_once_is_told_once_in_the_audit_log(
    place: Settings, desk: Registry, good: bytes
) -> None:
    """As ``train --publish`` and the keeper, who sees the same file in the folder."""
    admitted(good, place, desk)
    admitted(good, place, desk)
    told = [record.event for record in desk.audit.tail(99)]
    assert told.count("admitted") == 1
    assert told.count("published") == 2
    other = json.dumps({"umbral": 0.3}).encode()
    contract = contracts.load(place.contract)
    admission.admit(Dropped("modelo", good, other), place, contract, desk)
    assert [record.event for record in desk.audit.tail(99)].count("admitted") == 2


def test_the_second_child_sees_neither_the_file_nor_the_first_ones_folder(
    good: bytes,
    place: Settings,
    desk: Registry,
    contract: Contract,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, set[str]] = {}
    folders: list[Path] = []
    really = processes.run

    def watched(confined: str, module: str, name: str, **options: Any) -> Finished:
        folder = options["folder"]
        assert (confined, name) == ("propensia.confinement", str(folder))
        seen[module.rsplit(".", 1)[1]] = {path.name for path in folder.iterdir()}
        folders.append(folder)
        return really(confined, module, name, **options)

    monkeypatch.setattr(processes, "run", watched)
    admission.judge(Dropped("modelo", good, b"{}"), place, contract, desk)
    assert seen == {
        "reading": {"request.json", "model.pkl"},
        "proving": {"request.json", "model.onnx", "sidecar.json"},
    }
    assert folders[0] != folders[1]
    assert list((place.state / "work").iterdir()) == []


@pytest.mark.slow
def test_a_damaged_active_version_does_not_keep_its_replacement_out(
    good: bytes, place: Settings, desk: Registry
) -> None:
    dropped, _ = admitted(good, place, desk)
    for name in ("model.onnx", "manifest.json"):
        (place.state / "versions" / dropped.version / name).write_bytes(b"")
        admitted(dumped(new_logistic()), place, desk)
        admitted(good, place, desk)  # the same file heals its own version
        assert (
            files.sha256(desk.model(dropped.version))
            == (desk.manifest(dropped.version)["onnx_sha256"])
        )


def test_a_file_judged_anew_under_another_contract_follows_that_contract(
    good: bytes, place: Settings, desk: Registry
) -> None:
    dropped, _ = admitted(good, place, desk)
    admitted(good, replace(place, contract="cobranza_compat"), desk)
    manifest, compat = desk.manifest(dropped.version), contracts.load("cobranza_compat")
    assert manifest["contract"] == "cobranza_compat"
    rule = decision(manifest, desk.current(), compat.threshold)
    assert rule.threshold == compat.threshold > 0.5


def ends(code: int, errors: str = "", timed_out: bool = False) -> Callable[..., Finished]:
    return lambda *arguments, **options: Finished(code, timed_out, errors)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (ends(-11), "proceso_muerto"),
        (ends(1, "ValueError: broken"), "proceso_muerto"),
        (ends(1, "MemoryError"), "demasiada_memoria"),
        (ends(-9, timed_out=True), "demasiado_lento"),
        (ends(-processes.OVER_CPU_TIME), "demasiado_lento"),
        (ends(0), "proceso_muerto"),  # it left no result
    ],
)
def test_the_death_of_a_child_is_a_refusal_with_its_reason(
    good: bytes,
    place: Settings,
    desk: Registry,
    contract: Contract,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[..., Finished],
    code: str,
) -> None:
    monkeypatch.setattr(processes, "run", end)
    outcome = admission.judge(Dropped("modelo", good), place, contract, desk)
    assert outcome.refusal is not None
    assert outcome.refusal.code == code
    assert outcome.parts == {}
    assert "RECHAZADO" in outcome.report


def test_a_wrong_sidecar_refuses_before_anything_is_run(
    good: bytes,
    place: Settings,
    desk: Registry,
    contract: Contract,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "run", None)
    outcome = admission.judge(Dropped("modelo", good, b'{"umbral": 2}'), place, contract, desk)
    assert outcome.refusal is not None
    assert outcome.refusal.code == "ficha_no_valida"


def test_an_unfinished_file_gets_no_verdict_for_it_may_still_grow(
    good: bytes, place: Settings, desk: Registry, contract: Contract
) -> None:
    verdict, _ = admission.admit(Dropped("modelo", good[:-1]), place, contract, desk)
    assert verdict["code"] == "fichero_incompleto"
    assert desk.verdicts() == []


# What a child says

CHECK = {"name": "a", "outcome": "bien", "sentence": "b", "seconds": 0.1}
READ = {
    "checks": [CHECK],
    "refusal": None,
    "layers": ["memoria"],
    "parity": {"reason": "no"},
    "family": "F",
    "kind": "sklearn",
    "libraries": {"scikit-learn": "1"},
    "facts": {"trees": 3, "layers": [1, 2]},
}
PROVED = {
    "checks": [CHECK],
    "refusal": None,
    "golden": {"rows": [[0.0, 1.0]], "probabilities": [0.5]},
    "histogram": {"edges": [0.0, 1.0], "new": [1.0], "old": None},
    "comparison": None,
    "row_us": 3.0,
    "steady": True,
}
BAD: list[Any] = [
    *(None, True, 1, -1, 1.5, 10**400, "x" * 3000, "x", [], {}, [[]], [[None]], {"a": {}}),
    *([1] * 300, {"a": {"b": {"c": {"d": {}}}}}, ["x", "y"], ["nada", "b", "c"], [CHECK, 3]),
    *({"rows": [[0.0]], "probabilities": [0.5]}, {"rows": [[0.0, "x"]], "probabilities": [2]}),
]


def left(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_good_results_come_back_as_they_were_left(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    reading = Reading(
        [Finding("a", "bien", "ñ", 0.5)],
        layers=["x"],
        parity={"reason": "r"},
        columns=["UNA"],
        threshold=0.25,
        family="F",
        kind="keras",
    )
    results.write(path, reading)
    assert results.read_reading(path) == reading
    proof = Proof(
        [Finding("a", "aviso", "b", 0.0)],
        golden={"rows": [[0.25], [None]], "probabilities": [1.0, 0.5]},
        histogram={"edges": [0.0, 1.0], "new": [1.0], "old": [1.0]},
        row_us=2.5,
        steady=True,
    )
    results.write(path, proof)
    assert results.read_proof(path, 1) == proof
    refused = Reading([], admission.Refusal("arbol_imposible", "a", "b"))
    results.write(path, refused)
    found = results.read_reading(path).refusal
    assert found is not None and (found.code, found.detail_en) == ("arbol_imposible", "b")


@pytest.mark.parametrize("table", [READ, PROVED])
def test_whatever_a_child_says_is_taken_in_or_refused(tmp_path: Path, table: Any) -> None:
    """Every part replaced by everything it cannot be: never another error, never a wrong type."""
    path, refused = tmp_path / "result.json", 0
    for part in table:
        for bad in BAD:
            broken = copy.deepcopy(table) | {part: bad}
            left(path, json.dumps(broken))
            try:
                if table is READ:
                    reading = results.read_reading(path)
                    assert isinstance(reading.family, str) and isinstance(reading.facts, dict)
                else:
                    proof = results.read_proof(path, 2)
                    assert np.array(proof.golden.get("rows", [[0, 0]])).shape[1] == 2
            except ResultError:
                refused += 1
        left(path, json.dumps({name: table[name] for name in table if name != part}))
        with pytest.raises(ResultError):
            _ = results.read_reading(path) if table is READ else results.read_proof(path, 2)
    assert refused > 60


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"x"',
        "{",
        "[" * 100_000,
        '{"checks": NaN}',
        json.dumps(READ).replace("0.1", "NaN"),
        json.dumps(READ).replace("0.1", "1e999"),
        json.dumps(READ | {"family": "x" * (5 << 20)}),
        json.dumps(READ | {"checks": [CHECK | {"outcome": "gran éxito"}]}),
        json.dumps(READ | {"refusal": ["no existe", "a", "b"]}),
        json.dumps(READ | {"kind": "lightgbm"}),
        json.dumps(READ | {"parity": {"library": "x"}}),
    ],
)
def test_a_result_that_cannot_be_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ResultError):
        results.read_reading(left(tmp_path / "result.json", text))


def test_a_probability_outside_0_and_1_is_no_golden_row(tmp_path: Path) -> None:
    for impossible in (-0.1, 1.1):
        golden = {"rows": [[0.0, 1.0]], "probabilities": [impossible]}
        with pytest.raises(ResultError):
            results.read_proof(
                left(tmp_path / "r.json", json.dumps(PROVED | {"golden": golden})), 2
            )


def test_a_file_whose_short_id_is_that_of_another_version_is_refused(
    place: Settings, desk: Registry, good: bytes
) -> None:
    """Twelve digits can be made to meet; the whole digest cannot."""
    dropped, _ = admitted(good, place, desk)
    path = place.state / "versions" / dropped.version / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    changed = {**manifest, "sha256": manifest["sha256"][:12] + "0" * 52}
    path.write_text(json.dumps(changed), encoding="utf-8")
    outcome = admission.judge(dropped, place, contracts.load(place.contract), desk)
    assert outcome.refusal is not None and outcome.refusal.code == "version_repetida"
