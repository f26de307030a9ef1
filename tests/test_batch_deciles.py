"""Deciles of the run itself: exact limits of any number of chances, and the second pass."""

from __future__ import annotations

import csv
from pathlib import Path

import batch_ends
import numpy as np
import numpy.typing as npt
import openpyxl  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from propensia.batch import order_statistics
from propensia.batch.deciles import DecilesSink
from propensia.batch.worker.model import Model
from propensia.contract import Contract
from propensia.delimited import TableError
from propensia.registry import Registry

EIGHTH = 1 / 8  # exact, so that ties are ties


@pytest.fixture
def taken(registry: Registry, contract: Contract) -> Model:
    return batch_ends.published(registry, contract)


@pytest.fixture(params=[3, order_statistics.AT_ONCE])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(order_statistics, "AT_ONCE", request.param)
    return int(request.param)


def tenths(path: Path, chances: npt.NDArray[np.float64]) -> list[float]:
    path.write_bytes(order_statistics.plain(chances))
    return list(order_statistics.tenths(path))


def by_numpy(chances: npt.NDArray[np.float64]) -> list[float]:
    found: list[float] = np.quantile(
        chances, np.arange(1, 10) / 10, method="inverted_cdf"
    ).tolist()
    return found


@given(
    chances=arrays.arrays(
        np.float64,
        st.integers(1, 40),
        elements=st.one_of(
            st.floats(0, 1, allow_subnormal=True), st.integers(0, 8).map(lambda n: n * EIGHTH)
        ),
    )
)
def test_the_limits_are_those_of_numpy_to_the_last_bit(
    chances: npt.NDArray[np.float64], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "chances"
    assert tenths(path, chances) == by_numpy(chances)


@pytest.mark.parametrize("count", [*range(1, 60), 90, 999, 1000, 1001, 70_000])
def test_the_limits_are_the_same_ranks_as_numpy_takes_for_any_count(
    count: int, tmp_path: Path
) -> None:
    """Its product of count and share may round over a whole number."""
    chances = np.random.default_rng(count).permutation(count) / count
    assert tenths(tmp_path / "c", chances) == by_numpy(chances)


def test_chances_that_lie_beside_each_other_are_told_apart(tmp_path: Path, at_once: int) -> None:
    """Thousands that share their first bits: a histogram alone would not find them."""
    steps = np.random.default_rng(1).integers(0, 5000, 4001)
    chances = (np.float64(0.5).view(np.int64) + steps).view(np.float64)
    assert tenths(tmp_path / "c", chances) == by_numpy(chances)


def test_no_chance_and_a_negative_zero_are_no_trouble(tmp_path: Path) -> None:
    assert tenths(tmp_path / "c", np.array([])) == []
    assert tenths(tmp_path / "c", np.array([np.nan, -0.0, 0.25, np.nan, 0.5])) == by_numpy(
        np.array([0.0, 0.25, 0.5])
    )


def table(path: Path, contract: Contract, rows: int) -> Path:
    """A portfolio with rows of many different chances, every seventh of which is faulty."""
    example = {**contract.example(), "ed": "40"}
    numbers = np.random.default_rng(7).integers(1, 600, rows)
    with path.open("w", encoding="utf-8", newline="") as stream:
        write = csv.writer(stream, delimiter=";").writerow
        write([*example, "nota"])
        for row, number in enumerate(numbers):
            amount = "doce" if row % 7 == 3 else f"{number}.5"
            write(
                [*(example | {"im": amount, "dt": amount}).values(), "=1+1" if row == 5 else "ñ"]
            )
    return path


def read(path: Path) -> list[dict[str, str]]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return list(csv.DictReader(stream, delimiter=";"))
    if path.suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
    else:
        cells = openpyxl.load_workbook(path).active.iter_rows(values_only=True)
        names = next(cells)
        rows = [dict(zip(names, row, strict=True)) for row in cells]
    return [
        {
            k: "" if v is None else repr(v) if isinstance(v, float) else str(v)
            for k, v in row.items()
        }
        for row in rows
    ]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".xlsx"])
