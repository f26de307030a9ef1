"""Draws ``resultado.svg``: the verdict, reasons and notices of the result page, as one picture.

Every word and number comes from a real answer of the demonstration model to the documented
example; nothing is typed in by hand. Run it from the repository:

    uv run python docs/images/make_picture.py
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from propensia import contract as contracts
from propensia import keeper, settings
from propensia.registry import Registry
from propensia.serving import Serving
from propensia.web import pages
from propensia.web.prediccion import Scoring, answer_shape
from propensia.web.problems import Problem

PICTURE = Path(__file__).with_name("resultado.svg")
LANGUAGE = "es"
WIDTH, EDGE = 880, 36
INSIDE = WIDTH - 2 * EDGE
# The colours of propensia.css, light scheme.
INK, SOFT, LINE, PAGE, CARD = "#17252d", "#50626c", "#cfd8dc", "#f4f6f7", "#ffffff"
YES, NO, TRACK, OVER = "#12667f", "#a04a00", "#e3e9ec", "#c3d9e0"
FONT = "system-ui, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"


def main() -> None:
    """Score the example with a demonstration model made for the occasion, and draw the answer."""
    with tempfile.TemporaryDirectory() as folder:
        context = _result(Path(folder))
    PICTURE.write_text("\n".join(drawing(context)) + "\n", encoding="utf-8", newline="\n")
    print(PICTURE)


def _result(folder: Path) -> dict[str, Any]:
    """What the result page shows for the contract's example, with five reasons."""
    chosen = settings.load(
        {"PROPENSIA_MODELS": str(folder / "models"), "PROPENSIA_STATE": str(folder / "var")}
    )
    contract, registry = contracts.load(chosen.contract), Registry(chosen.state)
    registry.prepare()
    keeper.prepare(chosen, contract, registry, print)
    serving = Serving(contract, registry)
    serving.tick()
    scoring = Scoring(serving)
    raw = urlencode(contract.example() | {"motivos": "5"})
    query = scoring.read(raw)
    answer = scoring.score(raw, query, LANGUAGE)
    if isinstance(answer, Problem):
        sys.exit(answer.text().decode("utf-8"))
    fields = [{"name": p.name, "label": p.label[LANGUAGE]} for p in contract.parameters]
    shape = answer_shape(answer, query, contract, LANGUAGE)
    address = "http://127.0.0.1:5000/prediccion"
    return pages.result_page(shape, fields, query.texts, address, LANGUAGE)


def drawing(context: dict[str, Any]) -> list[str]:
    """The lines of the SVG."""
    top_of_reasons, top_of_notices = 330, 330 + 96 + 40 * len(context["reasons"])
    height = top_of_notices + 64 + 52 * len(context["notices"]) + EDGE
    title = escape(f"{context['verdict']}, {context['probability']}")
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-labelledby="t" font-family="{FONT}" fill="{INK}">',
        f'<title id="t">{title}. {escape(context["sentence"])}</title>',
        f'<rect width="{WIDTH}" height="{height}" fill="{PAGE}"/>',
        *_verdict(context),
        *_reasons(context, top_of_reasons),
        *_notices(context, top_of_notices),
        "</svg>",
    ]


def _verdict(context: dict[str, Any]) -> Iterator[str]:
    tone = _tone(context)
    mark = "M48 93l5.5 5.5L64 87" if context["answer"]["pagador"] else "M49 92h14"
    yield from _card(20, 290)
    yield f'<rect x="16" y="20" width="{WIDTH - 32}" height="6" rx="3" fill="{tone}"/>'
    yield _text(EDGE, 62, 16, context["t"]["class"], SOFT)
    yield f'<circle cx="56" cy="92" r="17" fill="{tone}"/>'
    yield f'<path d="{mark}" fill="none" stroke="{CARD}" stroke-width="3.5"/>'
    yield _text(86, 104, 34, context["verdict"], weight=700)
    yield _text(WIDTH - EDGE, 62, 16, context["t"]["probability"], SOFT, "end")
    yield _text(WIDTH - EDGE, 106, 42, context["probability"], anchor="end", weight=650)
    yield from _gauge(context, 150)
    yield _text(EDGE, 280, 17, context["sentence"])


def _tone(context: dict[str, Any]) -> str:
    return YES if context["answer"]["pagador"] else NO


def _gauge(context: dict[str, Any], top: int) -> Iterator[str]:
    """The page's own scale: where the bar ends and where the threshold stands."""
    left, width = EDGE + 14, INSIDE - 28
    at, line = (left + width * _share(context["gauge"][key]) for key in ("at", "line"))
    label = f"{context['t']['threshold']} {context['threshold']}"
    yield _text(line, top + 14, 15, label, anchor=context["gauge"]["anchor"])
    yield _box(left, top + 32, width, 22, TRACK)
    yield _box(line, top + 32, left + width - line, 22, OVER)
    yield _box(left, top + 32, at - left, 22, _tone(context))
    yield f'<path d="M{line:.1f} {top + 21}v39" stroke="{INK}" stroke-width="2.5"/>'
    yield (
        f'<circle cx="{at:.1f}" cy="{top + 43}" r="12" fill="{CARD}" stroke="{_tone(context)}" '
        'stroke-width="4"/>'
    )
    for tick in (0, 25, 50, 75, 100):
        yield _text(left + width * tick / 100, top + 80, 14, str(tick), SOFT, "middle")


def _reasons(context: dict[str, Any], top: int) -> Iterator[str]:
    """The page's diverging bars: zero in the middle, the largest effect half the width."""
    reasons = context["reasons"]
    yield from _card(top, 80 + 40 * len(reasons))
    yield _text(EDGE, top + 34, 20, context["t"]["reasons_heading"], weight=650)
    left, width = 360.0, 400.0
    for place, reason in enumerate(reasons):
        y = top + 56 + 40 * place
        yield _text(EDGE, y + 20, 17, f"{reason['label']} ({reason['name']})")
        start = left + width * _share(reason["start"])
        tone = YES if reason["raises"] else NO
        yield _box(start, y + 4, width * _share(reason["width"]), 22, tone)
        yield _text(WIDTH - EDGE, y + 20, 17, reason["effect"], anchor="end")
    below = top + 56 + 40 * len(reasons)
    yield f'<path d="M{left + width / 2} {top + 52}V{below}" stroke="{INK}" stroke-width="1.5"/>'


def _notices(context: dict[str, Any], top: int) -> Iterator[str]:
    notices = context["notices"]
    yield from _card(top, 64 + 52 * len(notices))
    yield _text(EDGE, top + 34, 20, context["t"]["notices_heading"], weight=650)
    for place, notice in enumerate(notices):
        y = top + 64 + 52 * place
        yield _text(EDGE, y, 17, f"{notice['label']} ({notice['name']})", weight=600)
        yield _text(EDGE, y + 24, 17, notice["message"])


def _card(top: int, height: int) -> Iterator[str]:
    yield (
        f'<rect x="16" y="{top}" width="{WIDTH - 32}" height="{height}" rx="10" fill="{CARD}" '
        f'stroke="{LINE}"/>'
    )


def _box(x: float, y: float, width: float, height: float, fill: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="4" '
        f'fill="{fill}"/>'
    )


def _text(
    x: float,
    y: float,
    size: int,
    words: str,
    fill: str = INK,
    anchor: str = "start",
    weight: int = 400,
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def _share(percent: str) -> float:
    return float(percent.rstrip("%")) / 100


if __name__ == "__main__":
    main()
