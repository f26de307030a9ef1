"""What the pages of portfolios say, in Spanish and English.

Never names a parameter, a model column or a class of one contract: those texts come with it.
"""

from __future__ import annotations

from typing import Final

# key -> (Spanish, English), as in ``texts``. A sentence with {braces} is filled in.
PORTFOLIO: Final[dict[str, tuple[str, str]]] = {
    "portfolio_title": ("Puntuar una cartera", "Score a portfolio"),
    "portfolio_intro": (
        "Suba un fichero, mire qué se ha entendido y descargue cada fila con su probabilidad.",
        "Upload a file, see what was understood, and download each row with its probability.",
    ),
    "portfolio_file": ("Fichero de la cartera", "File of the portfolio"),
    "portfolio_hint": (
        "CSV, Excel (.xlsx) o Parquet; hasta {rows} filas y {mb} MB. La primera fila son los "
        "nombres de las columnas.",
        "CSV, Excel (.xlsx) or Parquet; up to {rows} rows and {mb} MB. The first row holds the "
        "names of the columns.",
    ),
    "portfolio_upload": ("Subir y revisar", "Upload and check"),
    "portfolio_kept": (
        "Solo usted la ve. Se borra sola a las {hours} h, o antes si usted la borra.",
        "Only you see it. It is deleted by itself after {hours} h, or sooner if you delete it.",
    ),
    "portfolio_kept_here": (
        "Solo se ve desde este ordenador o su red. Se borra sola a las {hours} h, o antes si la "
        "borra.",
        "It is only seen from this computer or its network. It is deleted by itself after "
        "{hours} h, or sooner if you delete it.",
    ),
    "portfolio_off": ("Aquí no se suben carteras.", "No portfolios are uploaded here."),
    "portfolio_mine": ("Sus carteras", "Your portfolios"),
    "portfolio_back": ("Otra cartera", "Another portfolio"),
    "state_mirando": ("Revisando el fichero…", "Checking the file…"),
    "state_lista": ("Lista para puntuar", "Ready to score"),
    "state_rechazada": ("No se puede leer", "It cannot be read"),
    "state_en_cola": ("En cola: hay otra antes", "Waiting: another comes first"),
    "state_puntuando": ("Puntuando…", "Scoring…"),
    "state_hecha": ("Terminada", "Done"),
    "state_fallida": ("No se ha podido puntuar", "It could not be scored"),
    "state_parada": ("Se quedó a medias", "It stopped half way"),
    "stopped_text": (
        "El servicio se reinició, o algo paró el trabajo. Lo hecho está guardado: siga donde "
        "quedó.",
        "The service was restarted, or something stopped the work. What was done is kept: go on "
        "where it stopped.",
    ),
    "why_table": ("{text}", "The file is not accepted. In Spanish: {text}"),
    "why_too_long": (
        "hay más de {rows} filas: divida el fichero",
        "there are more than {rows} rows: divide the file",
    ),
    "why_too_much": (
        "el fichero pide demasiada memoria o demasiado tiempo, o está dañado; guárdelo de nuevo "
        "como CSV, o divídalo",
        "the file takes too much memory or time, or is damaged; save it again as CSV, or divide "
        "it",
    ),
    "why_died": (
        "el trabajo se ha cortado dos veces: el fichero pide demasiado, o algo lo para",
        "the work was cut twice: the file takes too much, or something stops it",
    ),
    "why_nothing_scored": (
        "no se ha podido puntuar ninguna fila, así que no hay resultado",
        "no row could be scored, so there is no result",
    ),
    "why_changed": (
        "lo hecho ya no vale, porque entre tanto cambió algo; inténtelo otra vez",
        "what was done is no longer good, since something changed meanwhile; try again",
    ),
    "why_model_gone": (
        "el modelo con el que se iba a puntuar ya no está; inténtelo otra vez",
        "the model that was to score it is no longer there; try again",
    ),
    "why_model_broken": (
        "el modelo está dañado o da un resultado imposible; avise a quien mantiene el servicio",
        "the model is damaged or gives an impossible result; tell whoever runs the service",
    ),
    "why_disk_full": (
        "no queda sitio en el disco; avise a quien mantiene el servicio",
        "there is no room left on the disk; tell whoever runs the service",
    ),
    "why_machine": (
        "falla el disco o la memoria de la máquina; avise a quien mantiene el servicio",
        "the disk or the memory of the machine fails; tell whoever runs the service",
    ),
    "why_ours": (
        "fallo nuestro: avise a quien mantiene el servicio",
        "our fault: tell whoever runs the service",
    ),
    "sheet": ("Hoja del libro", "Sheet of the workbook"),
    "sheet_look": ("Revisar esta hoja", "Check this sheet"),
    "found_rows": ("Filas", "Rows"),
    "found_wrong": ("Con errores", "With faults"),
    "found_columns": ("Columnas reconocidas", "Columns recognised"),
    "of": ("{n} de {all}", "{n} of {all}"),
    "wrong_text": (
        "Las filas con errores salen sin probabilidad y con su error; las demás se puntúan.",
        "Rows with faults come out without a probability and with their fault; the others are "
        "scored.",
    ),
    "faults_title": ("Qué está mal", "What is wrong"),
    "preview_title": ("Las primeras filas", "The first rows"),
    "preview_caption": (
        "Las columnas marcadas son parámetros del modelo; las demás salen como entraron.",
        "The marked columns are parameters of the model; the others come out as they went in.",
    ),
    "faulty_title": (
        "Las siguientes filas con errores ({n}); al puntuar, todas salen en un fichero",
        "The next rows with faults ({n}); scoring leaves all of them in a file",
    ),
    "more_columns": ("Y {n} columnas más.", "And {n} more columns."),
    "line": ("Fila", "Row"),
    "fault_word": ("Error:", "Fault:"),
    "score_result": ("Resultado en", "Result as"),
    "result_csv": ("CSV", "CSV"),
    "result_xlsx": ("Excel", "Excel"),
    "score_reasons": ("Motivos por fila", "Reasons per row"),
    "score_no_reasons": ("ninguno", "none"),
    "score_submit": ("Puntuar {n} filas", "Score {n} rows"),
    "go_on": ("Seguir", "Go on"),
    "again": ("Intentarlo otra vez", "Try again"),
    "progress": ("{n} filas ({share})", "{n} rows ({share})"),
    "download": ("Descargar el resultado", "Download the result"),
    "download_faults": ("Descargar los errores", "Download the faults"),
    "delete": ("Borrar la cartera", "Delete the portfolio"),
    "scored_rows": ("Puntuadas", "Scored"),
    "band": ("Banda {name}", "Band {name}"),
    "euros_expected": ("Euros esperados", "Expected euros"),
    "seconds": ("Tiempo", "Time"),
    "with_version": ("Versión", "Version"),
}
