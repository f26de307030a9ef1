"""What can be wrong with a request, and what was assumed: stable codes and their sentences.

A sentence names the parameter, never the value that was received.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ASSUMED = "valor_supuesto"
"""The code of a note that a value was used where none came; other notes are no assumptions."""

# code -> (Spanish, English). {p} is the parameter, {admits} what it accepts.
TEXTS: dict[str, tuple[str, str]] = {
    "parametro_ausente": ("Falta {p}. Admite: {admits}", "{p} is missing. It takes: {admits}"),
    "parametro_repetido": (
        "{p} aparece más de una vez; envíelo una sola vez",
        "{p} appears more than once; send it once",
    ),
    "tipo_no_valido": (
        "{p} es de otro tipo. Admite: {admits}",
        "{p} is of another type. It takes: {admits}",
    ),
    "sin_dato": (
        "{p} necesita un dato. Admite: {admits}",
        "{p} needs a value. It takes: {admits}",
    ),
    "numero_no_valido": (
        "{p} no es un número; use solo cifras y un punto, sin separador de miles",
        "{p} is not a number; use digits and one point only, no thousands separator",
    ),
    "numero_no_finito": ("{p} debe ser un número normal", "{p} must be an ordinary number"),
    "numero_negativo": ("{p} no puede ser negativo", "{p} cannot be negative"),
    "no_es_entero": ("{p} debe ser un número entero", "{p} must be a whole number"),
    "fuera_de_rango": (
        "{p} está fuera de rango. Admite: {admits}",
        "{p} is out of range. It takes: {admits}",
    ),
    "categoria_desconocida": ("{p} admite: {admits}", "{p} takes: {admits}"),
    "caracter_parecido": (
        "{p} contiene caracteres que parecen cifras o letras y no lo son; escríbalos de nuevo",
        "{p} has characters that look like digits or letters and are not; type them again",
    ),
    "mes_no_valido": (
        "{p} es aaaamm, por ejemplo 202310",
        "{p} is yyyymm, for example 202310",
    ),
    "texto_demasiado_largo": (
        "{p} es demasiado largo. Admite: {admits}",
        "{p} is too long. It takes: {admits}",
    ),
    "caracter_de_control": (
        "{p} contiene un carácter no permitido (de control)",
        "{p} has a character that is not allowed (a control character)",
    ),
    "codificacion_no_valida": (
        "La dirección debe ir en UTF-8 con la codificación %XX correcta",
        "The address must be UTF-8 with correct %XX encoding",
    ),
    "opcion_no_valida": ("{p} admite: {admits}", "{p} takes: {admits}"),
    # of a whole body: {p} is the place in it, or the word
    "json_no_valido": (
        "El cuerpo deja de ser JSON en {p} (línea:columna)",
        "The body stops being JSON at {p} (line:column)",
    ),
    "constante_no_valida": ("{p} no es JSON: use null", "{p} is not JSON: use null"),
    "cuerpo_no_utf8": ("El cuerpo no está en UTF-8", "The body is not in UTF-8"),
    "json_demasiado_profundo": (
        "El JSON tiene demasiados niveles",
        "The JSON has too many levels",
    ),
    "objeto_esperado": ("Se espera un objeto JSON", "A JSON object is expected"),
    "lista_esperada": (
        "Se espera una lista de filas, o un objeto con ella en «filas»",
        "A list of rows is expected, or an object with it in “filas”",
    ),
    "nombre_repetido": (
        "Un nombre aparece dos veces en el mismo objeto",
        "A name appears twice in one object",
    ),
    "forma_no_valida": (
        "{p} no tiene la forma que dice /docs",
        "{p} has not the shape that /docs tells",
    ),
    "nombre_desconocido": (
        "{p} no se usa aquí. Admite: {admits}",
        "{p} is not used here. It takes: {admits}",
    ),
    # of an outcome
    "id_no_valido": (
        "{p} no es el de una respuesta: son 29 cifras de 0 a f, como las que llegaron",
        "{p} is not that of an answer: 29 digits from 0 to f, as they came",
    ),
    "cambiado_por_hoja": (
        "{p} lo cambió una hoja de cálculo (como 1E+12); ponga la columna como texto y repítalo",
        "{p} was changed by a spreadsheet (as 1E+12); make the column a text and fill it again",
    ),
    "falta_id_o_ref": (
        "Falta id o ref: de qué respuesta es",
        "id or ref is missing: which answer it is about",
    ),
    "miles_o_decimales": (
        "{p} acaba en punto o coma y tres cifras, como 1.234: pueden ser miles o decimales; "
        "escriba 1234,00 o 1,23",
        "{p} ends with a point or a comma and three digits, as 1.234: they may be thousands or "
        "decimals; write 1234.00 or 1.23",
    ),
    "fecha_no_valida": (
        "{p} es una fecha, AAAA-MM-DD o DD/MM/AAAA",
        "{p} is a date, YYYY-MM-DD or DD/MM/YYYY",
    ),
    "fecha_futura": ("{p} aún no ha llegado", "{p} has not come yet"),
    "importe_sin_pago": (
        "{p} no puede ser mayor que 0 si no se pagó",
        "{p} cannot be more than 0 where nothing was paid",
    ),
    "linea_no_valida": (
        "La línea no tiene las columnas de la cabecera, o le sobra o falta una comilla",
        "The line has not the columns of the heading, or a quote too many or too few",
    ),
    # avisos: told beside an answer
    ASSUMED: (
        "{p} venía sin dato: se ha usado {used}",
        "{p} came empty: {used} was used",
    ),
    "texto_normalizado": (
        "{p} tenía mayúsculas o espacios distintos: se ha leído {used}",
        "{p} had another case or blanks: it was read as {used}",
    ),
    "coma_decimal": (
        "{p} llevaba coma decimal: se ha leído {used}",
        "{p} had a decimal comma: it was read as {used}",
    ),
    "motivos_no_disponibles": (
        "{p}: no se han podido calcular para este caso; la puntuación es válida",
        "{p}: they could not be computed for this case; the score stands",
    ),
    "parametro_desconocido": (
        "No se usa un parámetro que no está en el contrato",
        "A parameter that is not in the contract is not used",
    ),
}


# Capitals of other scripts that are drawn as a Latin one: Greek, then Cyrillic.
LOOK_ALIKES = str.maketrans(
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ" + "АВЕЅІЈКМНОРСТУХ",  # noqa: RUF001 - that is what the table is about
    "ABEZHIKMNOPTYX" + "ABESIJKMHOPCTYX",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one parameter (``parameter`` may be empty: the request itself).
    ``admits``: what it takes, where the contract does not say it."""

    parameter: str
    code: str
    admits: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that was assumed: the parameter, a code, and the value that was used."""

    parameter: str
    code: str
    used: str | float | None


class BadRow(Exception):
    """Everything wrong with one row, at once; ``faults`` is never empty."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(", ".join(f"{fault.parameter}: {fault.code}" for fault in faults))
        self.faults = faults


def looks_like(text: str) -> str:
    """What ``text`` looks like to a reader: Latin capitals for the letters of other scripts and
    for full-width ones, and nothing for invisible characters and blanks around it."""
    plain = unicodedata.normalize("NFKC", text).upper().translate(LOOK_ALIKES)
    return "".join(c for c in plain if unicodedata.category(c) != "Cf").strip()


def sentence(
    code: str,
    parameter: str,
    language: str,
    *,
    admits: str = "",
    used: str | float | None = None,
    own: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """The sentence of ``code`` in ``es`` or ``en``; ``own`` are the contract's own sentences."""
    if own and code in own:
        template = own[code][language]
    else:
        template = TEXTS[code][0 if language == "es" else 1]
    return template.format(p=parameter, admits=admits, used=used)


def note_shape(note: Note, language: str) -> dict[str, Any]:
    """One of the ``avisos``, as every answer shows it."""
    used = note.used
    if isinstance(used, float) and used.is_integer():  # every number is read as a float: 65.0
        used = int(used)
    return {
        "parametro": note.parameter,
        "codigo": note.code,
        "mensaje": sentence(note.code, note.parameter, language, used=used),
        "valor_usado": used,
    }
