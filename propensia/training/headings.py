"""Which column of a table is which of the contract, and what is wrong with the heading.

It never guesses: a column of almost the right name is named, and the person says whether it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from propensia.contract import Contract
from propensia.files import shown
from propensia.likeness import folded, unclaimed
from propensia.training.results import ACCEPTED, Finding


@dataclass(frozen=True, slots=True)
class Columns:
    """The table's columns by what they are: ``parameters`` by the contract's short names.

    ``date`` and ``key`` are ``None`` where the table has none.
    """

    parameters: Mapping[str, str]
    label: str
    date: str | None
    key: str | None

    @property
    def names(self) -> list[str]:
        """Every column that is read, each once."""
        optional = [name for name in (self.date, self.key) if name is not None]
        return list(dict.fromkeys([*self.parameters.values(), self.label, *optional]))


def resolve(
    heading: Sequence[str],
    contract: Contract,
    *,
    renamed: Mapping[str, str],
    allow: Collection[str],
    date: str | None,
    key: str | None,
) -> tuple[Columns | None, list[Finding]]:
    """The columns of the contract in a table, or ``None`` where one is missing; the findings.

    A parameter's column has its feature name, else its short name; ``renamed`` gives the table's
    name by either. ``date`` and ``key``: the contract's where ``None``, none where ``""``.
    """
    look = _Look(heading, contract, renamed)
    look.refuse_unknown(allow)
    parameters = {p.name: look.find(p.feature, p.name) for p in contract.parameters}
    label = look.find(contract.label_column)
    if label is not None and contract.label_column not in renamed:
        look.refuse_look_alikes(label, allow)
    training = contract.training
    found_date = look.optional(date, training.date, WITHOUT_DATE)
    found_key = look.optional(key, training.key, WITHOUT_KEY)
    known = {name: column for name, column in parameters.items() if column is not None}
    if label is None or len(known) < len(parameters) or any(f.fatal for f in look.findings):
        return None, look.findings
    return Columns(known, label, found_date, found_key), look.findings


@dataclass(frozen=True, slots=True)
class _Lack:
    """A column that a table may lack: its option, and what to say of a table without it."""

    code: str
    option: str
    what: str
    consequence: str


WITHOUT_DATE = _Lack("sin_fecha", "--date", "la fecha", "la evaluación no será por tiempo")
WITHOUT_KEY = _Lack(
    "sin_clave",
    "--key",
    "el cliente",
    "no se sabe qué filas son del mismo cliente: solo van juntas las copias",
)


class _Look:
    """A heading under inspection; ``findings`` grow as columns are looked for."""

    def __init__(
        self, heading: Sequence[str], contract: Contract, renamed: Mapping[str, str]
    ) -> None:
        self.heading = heading
        self.renamed = renamed
        self.findings: list[Finding] = []
        training = contract.training
        self.wanted = {
            *(p.feature for p in contract.parameters),
            *(p.name for p in contract.parameters),
            contract.label_column,
            *(name for name in (training.date, training.key) if name),
        }
        for name in sorted(set(renamed) - self.wanted):
            text = f"En --column {shown(name)}=…, «{shown(name)}» no es una columna del contrato"
            self._add("columna_desconocida", name, text, fatal=True)

    def refuse_unknown(self, allow: Collection[str]) -> None:
        """A finding for each column that the person allows and nobody knows."""
        for name in sorted(set(allow) - self.wanted - set(self.heading)):
            text = f"En --allow, «{shown(name)}» no es una columna del contrato ni de la tabla"
            self._add("columna_desconocida", name, text, fatal=True)

    def find(self, *names: str) -> str | None:
        """The table's column of the first of these names; a finding where there is none."""
        said = next((self.renamed[name] for name in names if name in self.renamed), None)
        tried = names if said is None else (said,)  # what the person said must be true
        found = next((name for name in tried if name in self.heading), None)
        if found is None:
            self._add("falta_columna", names[0], self._missing(names[0], said), fatal=True)
        return found

    def optional(self, said: str | None, usual: str | None, lack: _Lack) -> str | None:
        """A column the table may lack; a person who names it must be right."""
        if said:
            return self._told(said, lack)
        if said is None and usual is not None:
            if usual in self.renamed or usual in self.heading:
                return self.find(usual)
            near = self._near(usual)
            hint = f" (¿es «{shown(near)}»? Use {_option(usual, near)})" if near else ""
            text = f"La tabla no tiene la columna {usual}{hint}"
            self._add(lack.code, usual, f"{text}: {lack.consequence}")
            return None
        text = f"El contrato no dice qué columna es {lack.what} ({lack.option})"
        if said is not None:
            text = f"Como pide {lack.option}, ninguna columna es {lack.what}"
        self._add(lack.code, "", f"{text}: {lack.consequence}")
        return None

    def _told(self, said: str, lack: _Lack) -> str | None:
        """The column that the person named as the date or the key; it must be there."""
        if said in self.heading or said in self.renamed:
            return self.find(said)
        near = self._near(said)
        hint = "diga una de las suyas"
        if near is not None:
            name = shown(near)
            hint = f"¿es «{name}»? Use {lack.option} " + (f'"{name}"' if " " in name else name)
        text = f"La tabla no tiene la columna «{shown(said)}» de {lack.option}; {hint}"
        self._add("falta_columna", said, text, fatal=True)
        return None

    def refuse_look_alikes(self, label: str, allow: Collection[str]) -> None:
        """A finding where a second column could as well be the label."""
        others = [n for n in self.heading if n != label and folded(n) == folded(label)]
        for other in others:
            allowed = bool({label, other} & set(allow))
            todo = f"diga cuál es con {_option(label, label)}, o quite la otra"
            if allowed:
                todo = f"se usa la primera, {ACCEPTED}"
            text = f"Dos columnas pueden ser la etiqueta, «{label}» y «{shown(other)}»: {todo}"
            self.findings.append(
                Finding("dos_objetivos", label, text, fatal=not allowed, allowable=True)
            )

    def _missing(self, wanted: str, said: str | None) -> str:
        if said is not None:
            return f"Falta {wanted}: la tabla no tiene la columna «{shown(said)}» de --column"
        near = self._near(wanted)
        if near is None:
            return f"Falta {wanted}; si tiene otro nombre, dígalo con --column {wanted}=NOMBRE"
        return f"Falta {wanted}; ¿es «{shown(near)}»? Use {_option(wanted, near)}"

    def _near(self, wanted: str) -> str | None:
        """The column whose name is most like it, among those that are nobody else's."""
        return unclaimed(wanted, self.heading, self.wanted)

    def _add(self, code: str, column: str, text: str, *, fatal: bool = False) -> None:
        self.findings.append(Finding(code, column, text, fatal=fatal))


def _option(wanted: str, column: str) -> str:
    name = shown(column)
    return f'--column {wanted}="{name}"' if " " in name else f"--column {wanted}={name}"
