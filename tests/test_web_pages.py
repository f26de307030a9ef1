"""The pages and the admission report, rendered as the server renders them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from propensia.access import keys
from propensia.web import copied, pages
from propensia.web.texts import TEXTS

PACKAGE = Path(pages.__file__).parents[1]
SERVED = PACKAGE / "web" / "templates"
HOSTILE = "\"><script>alert('x')</script>&amp;\x00\u202e\ud800{{ 7*7 }}"
URL = "http://servidor:5000/prediccion"


def environment(folder: Path) -> Environment:
    return Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)


class Page(HTMLParser):
    """What a browser would find: the elements with their attributes, and the text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.markup = markup
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, *tags: str) -> Iterator[dict[str, str]]:
        return (attributes for tag, attributes in self.elements if tag in tags)

    def by_id(self, name: str) -> dict[str, str]:
        (found,) = [a for _, a in self.elements if a.get("id") == name]
        return found


def field(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "label": f"Dato {name}",
        "feature": name.upper(),
        "help": "Ayuda.",
        "kind": "number",
        "choices": [],
        "example": "1.5",
        "optional": False,
    } | changes


FIELDS = [
    field("aa", kind="category", choices=["PER", "FU"], example="FU"),
    field("bb", kind="integer", example="3"),
    field("cc"),
    field("ref", kind="text", example="", optional=True),
]
MODEL = {"name": "octubre", "version": "0123456789ab", "threshold": 0.425, "demonstration": False}
VALUES = {"aa": "PER", "bb": "3", "cc": "2,5"}
ANSWER: dict[str, Any] = {
    "id": "abc",
    "clasificacion": "pagador",
    "pagador": True,
    "probabilidad": 0.6234112,
    "umbral": 0.5,
    "modelo": "octubre",
    "version": "0123456789ab",
    "publicacion": 12,
    "avisos": [
        {
            "parametro": "bb",
            "codigo": "sin_dato",
            "mensaje": "No llegó: 71,99.",
            "valor_usado": 71.99,
        }
    ],
    "motivos": [{"parametro": "bb", "efecto": -0.04}, {"parametro": "aa", "efecto": 0.08}],
}
PROBLEM: dict[str, Any] = {
    "type": "about:blank",
    "title": "La petición no es válida",
    "status": 400,
    "detail": "No se ha calculado nada.",
    "id": "abc",
    "errores": [
        {"parametro": "aa", "codigo": "x", "mensaje": "No se conoce.", "admite": ["PER", "FU"]},
        {"parametro": "formato", "codigo": "x", "mensaje": "No se conoce.", "admite": "json"},
    ],
}


def shown(template: str, context: dict[str, Any]) -> Page:
    return Page(environment(SERVED).get_template(template).render(context))


def form(language: str = "es", **arguments: Any) -> Page:
    return shown("form.html", pages.form_page(FIELDS, MODEL, language, **arguments))


def faults(language: str = "es", **changes: Any) -> Page:
    arguments = {"values": VALUES, "faults": PROBLEM} | changes
    return shown("faults.html", pages.form_page(FIELDS, MODEL, language, **arguments))


def result(language: str = "es", values: dict[str, str] = VALUES, **changes: Any) -> Page:
    context = pages.result_page(ANSWER | changes, FIELDS, values, URL, language)
    return shown("result.html", context)


def every_page(language: str) -> list[Page]:
    gone = {**PROBLEM, "status": 503, "errores": []}
    return [
        form(language),
        faults(language),
        result(language),
        result(language, motivos=[], avisos=[], pagador=False, clasificacion="no pagador"),
        shown("form.html", pages.form_page(FIELDS, None, language)),
        shown("form.html", pages.form_page(FIELDS, MODEL | {"demonstration": True}, language)),
        shown("faults.html", pages.form_page([], None, language, faults=gone)),
    ]


# --- escaping and the content security policy -------------------------------------------


