"""Turns fields, answers and problems into what the page templates show, in Spanish and English.

Never reads a request, never marks text as safe HTML, never keeps a value.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from propensia.web import copied
from propensia.web.texts import TEXTS

Context = dict[str, Any]
Plain = Mapping[str, Any]

SHOWN_LENGTH: Final = 120
"""Longest piece of a sent value that a page repeats, in characters."""

_REASONS: Final = 5
_INPUT_MODES: Final = {"number": "decimal", "integer": "numeric", "month": "numeric"}
# Control, format (direction marks), private, half and line-breaking characters: they would
# hide what was sent, or cannot be encoded at all.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


def form_page(
    fields: Sequence[Plain],
    model: Plain | None,
    language: str,
    values: Mapping[str, str] | None = None,
    faults: Plain | None = None,
) -> Context:
    """The context of ``form.html``, or of ``faults.html`` when ``faults`` is a problem.

    ``fields`` are the contract's parameters: name, label, feature, help, kind, choices, example,
    optional. ``model`` answers now: name, version, threshold, demonstration; ``None`` if there is
    none. ``values`` fill the form again; without them it shows the examples. A problem that the
    form cannot mend comes with no fields, and is shown without a form.
    """
    words = texts(language)
    examples = {f["name"]: f.get("example", "") for f in fields}
    sent = dict(values or ({} if faults else examples))
    wrong: dict[str, list[Plain]] = {}
    for error in (faults or {}).get("errores") or ():
        wrong.setdefault(str(error["parametro"]), []).append(error)
    pairs = _sent(fields, values or {})
    if pairs and sent.get("motivos"):
        pairs.append(("motivos", sent["motivos"]))
    title = words["error_prefix"] + faults["title"] if faults else words["form_title"]
    path = "prediccion" if faults and pairs else ""
    return frame(title, language, path, pairs) | {
        "model": model and {**model, "threshold": _threshold(model["threshold"], language)},
        "fields": [_field(f, sent, wrong.get(f["name"], ()), words) for f in fields],
        "reasons": _REASONS,
        "explain": not values or bool(values.get("motivos")),
        "problem": faults and _problem(faults, fields, words),
    }


def result_page(
    answer: Plain,
    fields: Sequence[Plain],
    values: Mapping[str, str],
    url: str,
    language: str,
    demonstration: bool = False,
    guarded: bool = False,
) -> Context:
    """The context of ``result.html`` for an answer of DESIGN §5.1.

    ``url`` is the absolute address of the scoring route; its query, if any, is replaced by
    ``values``, so that what is copied holds the contract's parameters and nothing else.
    ``guarded``: a key is asked for.
    """
    words = texts(language)
    pairs = _sent(fields, values)
    again = [*pairs, ("motivos", str(_REASONS))] if answer.get("motivos") else pairs
    shares = float(answer["probabilidad"]), float(answer["umbral"])
    shown, line = _percent_apart(*shares, language)
    labels = {f["name"]: f["label"] for f in fields}
    verdict = str(answer["clasificacion"])
    verdict = verdict[:1].upper() + verdict[1:]
    return frame(f"{verdict}, {shown}", language, "prediccion", again) | {
        "answer": answer,
        "reference": visible(answer.get("ref") or ""),
        "demonstration": demonstration,
        "verdict": verdict,
        "sentence": words["reaches" if answer["pagador"] else "below"].format(p=shown, u=line),
        "probability": shown,
        "threshold": line,
        "gauge": _gauge(*shares, words["gauge_title"].format(p=shown, u=line)),
        "reasons": _reasons(answer.get("motivos") or (), labels, language),
        "notices": [_notice(n, labels) for n in answer.get("avisos") or ()],
        "values": [_value(f, values, words) for f in fields],
        "boxes": copied.boxes(url, pairs, language, words, guarded),
        "back": "./?" + _query([*again, ("idioma", language)]),
    }


def docs_page(language: str, version: str) -> Context:
    """The context of ``docs.html``; ``version`` is that of the files that it loads."""
    return frame(texts(language)["docs_title"], language, "docs", []) | {"version": version}


def texts(language: str) -> dict[str, str]:
    """The page texts of one language ("es" or "en"), by key."""
    column = ("es", "en").index(language)
    return {key: pair[column] for key, pair in TEXTS.items()}


def number(value: float, language: str) -> str:
    """The number with the language's decimal sign and no thousands sign: 125,61."""
    return _localised(f"{value:.10g}", language)


def percent(share: float, language: str, decimals: int = 1) -> str:
    """The share in [0, 1] as a percentage: "62,3 %" with a thin space, or "62.3%".

    What would round to nothing or to everything is said to be "<0,1 %" or ">99,9 %".
    """
    step = 10.0**-decimals
    value, mark = share * 100, ""
    if 0 < value < step / 2:
        value, mark = step, "<"
    elif 100 - step / 2 <= value < 100:
        value, mark = 100 - step, ">"
    return mark + _localised(f"{value:.{decimals}f}%", language)


def visible(value: object, limit: int = SHOWN_LENGTH) -> str:
    """The value as one line that shows all its characters, cut to ``limit`` of them."""
    line = str(value)
    kept = line if len(line) <= limit else line[:limit] + "\u2026"
    return "".join("\ufffd" if unicodedata.category(c) in _INVISIBLE else c for c in kept)


# --- shared by the pages ----------------------------------------------------------------


def frame(title: str, language: str, path: str, pairs: list[tuple[str, str]]) -> Context:
    """What every page needs; ``root`` is the way from the page to the top of the site."""
    other = "en" if language == "es" else "es"
    form = [("formato", "html")] if path else []
    return {
        "title": title,
        "language": language,
        "other_language": other,
        "switch": f"./{path}?" + _query([*pairs, *form, ("idioma", other)]),
        "root": "./",
        "t": texts(language),
    }


