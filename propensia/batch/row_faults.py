"""What can be wrong with a row of a portfolio as a whole, or with a cell of it: codes, sentences.

What is wrong with a value is the same on every way in, and told in ``faults``.
"""

from __future__ import annotations

FEWER_COLUMNS = "columnas_de_menos"
MORE_COLUMNS = "columnas_de_mas"
OPEN_QUOTE = "comillas_abiertas"
"""Of a line whose quote is never closed, or closed where that cannot have been meant."""
LOOSE_QUOTE = "comillas_sueltas"
"""Of a line with text behind a closing quote."""
LOST_LETTERS = "codificacion_no_valida"
"""Of letters that are in no encoding that is read; a request says so with the same code."""
OTHER_ENCODING = "codificacion_distinta"
"""The note of a row that is in another encoding than most of the file, and is read in that."""
NOT_COMPUTED = "formula_sin_calcular"
CELL_ERROR = "celda_con_error"
UNRELIABLE = "modelo_no_fiable"
"""Of a row that the model gives no probability for."""

# code -> (Spanish, English). {p} is the parameter.
TEXTS: dict[str, tuple[str, str]] = {
    FEWER_COLUMNS: (
        "La fila tiene menos columnas que la cabecera",
        "The row has fewer columns than the heading",
    ),
    MORE_COLUMNS: (
        "La fila tiene más columnas que la cabecera",
        "The row has more columns than the heading",
    ),
    OPEN_QUOTE: (
        "La fila tiene unas comillas que no se cierran",
        "The row has a quote that is never closed",
    ),
    LOOSE_QUOTE: (
        "La fila tiene texto detrás de unas comillas cerradas",
        "The row has text behind a closed quote",
    ),
    LOST_LETTERS: (
        "La fila tiene letras que no se pueden leer: no están en la codificación del fichero",
        "The row has letters that cannot be read: they are not in the encoding of the file",
    ),
    OTHER_ENCODING: (
        "La fila está en otra codificación que el resto del fichero, y se ha leído en esa",
        "The row is in another encoding than the rest of the file, and was read in that",
    ),
    NOT_COMPUTED: (
        "La fila tiene una fórmula sin calcular; abra el libro en Excel y guárdelo",
        "The row has a formula that was not computed; open the workbook in Excel and save it",
    ),
    CELL_ERROR: (
        "{p} es un error de la hoja, como #N/A: se toma como sin dato",
        "{p} is an error of the sheet, as #N/A: it is taken as no data",
    ),
    UNRELIABLE: (
        "El modelo no da una probabilidad para la fila; avise a analítica",
        "The model gives no probability for the row; tell analysts",
    ),
}