def test_markup_in_sent_values_stays_text_on_the_result_page() -> None:
    notice = {"parametro": HOSTILE, "codigo": "x", "mensaje": HOSTILE, "valor_usado": HOSTILE}
    page = result(
        values={"aa": HOSTILE, "bb": HOSTILE, "ref": HOSTILE},
        ref=HOSTILE,
        avisos=[notice],
        motivos=[{"parametro": HOSTILE, "efecto": 0.1}],
    )
    assert "<script>alert" in page.text
    assert [a for a in page.all("script") if "src" not in a] == []


def test_markup_in_sent_values_stays_text_on_the_fault_page() -> None:
    error = {"parametro": HOSTILE, "codigo": "x", "mensaje": HOSTILE, "admite": [HOSTILE]}
    errors = [error, error | {"parametro": "aa"}, error | {"parametro": "cc"}]
    page = faults(
        values={"aa": HOSTILE, "cc": HOSTILE},
        faults=PROBLEM | {"errores": errors, "detail": HOSTILE, "title": "Mal"},
    )
    assert list(page.all("script")) == []
    assert page.by_id("campo-cc")["value"].startswith("\"><script>alert('x')</script>&amp;")


@pytest.mark.parametrize("language", ["es", "en"])
def test_every_page_can_be_sent_as_utf8_with_nothing_invisible_in_it(language: str) -> None:
    page = faults(language, values={"aa": HOSTILE, "cc": HOSTILE})
    page.markup.encode("utf-8")
    assert not {"\x00", "\u202e", "\ud800"} & set(page.markup)


def test_a_long_value_is_cut_and_the_page_says_so() -> None:
    error = {"parametro": "cc", "codigo": "x", "mensaje": "Largo.", "admite": ""}
    page = faults(values={"cc": "9" * 5000}, faults=PROBLEM | {"errores": [error]})
    assert page.by_id("campo-cc")["value"] == "9" * pages.SHOWN_LENGTH + "\u2026"
    assert TEXTS["cut"][0] in page.text
    short = faults(values={"cc": "9"}, faults=PROBLEM | {"errores": [error]})
    assert TEXTS["cut"][0] not in short.text


@pytest.mark.parametrize("language", ["es", "en"])
def test_served_pages_keep_the_strict_content_security_policy(language: str) -> None:
    for page in every_page(language):
        assert list(page.all("style", "base", "iframe", "object", "img")) == []
        for tag, attributes in page.elements:
            assert "style" not in attributes, tag
            assert not [name for name in attributes if name.startswith("on")], tag
        for link in [*page.all("link"), *page.all("script"), *page.all("form")]:
            target = link.get("href") or link.get("src") or link.get("action", "")
            assert target.startswith(("./", "data:image/svg+xml,")), target
        assert [a["src"] for a in page.all("script")] in ([], ["./static/propensia.js"])


@pytest.mark.parametrize("language", ["es", "en"])
def test_no_page_tells_the_next_site_or_a_search_engine_about_a_debtor(language: str) -> None:
    for page in every_page(language):
        metas = {a.get("name"): a.get("content") for a in page.all("meta")}
        # No more than the host: "no-referrer" would hide from us where our own forms come from.
        assert metas["referrer"] == "strict-origin"
        assert metas["robots"] == "noindex, nofollow"


# --- languages and accessibility --------------------------------------------------------


def test_every_text_has_both_languages_with_the_same_blanks() -> None:
    assert pages.texts("es").keys() == pages.texts("en").keys()
    for key, (spanish, english) in TEXTS.items():
        assert spanish and english, key
        blanks = [sorted(re.findall(r"{\w+}", text)) for text in (spanish, english)]
        assert blanks[0] == blanks[1], key


def test_every_text_is_used_somewhere() -> None:
    sources = [*SERVED.glob("*.html"), Path(pages.__file__), Path(copied.__file__)]
    used = "".join(path.read_text(encoding="utf-8") for path in sources)
    boxes = {f"{key}_label" for key in ("url", "curl", "excel_es", "excel_en")}
    assert [k for k in TEXTS if k not in boxes and not re.search(rf'(t\.|"){k}\b', used)] == []


@pytest.mark.parametrize("language", ["es", "en"])
def test_every_page_declares_its_language_and_links_to_the_other(language: str) -> None:
    for page in every_page(language):
        assert next(page.all("html"))["lang"] == language
        (switch,) = [a for a in page.all("a") if "hreflang" in a]
        assert switch["lang"] == switch["hreflang"] != language
        assert switch["href"].endswith(f"idioma={switch['lang']}")


