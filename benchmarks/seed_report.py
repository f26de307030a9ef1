"""The tables about the seed project's models, in Spanish, for the analysts' page.

It computes nothing but means and spreads, and the published figures are never rounded anew.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

BEGIN = "<!-- tabla: la escribe python -m benchmarks seed -->"
END = "<!-- fin de la tabla -->"


class MarksMissing(ValueError):
    """A page has no place for the tables."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What is said of a model: accuracies at one half, AUC, mean losses, calibration error, mean
    probability, and the share of payers among the rows that it was judged on."""

    train_accuracy: float | None
    accuracy: float
    auc: float
    log_loss: float
    brier: float
    calibration: float
    mean_chance: float
    rate: float


_HEADINGS = (
    "acierto al entrenar",
    "acierto en la prueba",
    "AUC",
    "pérdida logarítmica",
    "Brier",
    "error de calibración",
    "probabilidad media",
    "pagan",
)
_SHARES = (0, 1, 6, 7)
"""The places of the figures that are told in per cent."""

_TITLES = {
    "base": "Bosque de 500 árboles, profundidad 10",
    "searched": "Bosque buscado (200 árboles, profundidad 11, sin bootstrap), el que se servía",
    "network": "Red neuronal 27/352/480/1, 48 épocas",
}
_SHORT = {"base": "Bosque de 500 árboles", "searched": "Bosque buscado", "network": "Red neuronal"}
_WAYS = {
    "recipe": "la receta: equilibrar y después separar",
    "inside": "separar primero; equilibrar solo lo que se aprende",
    "real": "separar primero; aprender de las filas reales",
    "truth": "techo de esa prueba: la probabilidad verdadera",
    "recipe_new": "deudores nuevos: el modelo de la receta",
    "inside_new": "deudores nuevos: el que equilibró solo lo que se aprende",
    "real_new": "deudores nuevos: el de las filas reales",
    "truth_new": "deudores nuevos: techo, la probabilidad verdadera",
}
_MOVES = {
    ("recipe", "recipe_new"): "la receta: de su prueba a los deudores nuevos",
    (
        "recipe_new",
        "inside_new",
    ): "deudores nuevos: de la receta a separar primero",
    ("inside_new", "real_new"): "deudores nuevos: de equilibrar a aprender de las filas reales",
    ("real_new", "truth_new"): "deudores nuevos: de las filas reales al techo",
}
"""What is compared, from and to; both were measured on the same tables."""

PUBLISHED: Mapping[str, tuple[str, ...]] = {
    "base": ("79,4–80,7 %", "73,4–75,1 %", "0,83", "", "", "", "", "50 %"),  # noqa: RUF001
    "searched": ("83,2–83,4 %", "75,8–76,2 %", "", "", "", "", "", "50 %"),  # noqa: RUF001
    "network": ("78,0 %", "69,5–72,1 %", "", "0,598–0,613", "", "", "", "50 %"),  # noqa: RUF001
}
"""The figures that the seed project printed, of all its stored runs."""

Found = Mapping[str, Mapping[str, Sequence[Figures]]]


def document(found: Found, rows: int, further: int, repeats: int) -> str:
    """The tables in Markdown: each model judged each way, and how far each figure moves."""
    parts = [
        f"Media de {repeats} tablas generadas de {_whole(rows)} filas, ± la desviación típica "
        f"entre ellas. Los deudores nuevos de cada una son otra tabla de {_whole(further)} filas, "
        "la misma para todos los modelos."
    ]
    for name, ways in found.items():
        parts.append(f"### {_TITLES[name]}\n\n{_table(name, ways)}")
    parts.append(f"### Cuánto se mueve cada cifra\n\n{_moves(found)}")
    return "\n\n".join(parts)


def replaced(page: str, text: str) -> str:
    """The page with the text between its marks. Raises `MarksMissing`."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise MarksMissing(f"the page has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _table(name: str, ways: Mapping[str, Sequence[Figures]]) -> str:
    lines = [_line(("cómo se juzga", *_HEADINGS)), f"|{'---|' * (1 + len(_HEADINGS))}"]
    lines.append(_line(("publicado", *PUBLISHED[name])))
    lines += [_line((title, *_cells(ways[way]))) for way, title in _WAYS.items()]
    rate = statistics.fmean(figures.rate for figures in ways["truth_new"])
    nobody = ("deudores nuevos: decir «nadie paga»", "", _percent(1 - rate), "0,500")
    return "\n".join([*lines, _line((*nobody, "", "", "", "0 %", _percent(rate)))])


def _moves(found: Found) -> str:
    """The figure arrived at less the one left, table by table."""
    lines = [_line(("modelo", "qué se compara", *_HEADINGS[1:7])), f"|{'---|' * 8}"]
    for name, ways in found.items():
        for (before, after), title in _MOVES.items():
            pairs = list(zip(ways[before], ways[after], strict=True))
            cells = []
            for place in range(1, 7):
                moved = [astuple(b)[place] - astuple(a)[place] for a, b in pairs]
                cells.append(_spread(moved, place in _SHARES, signed=True))
            lines.append(_line((_SHORT[name], title, *cells)))
    return "\n".join(lines)


def _cells(figures: Sequence[Figures]) -> list[str]:
    columns = zip(*(astuple(one) for one in figures), strict=True)
    return [
        "" if None in column else _spread(column, place in _SHARES)
        for place, column in enumerate(columns)
    ]


def _spread(values: Sequence[float], share: bool, signed: bool = False) -> str:
    scale, decimals, unit = (100, 1, " %") if share else (1, 3, "")
    sign = "+" if signed else ""
    if share and signed:
        unit = " puntos"
    text = f"{scale * statistics.fmean(values):{sign}.{decimals}f}"
    if len(values) > 1:
        text += f" ± {scale * statistics.stdev(values):.{decimals}f}"
    return f"{text}{unit}".replace(".", ",").replace("-", "−")  # noqa: RUF001 - a minus sign


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %".replace(".", ",")


def _whole(number: int) -> str:
    return f"{number:,}".replace(",", ".")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
