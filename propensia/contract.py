"""The contract: what a caller sends and the columns a model gets, declared in a TOML file.

Nothing in Python knows the name of a parameter or column; they are strings of the contract.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from propensia import faults, files

# What every contract must hold; all else is optional.
REQUIRED = """name title reading.no_data reading.forgive_case reading.repeated reading.bad_utf8
label.column label.positive label.negative answer.form answer.threshold answer.positive
answer.negative parameters.name parameters.feature parameters.kind parameters.label
parameters.example columns.name columns.from columns.steps"""
KINDS = ("category", "number", "integer", "month", "python_float", "python_int")
STEPS = ("map", "floor_divide", "clip", "divide", "band", "present", "value")
LANGUAGES = ("es", "en")


class ContractError(Exception):
    """A contract file that cannot be used; the text names the part and what it takes."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value that a caller sends, and how its text is read.

    ``kind`` is one of ``KINDS``: ``category`` (a text of ``values`` or a synonym), ``number`` and
    ``integer`` (within ``min``..``max``, or a text of ``labels``), ``month`` (``YYYYMM``), and
    ``python_float`` / ``python_int``, which read whatever Python's own ``float`` and ``int`` do
    (``min`` and ``max`` only describe these). No data is a fault unless ``fill`` (the value used
    instead, shown to the caller as ``fill_shown``) or ``optional`` is given. ``otherwise`` is the
    value for every text that would be a fault, and ``absent_as`` the text that stands for a
    parameter that was not sent; both keep old habits alive, a new contract needs neither.
    """

    name: str
    feature: str
    kind: str
    label: Mapping[str, str]
    example: str
    help: Mapping[str, str] = field(default_factory=dict)
    values: tuple[str, ...] = ()
    synonyms: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, float] = field(default_factory=dict)
    otherwise: str | float | None = None
    min: float = float("-inf")
    max: float = float("inf")
    fault: str | None = None
    fill: str | float | None = None
    fill_shown: str | None = None
    optional: bool = False
    absent_as: str | None = None
    shares: tuple[float, ...] = ()
    quantiles: tuple[tuple[float, float], ...] = ()
    missing_share: float = 0.0

    @property
    def is_category(self) -> bool:
        """Whether a value is a text; otherwise it is a number."""
        return self.kind == "category"

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text that a category may come to; empty for a number."""
        extra = (self.otherwise,) if isinstance(self.otherwise, str) else ()
        return (*self.values, *(text for text in extra if text not in self.values))

    def admits(self) -> str:
        """What a caller may send, as a short text that is the same in every language."""
        if self.is_category:
            return ", ".join([*self.values, *(f"{a} (= {b})" for a, b in self.synonyms.items())])
        if self.kind in ("python_int", "python_float"):  # bounds only describe these
            span = "0, 1, 2…" if self.kind == "python_int" else "0.0, 12.5…"
        elif self.kind == "month":
            span = f"{self.min:.0f}–{self.max:.0f}"  # noqa: RUF001 - the dash of a range
        else:
            span = f"{self.min:g}–{self.max:.0f}"  # noqa: RUF001 - the dash of a range
        nothing = ["NaN"] if self.fill is not None or self.optional else []
        return ", ".join([span, *self.labels, *nothing])


@dataclass(frozen=True, slots=True)
class Column:
    """One model column: the parameter it comes from and the steps, applied in order."""

    name: str
    source: str
    steps: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Training:
    """What a training table holds beside the parameters and the label; all of it optional.

    ``date`` and ``key`` are columns of the table: the day of a row, and whose row it is.
    ``amount`` is the parameter with the euros at stake, ``segments`` are the parameters by whose
    values errors are told apart. None of it changes an answer.
    """

    date: str | None = None
    key: str | None = None
    amount: str | None = None
    segments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contract:
    """A whole contract; make it with ``load``. ``source``: the TOML that it was read from.

    ``fingerprint`` names its exact content but ``training``, which changes no answer.
    """

    name: str
    title: Mapping[str, str]
    no_data: frozenset[str]
    forgive_case: bool
    repeated: str
    bad_utf8: str
    label_column: str
    positive: frozenset[str]
    negative: frozenset[str]
    form: str
    text: str
    threshold: float
    flag: str
    positive_name: Mapping[str, str]
    negative_name: Mapping[str, str]
    own_faults: Mapping[str, Mapping[str, str]]
    parameters: tuple[Parameter, ...]
    columns: tuple[Column, ...]
    demonstration: Mapping[str, Any]
    training: Training
    fingerprint: str
    source: bytes = field(default=b"", repr=False, compare=False)

    @property
    def column_names(self) -> tuple[str, ...]:
        """The model columns, in order."""
        return tuple(column.name for column in self.columns)

    def raw(self) -> Contract:
        """The same contract with its values themselves as model columns, one per parameter.

        Each has the parameter's feature name; a category is the place of its text in ``texts``,
        and no data of an optional parameter is NaN.
        """
        return replace(self, columns=tuple(_unchanged(p) for p in self.parameters))

    def view(self, columns: Sequence[str]) -> Contract | None:
        """The contract whose model columns have these names: this one, its ``raw`` or none."""
        views = (self, self.raw())
        return next((view for view in views if view.column_names == tuple(columns)), None)

    def parameter(self, name: str) -> Parameter:
        """The parameter of that short name. Raises ``KeyError``."""
        return next(p for p in self.parameters if p.name == name)

    def example(self) -> dict[str, str]:
        """The documented example: a text per parameter."""
        return {parameter.name: parameter.example for parameter in self.parameters}