@pytest.mark.parametrize("language", ["es", "en"])
def test_every_control_has_a_label_and_every_reference_a_target(language: str) -> None:
    for page in every_page(language):
        ids = [a["id"] for _, a in page.elements if "id" in a]
        assert len(ids) == len(set(ids))
        labelled = {a["for"] for a in page.all("label")}
        for control in page.all("input", "select", "textarea"):
            assert control.get("type") == "hidden" or control["id"] in labelled
        for _, attributes in page.elements:
            for name in ("aria-describedby", "aria-labelledby", "for"):
                assert set(attributes.get(name, "").split()) <= set(ids)
            if attributes.get("href", "").startswith("#"):
                assert attributes["href"][1:] in ids


def test_every_picture_has_words_or_is_hidden_from_screen_readers() -> None:
    for page in every_page("es"):
        for picture in page.all("svg"):
            assert picture.get("aria-hidden") == "true" or picture.get("role") == "img"


def test_colours_of_text_reach_the_contrast_of_wcag_aa_in_both_schemes() -> None:
    css = (PACKAGE / "web" / "static" / "propensia.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in css.split("{")[1:4:2]
    )
    assert light["page"] != dark["page"]
    for scheme in (light, dark):
        for back in ("page", "card"):
            for text in ("ink", "soft", "accent", "accent-strong", "error"):
                assert contrast(scheme[text], scheme[back]) >= 4.5, (text, back)
            assert contrast(scheme["control"], scheme[back]) >= 3
            assert contrast(scheme["focus"], scheme[back]) >= 3
        assert contrast(scheme["on-accent"], scheme["accent"]) >= 4.5
        assert contrast(scheme["on-accent"], scheme["accent-strong"]) >= 4.5
        assert contrast(scheme["soft"], scheme["tag-back"]) >= 4.5
        assert contrast(scheme["soft"], scheme["error-back"]) >= 4.5
        assert contrast(scheme["error"], scheme["error-back"]) >= 4.5
        assert contrast(scheme["ink"], scheme["note-back"]) >= 4.5
        assert contrast(scheme["yes"], scheme["track"]) >= 3
        assert contrast(scheme["no"], scheme["track"]) >= 3


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio of two sRGB colours (W3C, definition of relative luminance)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


# --- form and faults --------------------------------------------------------------------


def test_the_form_starts_with_the_examples_and_asks_for_reasons() -> None:
    page = form()
    chosen = [a["value"] for a in page.all("option") if "selected" in a]
    assert chosen == ["FU"]
    assert page.by_id("campo-bb")["value"] == "3"
    assert page.by_id("campo-bb")["inputmode"] == "numeric"
    assert page.by_id("campo-cc")["inputmode"] == "decimal"
    assert "checked" in page.by_id("motivos")
    assert "octubre" in page.text and "42,5\u202f%" in page.text


def test_the_form_keeps_the_values_that_it_is_given() -> None:
    page = form(values={"aa": "per", "bb": "", "cc": "2,5"})
    assert [a["value"] for a in page.all("option") if "selected" in a] == ["PER"]
    assert page.by_id("campo-bb")["value"] == ""
    assert page.by_id("campo-cc")["value"] == "2,5"
    (switch,) = [a for a in page.all("a") if "hreflang" in a]
    assert switch["href"] == "./?aa=per&bb=&cc=2%2C5&idioma=en"


def test_a_demonstration_model_and_no_model_at_all_are_said() -> None:
    demonstration = pages.form_page(FIELDS, MODEL | {"demonstration": True}, "es")
    assert TEXTS["demo_title"][0] in shown("form.html", demonstration).text
    assert TEXTS["demo_title"][0] not in form().text
    assert (
        TEXTS["no_model_title"][1]
        in shown("form.html", pages.form_page([*FIELDS], None, "en")).text
    )


def test_each_fault_is_told_in_the_summary_and_beside_its_field() -> None:
    page = faults(values={"aa": "ZZZ", "bb": "3"})
    assert "Hay 2 datos que corregir" in page.text
    assert "#campo-aa" in [a["href"] for a in page.all("a")]
    wrong = page.by_id("campo-aa")
    assert wrong["aria-invalid"] == "true"
    assert wrong["aria-describedby"].split() == ["error-aa", "ayuda-aa"]
    assert "aria-invalid" not in page.by_id("campo-bb")
    assert [a["value"] for a in page.all("option") if "selected" in a] == ["ZZZ"]
    assert page.text.count("PER, FU") == 1
    assert re.search(r"<title>Error: ", page.markup)


def test_a_request_without_values_is_not_answered_with_the_examples() -> None:
    page = faults(values={})
    assert page.by_id("campo-bb")["value"] == ""


def test_a_problem_that_the_form_cannot_mend_is_shown_without_a_form() -> None:
    gone = {"type": "x", "title": "Sin modelo", "status": 503, "detail": "Espere.", "id": "abc"}
    page = shown("faults.html", pages.form_page([], None, "es", faults=gone))
    assert "Sin modelo" in page.text and "503" in page.text
    assert list(page.all("form")) == []


# --- result -----------------------------------------------------------------------------


def test_the_result_says_class_probability_threshold_and_origin_in_words() -> None:
    page = result()
    assert "La probabilidad, 62,3\u202f%, alcanza el umbral de 50\u202f%." in page.text
    assert "Pagador" in page.text
    assert "71,99" in page.text
    for origin in ("octubre", "0123456789ab", "0.6234112"):
        assert origin in page.text
    english = result("en", pagador=False, clasificacion="non-payer", probabilidad=0.1)
    assert "Non-payer" in english.text
    assert "The probability, 10.0%, does not reach the threshold of 50%." in english.text


def test_the_gauge_is_drawn_where_the_numbers_say() -> None:
    page = result(probabilidad=0.25, umbral=0.75)
    (knob,) = [a for a in page.all("circle") if a.get("class") == "gauge-knob"]
    (line,) = [a for a in page.all("line") if a.get("class") == "gauge-line"]
    assert knob["cx"] == "25.000%"
    assert line["x1"] == line["x2"] == "75.000%"


def test_reasons_are_bars_from_the_middle_with_sign_strongest_first() -> None:
    bars = [a for a in result().all("rect") if a.get("class", "").startswith("bar-")]
    assert [(b["class"], b["x"], b["width"]) for b in bars] == [
        ("bar-up", "50.000%", "50.000%"),
        ("bar-down", "25.000%", "25.000%"),
    ]
    assert "+8,0" in result().text and "\u22124,0" in result().text
    flat = result(motivos=[{"parametro": "aa", "efecto": 0.0}])
    assert [a["width"] for a in flat.all("rect") if a.get("class") == "bar-up"] == ["0.000%"]


def test_without_notices_the_page_says_that_nothing_was_assumed() -> None:
    assert TEXTS["no_notices"][0] in result(avisos=[]).text
    assert TEXTS["no_notices"][0] not in result().text


def test_the_link_back_and_the_copied_address_hold_the_same_values() -> None:
    page = result(values={"aa": "PER", "bb": "", "cc": "a b&ñ", "ref": "", "zz": "1"})
    back = [a["href"] for a in page.all("a") if a["href"].startswith("./?aa")]
    assert back == ["./?aa=PER&bb=&cc=a+b%26%C3%B1&ref=&motivos=5&idioma=es"]
    boxes = page.text
    assert f"{URL}?aa=PER&bb=&cc=a+b%26%C3%B1&ref=" in boxes
    assert f'=SERVICIOWEB("{URL}?aa=PER&bb=&cc=a+b%26%C3%B1&ref=&formato=texto")' in boxes


# --- what is copied ---------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 200, 254, 255, 256, 510, 511, 1900])
@pytest.mark.parametrize("tail", ["x", '"', 'a"'])
def test_an_excel_formula_reads_back_as_the_address(length: int, tail: str) -> None:
    url = (URL + "?q=" + tail * length)[: len(URL) + length]
    formula = copied.excel_formula("WEBSERVICE", url)
    inside = re.fullmatch(r"=WEBSERVICE\((.*)\)", formula)
    assert inside
    literal = r'"(?:[^"]|"")*"'
    assert re.fullmatch(rf"{literal}(?:&{literal})*", inside[1])
    pieces = [piece[1:-1] for piece in re.findall(literal, inside[1])]
    assert max(map(len, pieces)) <= 255
    assert "".join(piece.replace('""', '"') for piece in pieces) == url


def test_an_address_too_long_for_excel_is_said() -> None:
    assert "2048" in result(values=VALUES | {"cc": "9" * 2048}).text
    assert "2048" not in result().text


HARD_URL = URL + "?a=$HOME`id`\\\"!^|<>'{1}[2] ñ\r\n&b=100%25&c=(x);*"


def test_a_curl_line_has_nothing_that_a_shell_would_expand() -> None:
    line = copied.curl_line(HARD_URL)
    assert line.startswith('curl "') and line.endswith('"')
    assert not set("$`\\\"!^|<>{}[]\r\n '") & set(line[6:-1])
    assert "a=%24HOME%60id%60%5C%22%21%5E" in line and "&b=100%25&c=(x);*" in line


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")
def test_a_posix_shell_hands_curl_the_one_address() -> None:
    line = copied.curl_line(HARD_URL)
    script = 'curl() { printf "%s|%s" "$#" "$1"; }; ' + line
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"1|{line[6:-1]}"


def guarded(values: dict[str, str] = VALUES) -> Page:
    context = pages.result_page(ANSWER, FIELDS, values, URL, "es", guarded=True)
    return shown("result.html", context)


def test_where_a_key_is_asked_for_what_is_copied_has_a_place_for_it() -> None:
    text = guarded({"aa": "PER", "cc": "9"}).text
    assert f'curl -H "@cabecera.txt" "{URL}?aa=PER&cc=9"' in text
    assert "cabecera.txt es un fichero de texto con una línea: X-API-Key: su clave." in text
    formula = '("http://servidor:5000/c/"&"CLAVE"&"/prediccion?aa=PER&cc=9&formato=texto")'
    assert f"=SERVICIOWEB{formula}" in text and f"=WEBSERVICE{formula}" in text
    assert "ponga en lugar de CLAVE" in text
    assert not re.search("CLAVE|cabecera", result().text)


def test_a_key_fits_in_the_formula_that_is_copied() -> None:
    """The one of real length is ten times longer than what stands for it."""
    shown, _ = keys.new("excel", "caller", 0.0, in_path=True)
    assert len(shown) == copied.KEY_LENGTH
    fits = 2048 - len(f"{URL}?cc=&formato=texto") - len("/c/") - len(shown)
    assert "2048" not in guarded({"cc": "9" * fits}).text
    assert "2048" in guarded({"cc": "9" * (fits + 1)}).text


# --- numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "spanish", "english"),
    [
        (0.0, "0,0\u202f%", "0.0%"),
        (0.62341, "62,3\u202f%", "62.3%"),
        (1.0, "100,0\u202f%", "100.0%"),
        (0.0001, "<0,1\u202f%", "<0.1%"),
        (0.99996, ">99,9\u202f%", ">99.9%"),
    ],
)
def test_percentages_follow_the_language(share: float, spanish: str, english: str) -> None:
    assert (pages.percent(share, "es"), pages.percent(share, "en")) == (spanish, english)


