"""What the pages say, in Spanish and English.

Never names a parameter, a model column or a class of one contract: those texts come with it.
"""

from __future__ import annotations

from typing import Final

# key -> (Spanish, English). A sentence with {braces} is filled in by `pages`.
TEXTS: Final[dict[str, tuple[str, str]]] = {
    # every page
    "skip": ("Ir al contenido", "Skip to content"),
    "switch": ("English", "Español"),
    "menu": ("Páginas", "Pages"),
    "menu_form": ("Probar un caso", "Try one case"),
    "menu_panel": ("Panel", "Panel"),
    "menu_portfolio": ("Cartera", "Portfolio"),
    "model": ("Modelo", "Model"),
    "version": ("Versión", "Version"),
    "threshold": ("Umbral", "Threshold"),
    "demo_title": ("Modelo de demostración.", "Demonstration model."),
    "demo_text": (
        "Está entrenado con datos inventados: sirve para probar el servicio, no para decidir.",
        "It was trained on made-up data: good for trying the service, not for deciding.",
    ),
    # documentation
    "docs_title": ("Documentación de la API", "API documentation"),
    "docs_intro": (
        "Todas las direcciones, con sus datos y sus respuestas. «Try it out» prueba una aquí "
        "mismo; «Authorize» toma su clave, y solo la recuerda mientras la página está abierta.",
        "Every address, with what it takes and answers. “Try it out” tries one right here; "
        "“Authorize” takes your key, and only remembers it while the page is open.",
    ),
    "docs_codes": ("Códigos de error", "Error codes"),
    "docs_codes_intro": (
        "El type de un error es urn:propensia: y un código. Los códigos no cambian.",
        "The type of an error is urn:propensia: and a code. Codes do not change.",
    ),
    "docs_faults": ("Códigos de «errores» y «avisos»", "Codes in “errores” and “avisos”"),
    "docs_code": ("Código", "Code"),
    "docs_status": ("Estado", "Status"),
    "docs_says": ("Qué dice", "What it says"),
    "docs_noscript": (
        "Esta página necesita JavaScript. El documento es",
        "This page needs JavaScript. The document is",
    ),
    "docs_link": ("Documentación para programas", "Documentation for programs"),
    # form
    "form_title": ("Probar un caso", "Try one case"),
    "form_intro": (
        "Rellene los datos y pida la puntuación. Los valores de ejemplo ya sirven.",
        "Fill in the values and ask for the score. The example values work as they are.",
    ),
    "form_legend": ("Datos del caso", "Case data"),
    "example": ("Ejemplo:", "Example:"),
    "optional": ("puede ir vacío", "may be empty"),
    "no_data": ("(sin dato)", "(no data)"),
    "reasons_label": (
        "Explicar la puntuación con los {n} parámetros que más pesan",
        "Explain the score with the {n} parameters that weigh most",
    ),
    "submit": ("Calcular la puntuación", "Get the score"),
    "examples_again": ("Volver a los valores de ejemplo", "Back to the example values"),
    "model_heading": ("Responde ahora", "Answering now"),
    "no_model_title": ("Todavía no hay ningún modelo.", "There is no model yet."),
    "no_model_text": (
        "Copie un fichero .pkl en la carpeta de modelos: se comprueba y empieza a responder solo.",
        "Copy a .pkl file into the models folder: it is checked and starts answering by itself.",
    ),
    # log in
    "login_title": ("Entrar", "Log in"),
    "login_intro": (
        "Esta página pide una clave. Escriba la que le dio quien administra el servicio.",
        "This page asks for a key. Enter the one that your administrator gave you.",
    ),
    "login_key": ("Clave", "Key"),
    "login_hint": ("Empieza por ppk_ y puede pegarla.", "It begins with ppk_; you may paste it."),
    "login_wrong": (
        "esa clave no vale aquí. Compruebe que está entera y que no ha caducado.",
        "that key is not good here. See that it is complete and has not expired.",
    ),
    "login_submit": ("Entrar", "Log in"),
    "login_again": ("¿Ya había entrado en este navegador?", "Were you logged in already?"),
    "login_continue": ("Continuar", "Continue"),
    "login_ends": (
        "La sesión termina cuando pulse «Salir» y, en todo caso, al cabo de unas horas.",
        "The session ends when you press “Log out” and, in any case, after some hours.",
    ),
    "logged_in": ("Ha entrado como", "Logged in as"),
    "log_out": ("Salir", "Log out"),
    "other_key": ("Entrar con otra clave", "Log in with another key"),
    # faults
    "error_prefix": ("Error: ", "Error: "),
    "error_word": ("Corrija:", "Fix this:"),
    "faults_one": ("Hay 1 dato que corregir", "There is 1 value to fix"),
    "faults_many": ("Hay {n} datos que corregir", "There are {n} values to fix"),
    "admits": ("Se admite:", "Accepted:"),
    "cut": (
        "El valor enviado era más largo: aquí se muestra cortado.",
        "The value that was sent was longer: it is shown cut here.",
    ),
    "fault_status": ("Código", "Status"),
    "to_form": ("Ir al formulario", "Go to the form"),
    # result
    "back": ("Cambiar los datos", "Change the values"),
    "class": ("Clasificación", "Class"),
    "probability": ("Probabilidad", "Probability"),
    "reaches": (
        "La probabilidad, {p}, alcanza el umbral de {u}.",
        "The probability, {p}, reaches the threshold of {u}.",
    ),
    "below": (
        "La probabilidad, {p}, no alcanza el umbral de {u}.",
        "The probability, {p}, does not reach the threshold of {u}.",
    ),
    "gauge_title": (
        "Escala de 0 a 100 %: probabilidad {p}, umbral {u}",
        "Scale from 0 to 100%: probability {p}, threshold {u}",
    ),
    "reasons_heading": ("Qué ha movido la puntuación", "What moved the score"),
    "reasons_caption": (
        "Efecto de cada parámetro en la probabilidad, en puntos porcentuales, respecto al caso "
        "típico. Con + la sube; con \u2212 la baja.",
        "Effect of each parameter on the probability, in percentage points, against the typical "
        "case. With + it raises it; with \u2212 it lowers it.",
    ),
    "parameter": ("Parámetro", "Parameter"),
    "effect": ("Efecto", "Effect"),
    "notices_heading": ("Qué se ha supuesto", "What was assumed"),
    "no_notices": (
        "Nada. Todos los datos han llegado completos y se han usado tal como llegaron.",
        "Nothing. Every value arrived complete and was used as it came.",
    ),
    "values_heading": ("Datos enviados", "Values sent"),
    "value": ("Valor", "Value"),
    "empty": ("(vacío)", "(empty)"),
    "not_sent": ("(no enviado)", "(not sent)"),
    "origin_heading": ("De dónde sale", "Where it comes from"),
    "release": ("Publicación", "Release"),
    "answer_id": ("Identificador", "Identifier"),
    "reference": ("Referencia", "Reference"),
    "exact": ("Probabilidad exacta", "Exact probability"),
    "copy_heading": ("Repetir la consulta", "Repeat the query"),
    "copy_intro": (
        "La misma consulta, desde otro programa. Lleva los datos del caso: cuídela igual.",
        "The same query, from another program. It carries the case data: handle it with care.",
    ),
    "copy_button": ("Copiar", "Copy"),
    "copied": ("Copiado", "Copied"),
    "copy_failed": ("Pulse Ctrl+C para copiar", "Press Ctrl+C to copy"),
    "url_label": ("Dirección (URL)", "Address (URL)"),
    "curl_label": ("Línea de órdenes", "Command line"),
    "curl_hint": (
        "En un fichero .bat de Windows, escriba cada % dos veces.",
        "In a Windows .bat file, write every % twice.",
    ),
    "curl_key_hint": (
        "{file} es un fichero de texto con una línea: X-API-Key: su clave.",
        "{file} is a text file of one line: X-API-Key: your key.",
    ),
    "excel_es_label": ("Excel en español", "Excel in Spanish"),
    "excel_en_label": ("Excel en inglés", "Excel in English"),
    "excel_hint": (
        "La celda muestra solo la clase: 1 o 0. Necesita Excel para Windows.",
        "The cell shows the bare class: 1 or 0. It needs Excel for Windows.",
    ),
    "excel_key_hint": (
        "Excel no envía cabeceras: ponga en lugar de {key} una clave de las que van en la "
        "dirección, que hace quien administra.",
        "Excel sends no headers: in place of {key} put a key of the kind that goes in the "
        "address, which the administrator makes.",
    ),
    "excel_too_long": (
        "Excel no admite direcciones de más de {n} caracteres, y esta tiene más.",
        "Excel does not take addresses of more than {n} characters, and this one has more.",
    ),
}