def shipped() -> list[str]:
    """The names of the contracts that come with the package."""
    folder = resources.files("propensia") / "contracts"
    return sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml"))


def load(name_or_path: str) -> Contract:
    """The contract of a shipped name, or of a TOML file's path. Raises ``ContractError``."""
    if name_or_path in shipped():
        data = (resources.files("propensia") / "contracts" / f"{name_or_path}.toml").read_bytes()
    else:
        try:
            data = files.read(Path(name_or_path), 1 << 20)
        except (OSError, files.FileTooLarge) as error:
            names = ", ".join(shipped())
            raise ContractError(
                f"no hay contrato {name_or_path!r}: use {names} o la ruta de un fichero TOML"
            ) from error
    try:
        table = tomllib.loads(data.decode("utf-8-sig"))
    except ValueError as error:
        raise ContractError(f"el contrato {name_or_path!r} no es TOML válido: {error}") from error
    return replace(parse(table), source=data)


def parse(table: Mapping[str, Any]) -> Contract:
    """A contract from its table. Raises ``ContractError``: all that lacks, or what is wrong."""
    try:
        _check_keys(table)
        contract = _build(table)
        _check(contract)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ContractError(f"al contrato le falta o le sobra algo: {error}") from error
    return contract


def _check_keys(table: Mapping[str, Any]) -> None:
    """All required keys that are not there, told at once as ``section.key``."""
    missing = []
    for path in REQUIRED.split():
        section, _, key = path.rpartition(".")
        parts = table.get(section, {}) if section else table
        for place, part in enumerate([parts] if isinstance(parts, Mapping) else parts, 1):
            if key not in part:
                own = "" if part is parts else f"{part.get('name', place)}."
                missing.append(path.removesuffix(key) + own + key)
    _require(not missing, f"falta {', '.join(missing)}")


def _build(table: Mapping[str, Any]) -> Contract:
    reading, label, answer = table["reading"], table["label"], table["answer"]
    answering = {part: value for part, value in table.items() if part != "training"}
    canonical = json.dumps(answering, sort_keys=True, default=str, ensure_ascii=True)
    return Contract(
        name=table["name"],
        title=table["title"],
        no_data=frozenset(reading["no_data"]),
        forgive_case=reading["forgive_case"],
        repeated=reading["repeated"],
        bad_utf8=reading["bad_utf8"],
        label_column=label["column"],
        positive=frozenset(label["positive"]),
        negative=frozenset(label["negative"]),
        form=answer["form"],
        text=answer.get("text", "class"),
        threshold=float(answer["threshold"]),
        flag=answer.get("flag", "pagador"),
        positive_name=answer["positive"],
        negative_name=answer["negative"],
        own_faults=table.get("faults", {}),
        parameters=tuple(_parameter(item) for item in table["parameters"]),
        columns=tuple(_column(item) for item in table["columns"]),
        demonstration=table.get("demonstration", {}),
        training=_training(table.get("training", {})),
        fingerprint=files.sha256(canonical.encode("ascii"))[:16],
    )


def _training(item: Mapping[str, Any]) -> Training:
    return Training(**{**item, "segments": tuple(item.get("segments", ()))})


def _parameter(item: Mapping[str, Any]) -> Parameter:
    values = dict(item)
    values |= {name: tuple(values[name]) for name in ("values", "shares") if name in values}
    if isinstance(values.get("otherwise"), int):
        values["otherwise"] = float(values["otherwise"])
    if "quantiles" in values:
        values["quantiles"] = tuple((float(p), float(q)) for p, q in values["quantiles"])
    return Parameter(**values)