def test_plain_numbers_follow_the_language() -> None:
    assert pages.number(125.61, "es") == "125,61"
    assert pages.number(-28, "en") == "\u221228"
    assert pages.number(8029, "es") == "8029"


def test_a_probability_close_to_the_threshold_never_looks_equal_to_it() -> None:
    page = result(probabilidad=0.499996, pagador=False)
    assert "La probabilidad, 49,9996\u202f%, no alcanza el umbral de 50\u202f%." in page.text
    assert "50,0\u202f%, alcanza el umbral de 50\u202f%" in result(probabilidad=0.5).text


# --- the report -------------------------------------------------------------------------

REPORT: dict[str, Any] = {
    "name": "octubre.pkl",
    "sha256": "0123456789ab" + "c" * 52,
    "version": "0123456789ab",
    "accepted": True,
    "at": datetime(2026, 10, 4, 9, 15, tzinfo=UTC),
    "family": "bosque aleatorio",
    "libraries": {"scikit-learn": "1.6.1"},
    "facts": {"árboles": 500, "clases": [0, 1], "items": "palabra"},
    "contract": "cobranza",
    "threshold": 0.5,
    "size_bytes": 3 * 1024 * 1024,
    "checks": [
        {"name": "Completo", "outcome": "bien", "sentence": "Está entero.", "seconds": 0.125},
        {"name": "Firma", "outcome": "omitida", "sentence": "No se exige.", "seconds": 0.0},
        {"name": "Paridad", "outcome": "aviso", "sentence": "Sin biblioteca.", "seconds": 1.0},
    ],
    "layers": ["memoria", "sin red"],
    "parity": {"library": "sk 1.6", "rows": 10000, "largest_difference": 2.4e-8, "flipped": 0},
    "comparison": {
        "active_version": "aabbccddeeff",
        "rows": 12345,
        "flipped": 321,
        "to_payer": 201,
        "to_non_payer": 120,
        "mean_old": 0.412,
        "mean_new": 0.438,
        "rank_correlation": 0.973,
    },
    "histogram": {
        "edges": [i / 10 for i in range(11)],
        "new": [0.1] * 10,
        "old": [0.2] + [0.1] * 8 + [0.0],
    },
    "unknown": ["La tasa con que se entrenó."],
}


