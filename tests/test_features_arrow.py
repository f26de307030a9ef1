"""A block of texts is read as each of its rows alone: values to the last bit, notes and faults."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import hostile_texts
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from propensia import contract as contracts
from propensia.batch.worker import reading
from propensia.batch.worker.reading import Reading
from propensia.contract import Contract
from propensia.faults import BadRow
from propensia.features import Features

SHIPPED = [contracts.load(name) for name in contracts.shipped()]
VIEWS = [*SHIPPED, *(contract.raw() for contract in SHIPPED)]
NAMED = [f"{c.name}{'' if c in SHIPPED else '-raw'}" for c in VIEWS]
Texts = Mapping[str, Sequence[str | None]]


def alone(contract: Contract, texts: Texts) -> list[tuple[bytes, str, str]]:
    """Each row as the route reads it: the bits of its columns, its notes, its faults."""
    features, found = Features(contract), []
    for row in zip(*texts.values(), strict=True):
        sent = {n: t for n, t in zip(texts, row, strict=True) if t is not None}
        try:
            values, notes = features.read(sent)
        except BadRow as bad:
            found.append((b"", "", " ".join(f"{f.parameter}:{f.code}" for f in bad.faults)))
            continue
        columns = np.array(features.row(values), dtype=np.float64)
        told = " ".join(f"{note.parameter}:{note.code}" for note in notes)
        found.append((columns.tobytes(), told, ""))
    return found


def together(contract: Contract, texts: Mapping[str, pa.Array]) -> list[tuple[bytes, str, str]]:
    """The same of all rows in one block."""
    count = len(next(iter(texts.values())))
    read = Reading(contract).read(texts, {}, count)
    notes, faults = read.notes.array().to_pylist(), read.faults.array().to_pylist()
    return [
        (b"" if fault else row.tobytes(), note, fault)
        for row, note, fault in zip(read.matrix, notes, faults, strict=True)
    ]


def columns(texts: Texts) -> dict[str, pa.Array]:
    return {name: pa.array(column, pa.string()) for name, column in texts.items()}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are read many at a time also where there are few."""
    monkeypatch.setattr(reading, "FEW", 0)


@pytest.mark.parametrize("contract", VIEWS, ids=NAMED)
@pytest.mark.parametrize("odd", [0.0, 0.02, 0.6])
def test_thousands_of_rows_are_read_as_each_alone(contract: Contract, odd: float) -> None:
    texts = hostile_texts.rows(contract, 1500, 7, odd)
    found = together(contract, columns(texts))
    assert found == alone(contract, texts)
    good = sum(not fault for _, _, fault in found)
    assert good == 1500 if odd == 0.0 else good < 1500
    assert good > 500 or odd > 0.1


@pytest.mark.parametrize("contract", VIEWS, ids=NAMED)
@pytest.mark.usefixtures("at_once")
def test_every_hostile_text_is_read_as_alone_in_every_parameter(contract: Contract) -> None:
    odd: list[str | None] = [*hostile_texts.ODD, None]
    for parameter in contract.parameters:
        texts = {n: [t] * len(odd) for n, t in contract.example().items()} | {parameter.name: odd}
        assert together(contract, columns(texts)) == alone(contract, texts)


NUMBERS = st.from_regex(r"[0-9]{0,16}[.,]?[0-9]{0,16}", fullmatch=True)
NEAR = st.text(alphabet="0123456789.,+-eE _\n\uff15\u0665", max_size=12)
TEXTS = NUMBERS | NEAR | st.text(max_size=6) | st.sampled_from(hostile_texts.ODD) | st.none()


@pytest.mark.usefixtures("at_once")
@settings(max_examples=150)
@example(0, [["5\n"], ["1,234"], ["1,2345"], ["-0"], ["628,83"], ["1,"], [",5"]])
@given(st.integers(0, len(VIEWS) - 1), st.lists(st.lists(TEXTS, min_size=1, max_size=3)))
def test_whatever_a_column_holds_it_is_read_as_alone(
    which: int, drawn: list[list[str | None]]
) -> None:
    contract = VIEWS[which]
    drawn_in_turn = [text for some in drawn for text in some] or [None]
    count = len(drawn_in_turn)
    texts = {
        name: drawn_in_turn[place % count :] + drawn_in_turn[: place % count]
        for place, name in enumerate(contract.example())
    }
    assert together(contract, columns(texts)) == alone(contract, texts)


