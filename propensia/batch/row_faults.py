"""What can be wrong with a row of a portfolio as a whole, or with a cell of it: codes, sentences.

What is wrong with a value is the same on every way in, and told in ``faults``.
"""

from __future__ import annotations

# code -> (Spanish, English). {p} is the parameter.
TEXTS: dict[str, tuple[str, str]] = {
    "columnas_de_menos": (
        "La fila tiene menos columnas que la cabecera",
        "The row has fewer columns than the heading",
    ),
    "columnas_de_mas": (
        "La fila tiene más columnas que la cabecera",
        "The row has more columns than the heading",
    ),
    "comillas_abiertas": (
        "La fila tiene unas comillas que no se cierran",
        "The row has a quote that is never closed",
    ),
    "comillas_sueltas": (
        "La fila tiene texto detrás de unas comillas cerradas",
        "The row has text behind a closed quote",
    ),
    "codificacion_no_valida": (
        "La fila tiene letras que no se pueden leer: no están en la codificación del fichero",
        "The row has letters that cannot be read: they are not in the encoding of the file",
    ),
    "codificacion_distinta": (
        "La fila está en otra codificación que el resto del fichero, y se ha leído en esa",
        "The row is in another encoding than the rest of the file, and was read in that",
    ),
    "formula_sin_calcular": (
        "La fila tiene una fórmula sin calcular; abra el libro en Excel y guárdelo",
        "The row has a formula that was not computed; open the workbook in Excel and save it",
    ),
    "celda_con_error": (
        "{p} es un error de la hoja, como #N/A: se toma como sin dato",
        "{p} is an error of the sheet, as #N/A: it is taken as no data",
    ),
    "modelo_no_fiable": (
        "El modelo no da una probabilidad para la fila; avise a analítica",
        "The model gives no probability for the row; tell analysts",
    ),
}