def report(**changes: Any) -> Page:
    folder = PACKAGE / "admission" / "templates"
    return Page(environment(folder).get_template("report.html").render(REPORT | changes))


def test_the_report_stands_alone_in_one_file() -> None:
    page = report()
    assert list(page.all("script", "link", "img", "iframe")) == []
    assert "http://" not in page.markup and "https://" not in page.markup
    assert "url(" not in page.markup and "@import" not in page.markup
    assert next(page.all("html"))["lang"] == "es"


def test_the_report_writes_its_numbers_in_spanish() -> None:
    text = report().text
    for number in (
        "12.345",
        "2,6\u202f%",
        "41,2\u202f%",
        "0,973",
        "3,0\u202fMB",
        "2,4e\u221208",
    ):
        assert number in text, number
    assert "04/10/2026 09:15 UTC" in text
    assert "Aviso: Paridad. Sin biblioteca." in text


def test_the_histogram_is_drawn_to_scale() -> None:
    old = [a for a in report().all("rect") if a.get("class") == "old"][1:]
    new = [a for a in report().all("rect") if a.get("class") == "new"][1:]
    assert len(old) == len(new) == 10
    heights = [float(bar["height"]) for bar in old]
    assert heights == [200.0] + [100.0] * 8 + [0.0]
    assert {float(bar["height"]) for bar in new} == {100.0}
    assert all(float(bar["y"]) + float(bar["height"]) == 240 for bar in old + new)


