"""An answer is scored again by the model and the rules of its time, and what differs is told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_models
from answered import WEIGHTS, Desk
from sqlalchemy import delete

from propensia import contract as contracts
from propensia import replaying, rules, sampling, telling
from propensia.contract import Contract
from propensia.decision import Decision
from propensia.features import Features
from propensia.replaying import Replay, ReplayError
from propensia.settings import Settings
from propensia.store import database, schema


@pytest.fixture
def desk(tmp_path: Path, contract: Contract) -> Desk:
    chosen = Settings(models=tmp_path / "models", state=tmp_path / "state")
    chosen.state.mkdir()
    return Desk(chosen, contract, database.open_store(chosen))


def replayed(desk: Desk, id: str) -> Replay:
    return replaying.replay(desk.stored(id), desk.rules(), desk.serving)


def test_it_is_the_same_bit_for_bit_with_the_threshold_and_the_correction_of_its_time(
    desk: Desk,
) -> None:
    version = desk.publish(threshold=0.9, training_rate=0.5, real_rate=0.2)
    given = desk.answer({"im": "1,5"})
    desk.registry.publish(version, cause="prueba", who="prueba", threshold=0.0001)
    desk.serving.tick()
    desk.publish(2.0)
    desk.ship()
    active = desk.serving.bundle
    found = replayed(desk, given.id)
    assert found.answer.probability == given.probability
    assert (found.exact, found.differences, found.why) == (True, (), None)
    assert found.answer.positive is given.positive is False
    assert found.answer.bundle.decision == Decision(0.9, 0.5, 0.2)
    assert desk.serving.bundle is active
    shown = replaying.shape(found, telling.shape(found.stored, desk.rules()), "es")
    assert shown["igual"] and shown["exacta"] and shown["diferencias"] == []
    # The notice about an unknown name was of the request; the one about a comma is of a value.
    assert shown["ahora"]["avisos"] == [
        note for note in shown["respuesta"]["avisos"] if note["codigo"] != "parametro_desconocido"
    ]
    assert "im" in [note["parametro"] for note in shown["ahora"]["avisos"]]


def test_its_reasons_add_up_to_the_distance_from_a_typical_row(desk: Desk) -> None:
    desk.publish()
    given = desk.answer()
    desk.ship()
    found = replayed(desk, given.id)
    bundle = found.answer.bundle
    typical = bundle.scorer.one(bundle.features.row(sampling.typical(desk.contract)))
    effects = found.answer.effects
    assert effects and len(effects) > 3
    distance = given.probability - typical
    assert sum(effect for _, effect in effects) == pytest.approx(distance, abs=1e-12)


def test_the_contract_of_its_time_reads_it_and_not_the_one_of_now(
    desk: Desk, changed: Callable[..., Contract]
) -> None:
    old = desk.contract
    desk.publish()
    given = desk.answer({"ed": "NaN"})
    new = changed(old, ("fill = 65\n", "fill = 30\n"))
    texts = old.example() | {"ed": "NaN"}
    ways = [Features(one) for one in (old, new)]
    assert ways[0].row(ways[0].read(texts)[0]) != ways[1].row(ways[1].read(texts)[0])
    desk.begin(new)
    desk.serving.tick()
    desk.ship()
    found = replayed(desk, given.id)
    assert found.contract == old
    assert found.answer.probability == given.probability
    assert found.differences == ()


def test_a_graph_that_is_another_now_is_told_with_the_probable_cause(desk: Desk) -> None:
    version = desk.publish(threshold=0.5)
    given = desk.answer()
    desk.ship()
    onnx = tiny_models.logistic([-weight for weight in WEIGHTS], 0.3)
    folder = desk.settings.state / "versions" / version
    shutil.rmtree(folder)
    zeros = 1 / (1 + 2.718281828459045**-0.3)
    made = tiny_models.add(
        desk.registry, desk.contract, onnx, [zeros], admitted="2999-01-01T00:00:00+00:00"
    )
    (desk.settings.state / "versions" / made).rename(folder)
    desk.begin(desk.contract)
    found = replayed(desk, given.id)
    assert "probabilidad" in found.differences and not found.exact
    assert found.why == replaying.WHY_READMITTED
    assert replaying.shape(found, {}, "en")["causa"] == replaying.WHY_READMITTED[1]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"probability": 1e-10}, ()),
        ({"probability": 1e-8}, ("probabilidad",)),
        ({"positive": True}, ("clasificacion",)),
        ({"notes": '[["im","coma_decimal",1.5]]'}, ("avisos",)),
        ({"notes": '[["ed","valor_supuesto","18-25"]]'}, ("avisos",)),
        ({"notes": '[["ed","valor_supuesto","51-65"],["","parametro_desconocido",null]]'}, ()),
        ({"notes": '[["","parametro_desconocido",null]]'}, ("avisos",)),
    ],
)
def test_every_difference_is_told_and_rounding_is_none(
    desk: Desk, change: dict[str, object], expected: tuple[str, ...]
) -> None:
    """The stored row is changed in place of the model; ``ed`` gives one notice."""
    desk.publish(-3.0, threshold=0.99)
    given = desk.answer({"ed": "NaN"})
    desk.ship()
    moved = change.get("probability")
    if isinstance(moved, float):
        change = {"probability": given.probability + moved}
    with desk.engine.begin() as connection:
        connection.execute(schema.answers.update().values(**change))
    found = replayed(desk, given.id)
    assert found.differences == expected
    assert found.exact is (moved is None)
    assert (found.why is None) == (expected == ())


def _purge_inputs(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        connection.execute(delete(schema.inputs))


def _prune(desk: Desk) -> None:
    for bias in (1.0, 2.0):
        desk.publish(bias)
    assert len(desk.registry.prune(0)) == 1
    desk.begin(desk.contract)


def _lose_rules(desk: Desk) -> None:
    shutil.rmtree(desk.settings.state / rules.FOLDER)
    desk.begin(contracts.load("telco_churn"))


@pytest.mark.parametrize(
    ("lose", "code"),
    [
        (_purge_inputs, "valores_borrados"),
        (_prune, "version_perdida"),
        (_lose_rules, "contrato_perdido"),
    ],
)
def test_what_is_missing_is_told(desk: Desk, lose: Callable[[Desk], None], code: str) -> None:
    desk.publish()
    given = desk.answer()
    desk.ship()
    assert replayed(desk, given.id).differences == ()
    lose(desk)
    with pytest.raises(ReplayError) as error:
        replayed(desk, given.id)
    assert error.value.code == code
    assert str(error.value) == replaying.TEXTS[code][0]