def test_deciles_of_the_run_hold_a_tenth_each_and_change_nothing_else(
    suffix: str, taken: Model, contract: Contract, tmp_path: Path
) -> None:
    source = table(tmp_path / "in.csv", contract, 700)
    plain, own = tmp_path / f"plain{suffix}", tmp_path / f"own{suffix}"
    batch_ends.score(taken, batch_ends.opened(taken, source, plain))
    batch_ends.score(taken, batch_ends.opened(taken, source, own, own_deciles=True))
    rows = read(own)
    scored = [row for row in rows if row["probabilidad"]]
    assert len(scored) == 600
    inner = by_numpy(np.array([float(row["probabilidad"]) for row in scored]))
    for row in scored:
        assert int(row["decil"]) == 1 + sum(float(row["probabilidad"]) <= limit for limit in inner)
    counts = np.bincount([int(row["decil"]) for row in scored])[1:]
    assert len(counts) == 10 and counts.min() > 30  # but for ties, a tenth
    assert {row["decil"] for row in rows if not row["probabilidad"]} == {""}
    assert {row["decil"] for row in read(plain)} == {""}
    assert [row | {"decil": ""} for row in rows] == read(plain)
    assert not list(tmp_path.glob("*.part"))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("propensia.batch.csv_files.ends.BLOCK_BYTES", 5000)


@pytest.mark.usefixtures("small_blocks")
def test_a_run_that_went_on_gives_the_bytes_of_one_that_never_stopped(
    taken: Model, contract: Contract, tmp_path: Path
) -> None:
    source = table(tmp_path / "in.csv", contract, 500)
    for name in ("whole.csv", "again.csv"):
        ends = batch_ends.opened(taken, source, tmp_path / name, own_deciles=True)
        if name == "whole.csv":
            batch_ends.score(taken, ends)
            continue
        places = batch_ends.score(taken, ends, blocks=3)
        for torn in ("spool", "chances"):
            with (tmp_path / "again.csv.part" / torn).open("ab") as stream:
                stream.write(b"half a block")  # which was not noted down
        ends = batch_ends.opened(taken, source, tmp_path / name, own_deciles=True)
        batch_ends.score(taken, ends, after=places)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.usefixtures("small_blocks")
def test_a_second_pass_that_was_broken_off_is_made_again(
    taken: Model, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = table(tmp_path / "in.csv", contract, 300), tmp_path / "out.csv"
    ends = batch_ends.opened(taken, source, out, own_deciles=True)
    assert isinstance(ends.sink, DecilesSink)
    batch_ends.score(taken, batch_ends.opened(taken, source, tmp_path / "w.csv", own_deciles=True))
    kept: list[bytes] = []

    def full(content: bytes) -> None:
        kept.append(content)
        if len(kept) == 3:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(ends.sink._inner, "keep", full)
        with pytest.raises(OSError, match="No space"):
            batch_ends.score(taken, ends)
    assert not out.exists()
    sizes = {f.name: f.stat().st_size for f in (tmp_path / "out.csv.part").iterdir()}
    again = batch_ends.opened(taken, source, out, own_deciles=True).sink
    again.start({"offset": sizes["spool"], "chances": sizes["chances"]})
    again.finish()
    assert out.read_bytes() == (tmp_path / "w.csv").read_bytes()
    assert not (tmp_path / "out.csv.part").exists()


def test_what_is_no_longer_as_it_was_left_is_refused(
    taken: Model, contract: Contract, tmp_path: Path
) -> None:
    source, out = table(tmp_path / "in.csv", contract, 50), tmp_path / "out.csv"
    ends = batch_ends.opened(taken, source, out, own_deciles=True)
    ends.sink.start(None)
    with pytest.raises(TableError, match="no es el que se dejó"):
        ends.sink.start({"offset": 8, "chances": 0})
    with pytest.raises(TableError, match="no es el que se dejó"):
        ends.sink.start({"offset": 0, "chances": 8})