def _sent(fields: Sequence[Plain], values: Mapping[str, str]) -> list[tuple[str, str]]:
    """The contract's parameters that were sent, in its order; an empty one says "no data"."""
    return [(f["name"], values[f["name"]]) for f in fields if f["name"] in values]


def _query(pairs: Iterable[tuple[str, str]]) -> str:
    return urlencode(list(pairs), errors="replace")


def _localised(digits: str, language: str) -> str:
    text = digits.replace("-", "\u2212")
    return text if language == "en" else text.replace(".", ",").replace("%", "\u202f%")


def _percent_apart(share: float, threshold: float, language: str) -> tuple[str, str]:
    """Both as percentages, with as many decimals as it takes to see which one is larger."""
    for decimals in range(1, 15):
        shown, line = f"{share * 100:.{decimals}f}", f"{threshold * 100:.{decimals}f}"
        if share == threshold or shown != line:
            break
    line = line.rstrip("0").rstrip(".") + "%"
    return percent(share, language, decimals), _localised(line, language)


def _threshold(threshold: float, language: str) -> str:
    return _percent_apart(threshold, threshold, language)[1]


# --- form and faults --------------------------------------------------------------------


def _field(
    field: Plain, sent: Mapping[str, str], errors: Sequence[Plain], words: Mapping[str, str]
) -> Context:
    name, choices = field["name"], field.get("choices") or ()
    raw = str(sent.get(name, ""))
    return {
        "name": name,
        "label": field["label"],
        "feature": field["feature"],
        "help": field.get("help", "").rstrip("."),
        "example": "" if choices else field.get("example", ""),
        "optional": field.get("optional", False),
        "value": visible(raw),
        "cut": len(raw) > SHOWN_LENGTH,
        "options": _options(raw, choices, words) if choices else [],
        "inputmode": _INPUT_MODES.get(field["kind"], "text"),
        "messages": [visible(e["mensaje"], 1000) for e in errors],
        "admits": _admits(errors[0].get("admite")) if errors else "",
        "described_by": f"error-{name} ayuda-{name}" if errors else f"ayuda-{name}",
    }


def _options(raw: str, choices: Sequence[str], words: Mapping[str, str]) -> list[Context]:
    """The choices, an empty one (no data is worth testing too), and what was sent instead."""
    sent = raw.strip().casefold()
    chosen = next((c for c in choices if c.casefold() == sent), "")
    options = [{"value": c, "text": c, "selected": c == chosen} for c in choices]
    options.append({"value": "", "text": words["no_data"], "selected": not sent})
    if sent and not chosen:
        options.append({"value": visible(raw), "text": visible(raw), "selected": True})
    return options


def _admits(admitted: object) -> str:
    if isinstance(admitted, list | tuple):
        return ", ".join(visible(a) for a in admitted)
    return visible(admitted or "", 1000)


def _problem(problem: Plain, fields: Sequence[Plain], words: Mapping[str, str]) -> Context:
    labels = {f["name"]: f["label"] for f in fields}
    errors = [
        {
            "label": labels.get(e["parametro"], ""),
            "parameter": visible(e["parametro"] or ""),
            "message": visible(e["mensaje"], 1000),
            "admits": _admits(e.get("admite")),
        }
        for e in problem.get("errores") or ()
    ]
    heading = words["faults_one" if len(errors) == 1 else "faults_many"].format(n=len(errors))
    return {
        "heading": heading if errors else problem["title"],
        "detail": visible(problem.get("detail") or "", 1000),
        "status": problem["status"],
        "id": problem.get("id") or "",
        "errors": errors,
    }


# --- result -----------------------------------------------------------------------------


def _gauge(share: float, threshold: float, title: str) -> Context:
    """Where the bar ends and the threshold stands, as SVG lengths of the scale's width."""
    anchor = "start" if threshold < 0.15 else "end" if threshold > 0.85 else "middle"
    return {
        "title": title,
        "at": f"{share * 100:.3f}%",
        "line": f"{threshold * 100:.3f}%",
        "rest": f"{(1 - threshold) * 100:.3f}%",
        "anchor": anchor,
    }


def _reasons(reasons: Sequence[Plain], labels: Mapping[str, str], language: str) -> list[Context]:
    """Rows of the diverging chart, strongest first; zero is in the middle, at 50%."""
    largest = max((abs(r["efecto"]) for r in reasons), default=0.0) or 1.0
    rows = []
    for reason in sorted(reasons, key=lambda r: -abs(r["efecto"])):
        effect = float(reason["efecto"])
        width = abs(effect) / largest * 50
        rows.append(
            {
                "name": visible(reason["parametro"]),
                "label": labels.get(reason["parametro"], ""),
                "raises": effect >= 0,
                "start": f"{50 if effect >= 0 else 50 - width:.3f}%",
                "width": f"{width:.3f}%",
                "effect": _localised(f"{effect * 100:+.1f}", language),
            }
        )
    return rows


def _notice(notice: Plain, labels: Mapping[str, str]) -> Context:
    return {
        "name": visible(notice["parametro"] or ""),
        "label": labels.get(notice["parametro"], ""),
        "message": visible(notice["mensaje"], 1000),
    }


def _value(field: Plain, values: Mapping[str, str], words: Mapping[str, str]) -> Context:
    raw = values.get(field["name"])
    absent = words["not_sent"] if raw is None else words["empty"]
    return {
        "name": field["name"],
        "label": field["label"],
        "value": visible(raw or ""),
        "absent": "" if raw else absent,
    }