def _column(item: Mapping[str, Any]) -> Column:
    steps = tuple(step for (step,) in map(dict.items, item["steps"]))
    return Column(item["name"], item["from"], steps)


def _unchanged(parameter: Parameter) -> Column:
    """The column that is the value of a parameter, with nothing done to it."""
    places = {text: place for place, text in enumerate(parameter.texts)}
    step = ("map", places) if parameter.is_category else ("value", True)
    return Column(parameter.feature, parameter.name, (step,))


def _check(contract: Contract) -> None:
    names = [parameter.name for parameter in contract.parameters]
    _require(len(set(names)) == len(names), "hay dos parámetros con el mismo nombre")
    columns = contract.column_names
    _require(len(set(columns)) == len(columns) > 0, "hay dos columnas con el mismo nombre")
    _require(contract.form in ("json", "text", "html"), "answer.form: json, text o html")
    _require(contract.text in ("class", "numpy"), "answer.text: class o numpy")
    _require(contract.repeated in ("refuse", "first"), "reading.repeated: refuse o first")
    _require(contract.bad_utf8 in ("refuse", "replace"), "reading.bad_utf8: refuse o replace")
    for code, texts in contract.own_faults.items():
        _check_sentence(code, texts)
    for parameter in contract.parameters:
        _check_parameter(parameter, contract)
    training = contract.training
    for name in (*training.segments, *((training.amount,) if training.amount else ())):
        _require(name in names, f"training: no existe el parámetro {name!r}")
    for column in contract.columns:
        _require(column.source in names, f"{column.name}: no existe {column.source!r}")
        _check_steps(column, contract.parameter(column.source))


def _check_sentence(code: str, texts: Mapping[str, str]) -> None:
    """Write the sentence once, as it is when a fault is told: then it must not fail."""
    _require(set(LANGUAGES) <= set(texts), f"faults.{code}: faltan textos en es o en")
    for language in LANGUAGES:
        try:
            faults.sentence(code, "p", language, own={code: texts})
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ContractError(
                f"contrato: faults.{code}.{language}: entre llaves solo valen {{p}}, {{admits}} "
                f"y {{used}}; una llave suelta se escribe doble ({error})"
            ) from error


def _check_parameter(parameter: Parameter, contract: Contract) -> None:
    name = parameter.name
    _require(parameter.kind in KINDS, f"{name}: kind debe ser {', '.join(KINDS)}")
    for texts in (parameter.label, parameter.help or parameter.label):
        _require(set(LANGUAGES) <= set(texts), f"{name}: faltan textos en es o en")
    if parameter.is_category:
        _require(bool(parameter.values), f"{name}: faltan values")
        fill = () if parameter.fill is None else (parameter.fill,)
        targets = {*parameter.synonyms.values(), *fill}
        _require(targets <= set(parameter.values), f"{name}: synonyms o fill fuera de values")
        shares = len(parameter.shares)
        _require(shares in (0, len(parameter.values)), f"{name}: un share por valor")
    wanted, what = (str, "un texto") if parameter.is_category else (int | float, "un número")
    for word, value in (("fill", parameter.fill), ("otherwise", parameter.otherwise)):
        fits = value is None or isinstance(value, wanted)
        _require(fits, f"{name}: {word} debe ser {what}")
    known = parameter.fault is None or parameter.fault in {*faults.TEXTS, *contract.own_faults}
    _require(known, f"{name}: fault {parameter.fault!r} no tiene texto")


def _check_steps(column: Column, parameter: Parameter) -> None:
    for place, (verb, argument) in enumerate(column.steps):
        _require(verb in STEPS, f"{column.name}: paso {verb!r}; hay {', '.join(STEPS)}")
        fits = (verb == "map") == (place == 0 and parameter.is_category)
        _require(fits, f"{column.name}: una categoría empieza por map, y un número no lo lleva")
        if verb == "map":
            whole = set(argument) == set(parameter.texts)
            _require(whole, f"{column.name}: map debe nombrar cada valor")
        if verb in ("clip", "band"):
            low, high = argument
            _require(low <= high, f"{column.name}: {verb} va de menor a mayor")
        if verb in ("divide", "floor_divide"):
            _require(argument != 0, f"{column.name}: {verb} entre 0")
    begins = column.steps[0][0] if column.steps else ""
    fits = not parameter.optional or begins in ("present", "value")
    _require(fits, f"{column.name}: {parameter.name} puede faltar: empiece por present o value")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise ContractError(f"contrato: {problem}")