def test_a_report_with_nothing_to_compare_says_so() -> None:
    histogram = {**REPORT["histogram"], "old": None}
    page = report(comparison=None, histogram=histogram, parity={"reason": "No instalada."})
    assert "No se ha comparado" in page.text
    assert "Sin comprobar. No instalada." in page.text
    assert [a for a in page.all("rect") if a.get("class") == "old"] == []


def test_a_refusal_opens_with_the_check_that_failed() -> None:
    failed = {"name": "Leído", "outcome": "fallo", "sentence": "Trae os.system.", "seconds": 0.1}
    page = report(
        accepted=False,
        family=None,
        threshold=None,
        comparison=None,
        histogram=None,
        parity=None,
        unknown=[],
        checks=[*REPORT["checks"], failed],
    )
    assert page.text.index("RECHAZADO") < page.text.index("Fallo: Leído.")
    assert page.text.index("Fallo: Leído.") < page.text.index("Aviso: Paridad.")


def test_markup_out_of_a_dropped_file_stays_text_in_the_report() -> None:
    page = report(name="<script>x</script>.pkl", facts={"<b>": "<img src=x>"}, family="<i>")
    assert list(page.all("script", "img", "b", "i")) == list(report().all("b"))
    assert "<script>x</script>.pkl" in page.text