@pytest.mark.parametrize("count", [20_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_amounts_are_the_floats_that_python_reads(count: int) -> None:
    """A million, to the last bit: both must round correctly, also a text just between two."""
    chance = random.Random(5)
    texts = [f"{chance.random() * 10 ** chance.randint(-3, 7):.2f}" for _ in range(2 * count)]
    texts += [
        f"{chance.randrange(10**15)}.{chance.randrange(10**15):015d}"[: chance.randint(17, 31)]
        for _ in range(2 * count)
    ]
    # From 2**46 to 2**47 floats are 1/64 apart: an odd number of 128ths is in the middle of two.
    texts += [
        f"{chance.randrange(2**46, 2**47)}.{(2 * chance.randrange(64) + 1) * 78125:07d}"
        for _ in range(count)
    ]
    raw = contracts.load("cobranza_compat").raw()
    sent = columns({n: [t] * len(texts) for n, t in raw.example().items() if n != "im"})
    read = Reading(raw).read(sent | {"im": pa.array(texts)}, {}, len(texts))
    place = [p.name for p in raw.parameters].index("im")
    wanted = np.array([float(text) for text in texts])
    assert read.matrix[:, place].tobytes() == wanted.tobytes()
    assert not read.faults.of().any()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    "pairs",
    [
        # A number that means something else, a number for no data, and no limits at all.
        (('labels = { "0-30" = 30, ', 'labels = { "7" = 30, "1,5" = 4, '),),
        (('no_data = ["", ', 'no_data = ["", "99", "0.5", "7,5", '),),
        (("forgive_case = true", "forgive_case = false"),),
        (
            ("min = 0\nmax = 10000000\nfill = 71.99", "fill = 71.99"),
            ("divide = 314.24", "divide = 1e-300"),
        ),
        (("min = 0\nmax = 10000000\nfill = 71.99", "min = -5\nmax = 5\nfill = 1.5"),),
        (('example = "263.68"', 'example = "263.68"\notherwise = 3'),),
    ],
    ids=["labels", "no-data", "strict", "no-limits", "below-zero", "otherwise"],
)
def test_other_contracts_are_read_alike_too(
    contract: Contract,
    changed: Callable[..., Contract],
    pairs: tuple[tuple[str, str], ...],
) -> None:
    other = changed(contract, *pairs)
    odd = ["7", "99", "0.5", "7,5", "1,5", "30", "5", "4.99", "-5", "1e30", "9" * 15, "1" * 39]
    for view in (other, other.raw()):
        texts = hostile_texts.rows(view, 400, 3, 0.3)
        texts |= {
            name: (odd * 400)[: len(column)] for name, column in texts.items() if name == "im"
        }
        assert together(view, columns(texts)) == alone(view, texts)
        texts["ed"], texts["cf"] = texts["im"], texts["ed"]
        assert together(view, columns(texts)) == alone(view, texts)


@pytest.mark.parametrize("kind", ["dictionary", "narrow", "large", "sliced", "null-within"])
def test_the_form_in_which_texts_come_does_not_matter(contract: Contract, kind: str) -> None:
    texts = hostile_texts.rows(contract, 300, 9, 0.1)
    plain = columns({name: [*column, None] for name, column in texts.items()})
    forms: dict[str, Callable[[pa.Array], pa.Array]] = {
        "dictionary": lambda a: a.dictionary_encode(),
        "narrow": lambda a: a.cast(pa.dictionary(pa.int16(), pa.string())),
        "large": lambda a: a.cast(pa.large_string()),
        "sliced": lambda a: pa.concat_arrays([a, a, a]).slice(301, 301),
        "null-within": lambda a: a.dictionary_encode("encode"),
    }
    found = together(contract, {name: forms[kind](column) for name, column in plain.items()})
    assert found == together(contract, plain)


def test_a_broken_row_tells_only_what_is_wrong_with_it_as_a_whole(contract: Contract) -> None:
    texts: Texts = {name: [text, None, text, text] for name, text in contract.example().items()}
    texts = {**texts, "im": ["5", None, "x", ""]}
    read = Reading(contract).read(columns(texts), {1: "columnas_de_menos"}, 4)
    assert read.faults.array().to_pylist() == [
        "",
        "fila:columnas_de_menos",
        "im:numero_no_valido",
        "",
    ]
    assert read.notes.array().to_pylist() == [
        "ed:valor_supuesto",
        "",
        "",
        "ed:valor_supuesto im:valor_supuesto",
    ]


def test_a_block_without_rows_is_read(contract: Contract) -> None:
    read = Reading(contract).read(columns({n: [] for n in contract.example()}), {}, 0)
    assert read.matrix.shape == (0, 16)
    assert len(read.notes.array()) == len(read.faults.array()) == 0
