"""Both ends of a run as a person asked for them: what is read, what is written, and by which keys.

It changes nothing: neither end is touched before the run starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from propensia import files
from propensia.batch import columns, formats
from propensia.batch.added import Added
from propensia.batch.blocks import Source
from propensia.batch.databases import alert_list
from propensia.batch.databases import since as sinces
from propensia.batch.databases.alert_list import Limits
from propensia.batch.databases.score_tables import TABLE
from propensia.batch.databases.since import LAST, Since
from propensia.batch.databases.sink import About, DatabaseSink
from propensia.batch.databases.source import DatabaseSource
from propensia.batch.errors import WrongUse
from propensia.batch.formats import Ends, Selection
from propensia.batch.parquet_tables import ParquetSource
from propensia.batch.worker.model import Model
from propensia.delimited import TableError
from propensia.queries import databases

OWN = "run"
"""Deciles by the limits of the run itself."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed of both ends, as ``propensia score --help`` explains it; ``None`` where
    nothing was. ``source`` and ``target`` are paths or database URLs."""

    source: str
    target: str
    query: str | None = None
    sheet: str | None = None
    columns: Path | None = None
    key: str | None = None
    since: str | None = None
    changed: str | None = None
    table: str | None = None
    run: str | None = None
    alerts: str | None = None
    leave: str | None = None
    deciles: str | None = None
    reasons: int | None = None

    @property
    def scores(self) -> str:
        """The name of the table of results."""
        return self.table or TABLE

    def refuse(self) -> None:
        """Raise ``WrongUse`` for options that do not go together."""
        for name, given in self._names():
            if given is not None and not given.strip():
                raise WrongUse(f"{name}: está vacío; dele un valor, o quite la opción")
        into_database = formats.is_database(self.target)
        for name, given in (
            ("--table", self.table),
            ("--run", self.run),
            ("--alerts", self.alerts),
        ):
            if given is not None and not into_database:
                raise WrongUse(f"{name}: solo vale si SALIDA es una base de datos (tipo://…)")
        if (self.since is None) != (self.changed is None):
            raise WrongUse("--since y --changed van juntas: desde cuándo, y qué columna lo dice")
        if self.since == LAST and not into_database:
            raise WrongUse("--since last: solo vale si SALIDA es una base de datos (tipo://…)")
        if self.leave is not None and self.alerts is None:
            raise WrongUse("--alerts-leave va con --alerts")
        limits = self.limits()
        if limits is not None and limits.is_share and self.since is not None:
            raise WrongUse(
                "--alerts top=… es una parte de la cartera entera, y --since solo puntúa lo "
                "cambiado: diga una probabilidad, como --alerts 0.8"
            )

    def _names(self) -> tuple[tuple[str, str | None], ...]:
        """Options that name something; a script's variable that is not set names nothing."""
        return (
            ("--query", self.query),
            ("--sheet", self.sheet),
            ("--key", self.key),
            ("--changed", self.changed),
            ("--table", self.table),
            ("--run", self.run),
        )

    def limits(self) -> Limits | None:
        """Of the alert list. Raises ``WrongUse``."""
        if self.alerts is None:
            return None
        try:
            return alert_list.limits(self.alerts, self.leave)
        except ValueError as error:
            raise WrongUse(f"--alerts: {error}") from error


def options(wish: Wish, renamed: dict[str, str]) -> dict[str, Any]:
    """Those that change a result, as they are typed; not the query, which may hold anything."""
    every = {
        "--columns": renamed or None,
        "--sheet": wish.sheet,
        "--key": wish.key,
        "--run": wish.run,
        "--alerts": wish.alerts,
        "--alerts-leave": wish.leave,
        "--deciles": wish.deciles,
        "--motivos": wish.reasons,
    }
    return {name: value for name, value in every.items() if value is not None}


def renamed(wish: Wish, model: Model) -> dict[str, str]:
    """What the mapping file says. Raises ``TableError`` or ``OSError``."""
    return {} if wish.columns is None else columns.read_mapping(wish.columns, model.contract)


def last(wish: Wish, model: Model) -> datetime | None:
    """The moment that ``--since last`` stands for; ``None`` are all rows. Raises as ``ends``."""
    told = About(model.release.number, "", wish.run, query=_portfolio(wish))
    return DatabaseSink(wish.target, wish.scores, _added(wish, model), told).last_began()


def ends(
    wish: Wish, model: Model, names: dict[str, str], since_last: datetime | None = None
) -> Ends:
    """Both ends; ``names`` as ``renamed`` gave them, ``since_last`` as ``last`` did.

    Raises ``WrongUse``, ``TableError`` or ``OSError``.
    """
    added = _added(wish, model)
    if not formats.is_database(wish.target):
        source = _source(wish, model, names, _moment(wish.since))
        own = wish.deciles == OWN
        return formats.open_ends(source, wish.target, model.contract, added, own_deciles=own)
    moment = since_last if wish.since == LAST else _moment(wish.since)
    source = _source(wish, model, names, moment)
    key = source.key if isinstance(source, DatabaseSource) else wish.key
    if key is not None and key not in source.heading:
        raise TableError(f"--key: {source.name} no tiene esa columna")
    if key is None:
        _refuse_numbers(wish, source.name)
    if key is not None and isinstance(source, ParquetSource):
        source.refuse_nested([source.heading.index(key)])
    if isinstance(source, DatabaseSource):
        source.narrow()
    about = About(
        model.release.number, source.name, wish.run, moment, moment is None, _portfolio(wish)
    )
    sink = DatabaseSink(
        wish.target,
        wish.scores,
        added,
        about,
        key=key,
        limits=wish.limits(),
        own_deciles=wish.deciles == OWN,
    )
    return Ends(source, source.reader, sink)


def _refuse_numbers(wish: Wish, name: str) -> None:
    """Raise ``WrongUse`` for what compares the rows of a run with those of another: the number of
    a row is somebody else's the next time."""
    for option, given in (("--since", wish.since), ("--alerts", wish.alerts)):
        if given is not None:
            raise WrongUse(
                f"{option}: {name} no tiene clave, y el número de una fila no dice de quién es; "
                "diga con --key la columna que distingue a cada uno"
            )


def _added(wish: Wish, model: Model) -> Added:
    return Added(
        model.release.version,
        (model.contract.negative_name["es"], model.contract.positive_name["es"]),
        reasons=bool(wish.reasons),
    )


def _portfolio(wish: Wish) -> str | None:
    """What tells the rows of a query from those of another one; nothing of a file."""
    if wish.query is None:
        return None
    where = databases.identity(databases.url_of(wish.source))
    return files.sha256(f"{where} {wish.query.strip()}".encode())


def _moment(text: str | None) -> datetime | None:
    if text is None or text == LAST:
        return None
    try:
        return sinces.typed(text)
    except ValueError:
        raise WrongUse("--since: una fecha, AAAA-MM-DD o AAAA-MM-DDTHH:MM, o «last»") from None


def _source(wish: Wish, model: Model, names: dict[str, str], moment: datetime | None) -> Source:
    since = None
    if wish.changed is not None:
        since = Since(wish.changed, moment, known=wish.since != LAST)
    # For a file, the key is only what its rows are called in a database.
    key = wish.key if formats.is_database(wish.source) else None
    if wish.key is not None and not any(map(formats.is_database, (wish.source, wish.target))):
        raise WrongUse("--key: solo vale si ENTRADA o SALIDA es una base de datos (tipo://…)")
    chosen = Selection(query=wish.query, key=key, since=since, sheet=wish.sheet)
    return formats.open_source(wish.source, model.contract, chosen, names or None)
