"""Blocks of rows through contract and model: each row as it is alone, and the run's figures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import hostile_texts
import numpy as np
import pyarrow as pa
import pytest
import tiny_models

from propensia import reasons, sampling
from propensia.batch.blocks import Results, Rows, Tally
from propensia.batch.worker import model
from propensia.batch.worker.chances import Chances
from propensia.batch.worker.model import Model
from propensia.batch.worker.scoring import Scoring, Wanted
from propensia.batch.worker.told import Told, joined
from propensia.contract import Contract
from propensia.faults import BadRow
from propensia.features import Features
from propensia.registry import Registry
from propensia.scorer import Scorer, Unreliable
from propensia.serving import Serving

WEIGHTS = np.linspace(-1.0, 1.0, tiny_models.WIDTH).tolist()
HALVES = Wanted((0.5,))
EMPTY = pa.record_batch({})


def published(registry: Registry, contract: Contract, onnx: bytes, **changes: object) -> Model:
    """The model as a run takes it; its golden row is one of zeros."""
    of_zeros = 1 / (1 + math.exp(-0.25))  # of ``logistic``, the only one that is served, too
    version = tiny_models.add(registry, contract, onnx, [of_zeros], **changes)
    registry.publish(version, cause="prueba", who="yo")
    return model.take(registry, contract)


def block(texts: Mapping[str, Sequence[str | None]], **more: Mapping[int, str]) -> Rows:
    count = len(next(iter(texts.values())))
    columns = {name: pa.array(column, pa.string()) for name, column in texts.items()}
    return Rows(
        columns,
        more.get("broken", {}),
        np.arange(2, count + 2),
        EMPTY,
        more.get("notes", {}),
    )


def example(
    contract: Contract, **columns: Sequence[str | None]
) -> dict[str, Sequence[str | None]]:
    """The documented example in every row, but for some columns."""
    count = len(next(iter(columns.values())))
    texts: dict[str, Sequence[str | None]] = {
        n: [t] * count for n, t in (contract.example() | {"ed": "40"}).items()
    }
    return texts | columns


def score(taken: Model, rows: Rows, wanted: Wanted = HALVES) -> tuple[Results, Tally]:
    return Scoring(taken, wanted).score(rows)


@pytest.fixture
def logistic(registry: Registry, contract: Contract) -> Model:
    return published(registry, contract, tiny_models.logistic(WEIGHTS, 0.25))


@pytest.fixture
def leaping(registry: Registry, contract: Contract) -> Model:
    """No probability for anybody of 51 to 65, and 0.5 for all others."""
    weights = [0.0] * tiny_models.WIDTH
    weights[14] = 7.0
    return published(registry, contract, tiny_models.linear(weights, 0.5))


def test_each_row_is_scored_as_alone_bit_for_bit(logistic: Model, contract: Contract) -> None:
    texts = hostile_texts.rows(contract, 3000, 5, 0.01)
    found, _ = score(logistic, block(texts))
    scorer, features = Scorer(logistic.onnx, logistic.digest), Features(contract)
    notes, faults = found.notes.to_pylist(), found.faults.to_pylist()
    for place, row in enumerate(zip(*texts.values(), strict=True)):
        try:
            values, told = features.read(dict(zip(texts, row, strict=True)))
        except BadRow as bad:
            assert math.isnan(found.probability[place])
            wrong = " ".join(f"{f.parameter}:{f.code}" for f in bad.faults)
            assert (notes[place], faults[place]) == ("", wrong)
            continue
        assert found.probability[place] == scorer.one(features.row(values))
        told_texts = " ".join(f"{note.parameter}:{note.code}" for note in told)
        assert (notes[place], faults[place]) == (told_texts, "")
    assert 100 < sum(map(bool, faults)) < 1000


def test_the_figures_are_those_of_the_rows(logistic: Model, contract: Contract) -> None:
    texts = hostile_texts.rows(contract, 2000, 6, 0.02)
    found, tally = score(logistic, block(texts), Wanted((0.25, 0.5, 0.75)))
    scored = [p for p in found.probability.tolist() if not math.isnan(p)]
    assert (tally.rows, tally.scored) == (2000, len(scored))
    for texts_of_rows, counted in ((found.faults, tally.faults), (found.notes, tally.notes)):
        wanted = Counter(code for text in texts_of_rows.to_pylist() for code in text.split())
        assert counted == wanted and len(wanted) > 5
    assert tally.bands == Counter(b for b in found.band.to_pylist() if b)
    payers = sum(p >= 0.5 for p in scored)
    assert tally.classes == {"pagador": payers, "no pagador": len(scored) - payers}
    values, _ = Features(contract).read_many(texts)
    told = [notes.split() for notes in found.notes.to_pylist()]
    euros = [
        p * amount
        for p, amount, notes in zip(
            found.probability.tolist(), values["dt"].tolist(), told, strict=True
        )
        if not math.isnan(p) and "dt:valor_supuesto" not in notes
    ]
    assert tally.valued == len(euros) < len(scored)
    assert tally.euros == pytest.approx(math.fsum(euros), rel=1e-12)  # another order of the sum


@pytest.mark.parametrize("many", [1, 100], ids=["few rows", "many rows"])
def test_no_euros_are_expected_of_a_debt_that_was_assumed(
    logistic: Model, contract: Contract, many: int
) -> None:
    """Other parameters may be: the debt is told, as text or with a decimal comma."""
    nothing = example(contract, dt=["", "NaN", "nan"] * many)
    found, tally = score(logistic, block(nothing))
    assert (tally.scored, tally.valued, tally.euros) == (3 * many, 0, 0.0)
    debts = [f"{number}.5" for number in range(many)]
    texts = example(contract, dt=["", *debts, "1000,5"], im=["", *["20"] * many, ""])
    found, tally = score(logistic, block(texts))
    first, *known = found.probability.tolist()
    assert not math.isnan(first) and tally.valued == many + 1
    euros = [p * debt for p, debt in zip(known, [*map(float, debts), 1000.5], strict=True)]
    assert tally.euros == pytest.approx(math.fsum(euros), rel=1e-12)


def test_a_prior_is_corrected_as_on_the_route(registry: Registry, contract: Contract) -> None:
    taken = published(
        registry, contract, tiny_models.constant(0.75), training_rate=0.5, real_rate=0.25
    )
    found, _ = score(taken, block(example(contract, im=["1", "2"])))
    # Odds of 3 in a balanced table are odds of 3 x (0.25 / 0.75) = 1 in the real one.
    assert found.probability.tolist() == pytest.approx([0.5, 0.5], abs=1e-15)


def test_a_limit_belongs_to_the_band_above_and_to_the_decile_below(
    registry: Registry, contract: Contract
) -> None:
    """The line is the amount, so that a row says its own chance."""
    weights = [0.0] * tiny_models.WIDTH
    weights[1] = 1.0
    taken = published(registry, contract, tiny_models.linear(weights))
    taken = replace(taken, deciles=tuple(place / 10 for place in range(1, 10)))
    shares = [0.0, 0.05, 0.1, 0.25, 0.3, 0.5, 0.55, 0.75, 0.9, 0.95, 1.0]
    sent = [repr(share * 314.24) for share in shares]
    chances = [float(text) / 314.24 for text in sent]
    found, _ = score(taken, block(example(contract, im=sent)), Wanted((0.25, 0.5, 0.75)))
    assert found.probability.tolist() == chances
    for chance, band, decile in zip(chances, found.band.to_pylist(), found.decile, strict=True):
        reached = [limit for limit in (0.25, 0.5, 0.75) if chance >= limit]
        assert band == "DCBA"[len(reached)]
        assert decile == 10 - sum(chance > place / 10 for place in range(1, 10))
    assert found.band.to_pylist()[0] == "D" and found.band.to_pylist()[-1] == "A"
    assert (found.decile[0], found.decile[-1]) == (10, 1)


def test_without_a_reference_no_decile_is_told(logistic: Model, contract: Contract) -> None:
    found, _ = score(logistic, block(example(contract, im=["1", "x"])))
    assert found.decile.tolist() == [0, 0]
    assert found.band.to_pylist()[1] == ""


def test_a_row_that_the_model_fails_for_spoils_no_other(
    leaping: Model, contract: Contract
) -> None:
    """As the route, which answers such a row with an error and the next one with its score."""
    ages = [str(18 + place * 7 % 80) for place in range(5000)]
    ages[7] = "cuarenta"
    found, tally = score(leaping, block(example(contract, ed=ages, im=[""] * len(ages))))
    faults = found.faults.to_pylist()
    for age, chance, fault, note in zip(
        ages, found.probability.tolist(), faults, found.notes.to_pylist(), strict=True
    ):
        if age == "cuarenta":
            assert math.isnan(chance) and (fault, note) == ("ed:edad_no_valida", "")
        elif 51 <= int(age) <= 65:
            assert math.isnan(chance) and (fault, note) == ("fila:modelo_no_fiable", "")
        else:
            assert (chance, fault, note) == (0.5, "", "im:valor_supuesto")
    assert tally.faults["fila:modelo_no_fiable"] == faults.count("fila:modelo_no_fiable") > 900
    scorer = Scorer(leaping.onnx, leaping.digest)
    with pytest.raises(Unreliable):
        features = Features(contract)
        scorer.one(features.row(features.read(contract.example() | {"ed": "60"})[0]))


def test_a_model_that_fails_for_everybody_scores_nobody(
    registry: Registry, contract: Contract
) -> None:
    taken = published(registry, contract, tiny_models.constant(math.nan))
    found, tally = score(taken, block(example(contract, im=["1"] * 3000)))
    assert np.isnan(found.probability).all() and tally.scored == 0
    assert tally.faults == {"fila:modelo_no_fiable": 3000}
    assert tally.classes == {"pagador": 0, "no pagador": 0} and not tally.bands


def test_what_the_reader_says_of_a_row_comes_first(logistic: Model, contract: Contract) -> None:
    rows = block(
        example(contract, im=["1", "", None, "x"]),
        broken={2: "columnas_de_menos"},
        notes={1: "fila:latin_1", 3: "fila:latin_1"},
    )
    found, tally = score(logistic, rows)
    assert found.notes.to_pylist() == ["", "fila:latin_1 im:valor_supuesto", "", "fila:latin_1"]
    assert found.faults.to_pylist() == ["", "", "fila:columnas_de_menos", "im:numero_no_valido"]
    assert tally.notes == {"fila:latin_1": 2, "im:valor_supuesto": 1}


def test_all_that_is_told_of_a_row_is_joined_however_much_there_may_be() -> None:
    """Seventy notes that a row has or has not: more combinations than a number holds."""
    drawn = np.random.default_rng(2).random((70, 500)) < np.linspace(0, 0.3, 500)
    parts = [
        Told(rows.astype(np.int64) * (1 + place % 2), ["", f"p{place}:a", f"p{place}:b"])
        for place, rows in enumerate(drawn)
    ]
    found = joined(parts, 500)
    wanted = [
        " ".join(f"p{place}:{'ab'[place % 2]}" for place in np.flatnonzero(row)) for row in drawn.T
    ]
    assert found.array().to_pylist() == wanted and len(set(wanted)) > 400
    assert found.counted() == Counter(code for text in wanted for code in text.split())
    assert found.of().tolist() == [bool(text) for text in wanted]
    odd = np.arange(500) % 2 == 1
    cleared = found.where(odd).array().to_pylist()
    assert cleared == [text if place % 2 else "" for place, text in enumerate(wanted)]


# Reasons


@pytest.mark.parametrize("wanted", [1, 3, 13])
def test_the_reasons_are_those_of_the_route(
    logistic: Model, registry: Registry, contract: Contract, wanted: int
) -> None:
    """For rows in which few parameters differ from the typical one, and in which nearly all do."""
    serving = Serving(contract, registry)
    serving.tick()
    texts = hostile_texts.rows(contract, 150, 8, 0.01)
    found, _ = score(logistic, block(texts), Wanted((0.5,), wanted))
    told, moved = [], set()
    for row in zip(*texts.values(), strict=True):
        try:
            effects = serving.answer(dict(zip(texts, row, strict=True)), wanted).effects
        except BadRow:
            effects = []
        assert effects is not None
        told.append(" ".join(f"{name}:{effect:+.3f}" for name, effect in effects))
        moved.add(len(effects))
    assert found.reasons.to_pylist() == told
    if wanted == 13:
        assert min(moved - {0}) <= reasons.EXACT_UP_TO < max(moved)


def test_many_rows_are_explained_bit_for_bit_as_each_alone(contract: Contract) -> None:
    rows = sampling.rows(contract, 300, 4)
    base = rows[0]
    groups = [
        [i for i, column in enumerate(contract.columns) if column.source == p.name]
        for p in contract.parameters
    ]

    def curved(mixed: np.ndarray) -> np.ndarray:
        """Of each row alone: nothing that depends on how many there are."""
        bent = mixed[:, 0] * mixed[:, 1] + mixed[:, 6] * np.sqrt(1 + mixed[:, 3])
        return np.asarray(bent * (1 + mixed[:, 11]) + mixed[:, 12] * mixed[:, 8] + mixed[:, 2])

    many = reasons.effects_many(curved, rows, base, groups)
    alone = np.array([reasons.effects(curved, row, base, groups) for row in rows])
    assert many.tobytes() == alone.tobytes()
    assert many[0].tolist() == [0.0] * len(groups)
    players = {int(row.sum()) for row in np.array([[bool(e) for e in effect] for effect in many])}
    assert len(players) > 4
    # Shapley's values share out the whole difference; some hundred roundings.
    np.testing.assert_allclose(many.sum(axis=1), curved(rows) - curved(rows[:1]), atol=1e-12)


def test_where_a_mixture_fails_there_are_no_reasons_but_a_score(
    registry: Registry, contract: Contract
) -> None:
    """The example is scored 0.5, and halfway to the typical row the line leaves [0, 1]."""
    features = Features(contract)
    row = np.array(features.row(features.read(contract.example())[0]))
    moved = row - np.array(features.row(sampling.typical(contract)))
    weights = np.zeros(tiny_models.WIDTH)
    weights[:2] = 10.0, -10.0 * moved[0] / moved[1]
    onnx = tiny_models.linear(weights.tolist(), 0.5 - float(weights @ row))
    taken = published(registry, contract, onnx)
    typical = {"cf": "2", "im": "71.99"}
    texts = {n: [t, typical.get(n, t), t] for n, t in contract.example().items()}
    found, tally = score(taken, block(texts), Wanted((0.5,), 2))
    assert found.probability.tolist() == pytest.approx([0.5] * 3, abs=1e-12)
    silent = "ed:valor_supuesto motivos:motivos_no_disponibles"
    assert found.notes.to_pylist() == [silent, "ed:valor_supuesto", silent]
    assert found.reasons.to_pylist() == ["", "", ""]
    assert tally.notes["motivos:motivos_no_disponibles"] == 2


def test_reasons_are_only_there_when_they_were_asked_for(
    logistic: Model, contract: Contract
) -> None:
    rows = block(example(contract, im=["1", "x"]))
    assert score(logistic, rows)[0].reasons.to_pylist() == ["", ""]
    asked = score(logistic, rows, Wanted((0.5,), 2))[0].reasons.to_pylist()
    assert len(asked[0].split()) == 2 and asked[1] == ""


def test_the_golden_rows_get_the_bits_that_the_route_gives_them(
    logistic: Model, contract: Contract
) -> None:
    """Model columns as admission keeps them, by the scorer of one row and in a block."""
    rows = sampling.rows(contract, 3000, 12)
    scorer = Scorer(logistic.onnx, logistic.digest)
    alone = np.array([scorer.one(row) for row in rows.tolist()])
    assert Chances(logistic).known(rows).tobytes() == alone.tobytes()
    assert Chances(logistic).many(rows).tobytes() == alone.tobytes()


def test_a_model_that_is_not_steady_is_asked_row_by_row(
    contract: Contract, registry: Registry
) -> None:
    """One of an older program, whose verdict does not say whether it is."""
    taken = published(registry, contract, tiny_models.unsteady(WEIGHTS, 0.25))
    rows = sampling.rows(contract, 2_000, seed=3)
    scorer = Scorer(taken.onnx, taken.digest)
    alone = np.array([scorer.one(row) for row in rows.tolist()])
    assert not np.array_equal(scorer.many(rows), alone), "this one is steady"
    assert np.array_equal(Chances(taken).known(rows), taken.decision.probabilities(alone))
