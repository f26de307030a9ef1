"""The charts of the panel, as plain series for the script of the page, and the same in tables.

Every number of a chart is in its table too. Never reads a file or a database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from propensia import months
from propensia.contract import Contract
from propensia.web import pages

Table = dict[str, Any]
COHORTS = 6
NARROW = "\N{NARROW NO-BREAK SPACE}"
SPANISH = str.maketrans(",.", NARROW + ",")


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of the panel in one language, and numbers and times as it writes them."""

    texts: dict[str, str]
    language: str

    def __getitem__(self, key: str) -> str:
        return self.texts[key]

    def fill(self, key: str, **parts: str) -> str:
        """A sentence with its blanks filled in."""
        return self.texts[key].format(**parts)

    def counted(self, key: str, count: int) -> str:
        """A sentence about so many, in the singular of one."""
        return self.fill(f"{key}_one" if count == 1 else key, n=self.count(count))

    def reason(self, one: Table) -> str:
        """Why a finding has no value."""
        told = one["detalle"]
        spanish = told.get("reason", "?")
        return str(told.get("reason_en", spanish) if self.language == "en" else spanish)

    def of(self, one: Table) -> str:
        """What a finding is of: a month, or the answers until a day."""
        if (month := month_of(one)) is not None:
            return months.named(month, self.language)
        return self.on(one["momento"])

    def number(self, value: float, decimals: int) -> str:
        """A number with so many decimals, in groups of three from 10 000 on."""
        text = f"{value:,.{decimals}f}" if abs(value) >= 10_000 else f"{value:.{decimals}f}"
        if self.language == "es":
            text = text.translate(SPANISH)
        return text.replace("-", "\N{MINUS SIGN}")

    def figure(self, value: float) -> str:
        """A figure of a model: three decimals, or a whole number where it is large."""
        return self.number(value, 3 if abs(value) < 10 else 0)

    def count(self, value: int) -> str:
        """A whole number."""
        return self.number(value, 0)

    def percent(self, share: float, decimals: int) -> str:
        """A share in [0, 1], as pages write it."""
        return pages.percent(share, self.language, decimals)

    def euros(self, amount: float) -> str:
        """An amount of money, without cents."""
        if self.language == "en":
            return f"€{self.number(amount, 0)}"
        return f"{self.number(amount, 0)}{NARROW}€"

    def milliseconds(self, value: float) -> str:
        """A time of an answer."""
        return f"{self.number(value, 1 if value < 100 else 0)}{NARROW}ms"

    def between(self, one: Table) -> str:
        """The interval of a finding; empty without one."""
        if one["desde"] is None or one["hasta"] is None:
            return ""
        return f"{self.figure(one['desde'])} – {self.figure(one['hasta'])}"  # noqa: RUF001

    def age(self, milliseconds: int) -> str:
        """How long ago, roughly."""
        minutes = milliseconds // 60_000
        if minutes < 2:
            return self["moment_ago"]
        if minutes < 120:
            age = self.fill("minutes", n=str(minutes))
        elif minutes < 48 * 60:
            age = self.fill("hours", n=str(minutes // 60))
        else:
            age = self.fill("days", n=str(minutes // (24 * 60)))
        return self.fill("ago", age=age)

    def on(self, at: int) -> str:
        """The day of a moment where this machine stands."""
        return self.day(local(at).date())

    def day(self, day: date) -> str:
        """A day: 20/11/2026, or 2026-11-20 in English, which two habits would read differently."""
        return f"{day:%d/%m/%Y}" if self.language == "es" else day.isoformat()

    def clock(self, at: int) -> str:
        """Hours and minutes of a moment."""
        return f"{local(at):%H:%M}"

    def moment(self, at: int) -> str:
        """Day, hours and minutes of a moment."""
        return f"{self.on(at)} {self.clock(at)}"


def local(at: int) -> datetime:
    """A moment, given in ms since 1970, where this machine stands."""
    return datetime.fromtimestamp(at / 1000, UTC).astimezone()


def month_of(one: Table) -> str | None:
    """The month that a finding is of, as YYYY-MM; ``None`` where it is of another time."""
    month = one["detalle"].get("cohort")
    return month if isinstance(month, str) and months.middle(month) is not None else None


def _place(one: Table) -> str:
    """Where a point stands in time: that of a month, in its middle."""
    month = month_of(one)
    if month is not None:
        return f"{months.middle(month)} 12:00"
    return f"{local(one['momento']):%Y-%m-%d %H:%M}"


def answers(data: Table, contract: Contract, words: Words) -> list[Table] | None:
    """Answers by hour and by day, positive and negative; ``None`` where there are none."""
    if not any(row[1] for row in [*data["horas"], *data["dias"]]):
        return None
    positive = contract.positive_name[words.language]
    negative = contract.negative_name[words.language]
    hours = [(f"{local(row[0]):%Y-%m-%d %H:%M}", words.moment(row[0])) for row in data["horas"]]
    days = [(row[0], words.day(date.fromisoformat(row[0]))) for row in data["dias"]]
    charts = []
    for name, title, head, places, rows in (
        ("hours", "by_hour", "hour", hours, data["horas"]),
        ("days", "by_day", "date", days, data["dias"]),
    ):
        counts = [(row[1], row[2]) for row in rows]
        charts.append(
            {
                "id": name,
                "title": words[title],
                "head": [words[head], words["all"], positive, negative],
                "rows": [
                    [shown, words.count(all_), words.count(yes), words.count(all_ - yes)]
                    for (_, shown), (all_, yes) in zip(places, counts, strict=True)
                ][::-1],
                "chart": {
                    "kind": "stack",
                    "x": [place for place, _ in places],
                    "names": [positive, negative],
                    "series": [[yes for _, yes in counts], [all_ - yes for all_, yes in counts]],
                },
            }
        )
    return charts


def scores(data: Table, words: Words) -> Table | None:
    """How the scores lie now and lay in the training; ``None`` before the first answer."""
    counts, trained = data["puntuaciones"]["cuentas"], data["puntuaciones"]["entrenamiento"]
    total = sum(counts)
    if not total:
        return None
    shares = [count / total for count in counts]
    steps = len(counts)
    ranges = [
        f"{words.number(100 * i / steps, 0)}–{words.number(100 * (i + 1) / steps, 0)}{NARROW}%"  # noqa: RUF001
        for i in range(steps)
    ]
    rows = []
    for place, name in enumerate(ranges):
        row = [name, words.percent(shares[place], 1)]
        rows.append([*row, words.percent(trained[place], 1)] if trained else row)
    head = [words["range"], words["now"], *([words["training"]] if trained else [])]
    days = data["puntuaciones"]["dias"]
    return {
        "id": "scores",
        "title": words.fill(
            "scores_caption",
            days=words.counted("last_days", days),
            answers=words.counted("answers_of", total),
        ),
        "head": head,
        "rows": rows,
        "compared": bool(trained),
        "chart": {
            "kind": "scores",
            "x": [100 * (place + 0.5) / steps for place in range(steps)],
            "width": 100 / steps,
            "names": [words["now"], words["training"]],
            "series": [_hundredths(shares), _hundredths(trained) if trained else []],
            "unit": NARROW + "%" if words.language == "es" else "%",
            "threshold": 100 * data["modelo"]["umbral"] if data["modelo"] else None,
            "line": words["threshold_line"],
        },
    }


def performance(data: Table, words: Words) -> Table | None:
    """The AUC over time; ``None`` before two points of one kind."""
    series: dict[str, list[Table]] = {"estimated": [], "realised": []}
    for one in data["evolucion"]:
        if one["tema"] == "auc" and one["valor"] is not None and one["clase"] in series:
            series[one["clase"]].append(one)
    if not any(series.values()):
        return None
    rows = [
        [
            words[kind],
            words.of(one) if month_of(one) else words.moment(one["momento"]),
            one["version"],
            words.figure(one["valor"]),
            words.between(one),
        ]
        for kind, points in series.items()
        for one in reversed(points)
    ]
    return {
        "id": "auc",
        "title": words["performance_caption"],
        "head": [
            *(words["measure"], words["of_time"], words["of_version"], "AUC", words["low_high"]),
        ],
        "rows": rows,
        "chart": {
            "kind": "course",
            "names": [words[kind] for kind in series],
            "x": [[_place(one) for one in points] for points in series.values()],
            "series": [[one["valor"] for one in points] for points in series.values()],
            "low": [[one["desde"] for one in points] for points in series.values()],
            "high": [[one["hasta"] for one in points] for points in series.values()],
            "limit": data["limites"]["auc"],
            "line": words["limit_line"],
        },
    }


def maturity(course: Iterable[Table], words: Words) -> Table | None:
    """Which share of all the answers of a month had paid after so many days, a line for each of
    the last months."""
    cohorts: dict[int, dict[int, list[tuple[float, float]]]] = {}
    named: dict[int, str] = {}
    for one in course:
        if one["clase"] == "maturity" and one["valor"] is not None and one["tema"].isdecimal():
            at, rows = one["momento"], float(one["detalle"].get("rows", 1))
            named[at] = words.of(one)
            parts = cohorts.setdefault(at, {}).setdefault(int(one["tema"]), [])
            parts.append((rows, rows * one["valor"]))
    if not cohorts:
        return None
    chosen = sorted(cohorts)[-COHORTS:]
    paid = {at: {day: _whole(parts) for day, parts in cohorts[at].items()} for at in chosen}
    days = sorted({day for at in chosen for day in paid[at]})
    return {
        "id": "maturity",
        "title": words["maturity_caption"],
        "head": [words["month"], *(words.fill("after_days", n=str(day)) for day in days)],
        "rows": [
            [named[at], *(_share(paid[at].get(day), words) for day in days)]
            for at in reversed(chosen)
        ],
        "chart": {
            "kind": "lines",
            "x": [0, *days],
            "names": [named[at] for at in chosen],
            "series": [
                [0, *(100 * paid[at][day] if day in paid[at] else None for day in days)]
                for at in chosen
            ],
            "title": words["days_after"],
            "unit": NARROW + "%" if words.language == "es" else "%",
        },
    }


def _whole(parts: Iterable[tuple[float, float]]) -> float:
    """The share of all from the rows of each version and those of them that paid."""
    parts = list(parts)
    return sum(paid for _, paid in parts) / max(sum(rows for rows, _ in parts), 1.0)


def _share(share: float | None, words: Words) -> str:
    return "" if share is None else words.percent(share, 1)


def deciles(found: Iterable[Table], words: Words) -> Table | None:
    """Foreseen and paid by decile, the highest scores first, and euros where they are known."""
    of: dict[str, dict[str, Table]] = {"calibration": {}, "lift": {}}
    for one in found:
        if one["clase"] in of and one["tema"].isdecimal() and one["valor"] is not None:
            of[one["clase"]][one["tema"]] = one
    rates = sorted(of["calibration"].values(), key=lambda one: int(one["tema"]))
    if not rates:
        return None
    foreseen = [_detail(one, "chance") for one in rates]
    lifts = sorted(of["lift"].values(), key=lambda one: int(one["tema"]))
    euros = [_detail(one, "euros") for one in lifts] if len(lifts) == len(rates) else []
    known = any(amount is not None for amount in euros)
    head = [words["decile"], words["foreseen"], words["paid_share"]]
    rows = []
    for place, one in enumerate(rates):
        row = [str(place + 1), _share(foreseen[place], words), words.percent(one["valor"], 1)]
        amount = euros[place] if known else None
        rows.append([*row, "" if amount is None else words.euros(amount)] if known else row)
    return {
        "id": "deciles",
        "title": words.fill(
            "deciles_caption", month=words.of(rates[0]), version=rates[0]["version"]
        ),
        "head": [*head, words["euros"]] if known else head,
        "rows": rows,
        "chart": {
            "kind": "deciles",
            "x": [place + 1 for place in range(len(rates))],
            "names": [words["foreseen"], words["paid_share"], words["euros"]],
            "series": [
                _hundredths(foreseen),
                _hundredths([one["valor"] for one in rates]),
                euros if known else [],
            ],
            "title": words["decile"],
            "money": words.euros(0).split("0"),
            "unit": NARROW + "%" if words.language == "es" else "%",
        },
    }


def _detail(one: Table, name: str) -> float | None:
    value = one["detalle"].get(name)
    return float(value) if isinstance(value, int | float) else None


def _hundredths(shares: Sequence[float | None]) -> list[float | None]:
    return [None if share is None else round(100 * share, 4) for share in shares]
