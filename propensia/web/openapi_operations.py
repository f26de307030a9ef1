"""What each route is for, what it answers, and what can go wrong: the texts of the document.

The paths, methods and rights are those of ``routes``; this table never repeats them otherwise.
"""

from __future__ import annotations

from propensia.web import openapi_inference as inference
from propensia.web import openapi_memory as memory
from propensia.web import openapi_portfolios as portfolios
from propensia.web.openapi_parts import (
    FORM,
    HTML,
    JSON,
    MODELS,
    PAGES,
    PLAIN,
    PREFERRED,
    SCORING,
    STATE,
    UPLOAD,
    Operation,
    Shape,
    Text,
    reference,
)

# name of a placeholder of a path -> its schema, and what it is
PATH: dict[str, tuple[Shape, Text]] = {
    "version": (
        reference("Version"),
        Text("Una de las que enumera /modelos.", "One of those that /modelos lists."),
    ),
    "name": (
        {"type": "string"},
        Text("El nombre del contrato.", "The name of the contract."),
    ),
} | (memory.PATH | portfolios.PATH)

PUBLISHED = Text("Lo que responde desde ahora.", "What answers from now on.")
SCORE = Text("La puntuación.", "The score.")
NOT_SCORED = ("sin_modelo", "modelo_no_fiable", "registro_no_disponible")

OPERATIONS: dict[tuple[str, str], Operation] = (
    {
        ("GET", "/prediccion"): Operation(
            "puntuar",
            SCORING,
            Text("Puntuar a un deudor", "Score one debtor"),
            {200: (SCORE, {JSON: "Respuesta", PLAIN: "Clase", HTML: "Pagina"})},
            Text(
                "Los datos viajan en la dirección: para programas nuevos es mejor POST /predict. "
                "Un parámetro desconocido no se usa y un aviso lo nombra; uno repetido es un "
                "error. Un sistema que no puede enviar cabeceras llama a /c/CLAVE/prediccion.",
                "The values travel in the address: new programs do better with POST /predict. An "
                "unknown parameter is not used and a notice names it; a repeated one is an error. "
                "A system that cannot send headers calls /c/KEY/prediccion.",
            ),
            ("peticion_no_valida", "peticion_demasiado_larga", *NOT_SCORED),
            takes=("formato", "motivos", "idioma", "ref"),
            fields=True,
            scored=True,
        ),
        ("POST", "/predict"): Operation(
            "puntuarObjeto",
            SCORING,
            Text("Puntuar a un deudor con un objeto JSON", "Score one debtor with a JSON object"),
            {200: (SCORE, {JSON: "Respuesta"})},
            Text(
                "Por nombre corto o por columna; también mezclados. Da la misma puntuación que "
                "GET, bit a bit. Los números valen también como texto. Las opciones van en el "
                "objeto o tras «?»; de lo que va tras «?» no se lee nada más.",
                "By short name or by column, or both. It gives the same score as GET, bit for "
                "bit. A number may also be a text. Options go in the object or after “?”; nothing "
                "else after “?” is read.",
            ),
            ("peticion_no_valida", "peticion_demasiado_larga", *NOT_SCORED),
            takes=("motivos", "idioma", "ref"),
            sends={JSON: "Objeto"},
            examples=("porNombre", "porColumna"),
            scored=True,
        ),
        ("POST", "/predict/batch"): Operation(
            "puntuarLote",
            SCORING,
            Text("Puntuar a varios deudores", "Score several debtors"),
            {
                200: (
                    Text(
                        "Una respuesta o un problema por fila, en orden.",
                        "One answer or one problem per row, in order.",
                    ),
                    {JSON: "Resultados"},
                )
            },
            Text(
                "Una fila mala no estropea las demás. Las opciones tras «?» valen para todas.",
                "One bad row does not spoil the others. Options after “?” hold for all of them.",
            ),
            ("peticion_no_valida", "peticion_demasiado_larga", "demasiadas_filas", "sin_modelo"),
            takes=("motivos", "idioma", "ref"),
            sends={JSON: "Lote"},
            examples=("lote", "filas"),
            scored=True,
        ),
        ("POST", "/resultados"): Operation(
            "resultados",
            SCORING,
            Text("Decir quién pagó", "Tell who paid"),
            {
                200: (
                    Text(
                        "Todo lo aceptado está guardado; un resultado o un problema por fila.",
                        "All that was taken is kept; one result or one problem per row.",
                    ),
                    {JSON: "ResultadosGuardados"},
                )
            },
            Text(
                "De un objeto malo, un problema; en una lista, una fila mala no estropea las "
                "demás. Repetir lo mismo no cambia nada. Se unen después a su respuesta, por `id` "
                "o por `ref`.",
                "A bad object is a problem; in a list, one bad row does not spoil the others. The "
                "same again changes nothing. They are joined later to their answer, by `id` or by "
                "`ref`.",
            ),
            ("peticion_no_valida", "demasiadas_filas", "registro_no_disponible"),
            takes=(PREFERRED,),
            sends={JSON: "CobroOCobros"},
            examples=("cobros",),
        ),
        ("GET", "/"): Operation(
            "formulario",
            PAGES,
            Text("El formulario", "The form"),
            {200: (Text("El formulario.", "The form."), {HTML: "Pagina"})},
            codes=("peticion_demasiado_larga",),
            takes=(PREFERRED,),
        ),
        ("GET", "/prueba"): Operation(
            "prueba",
            STATE,
            Text("Saber si funciona", "See whether it works"),
            {200: (Text("Funciona.", "It works."), {PLAIN: "Texto"})},
            Text("No toca el modelo.", "It does not touch the model."),
        ),
        ("GET", "/health"): Operation(
            "salud",
            STATE,
            Text("Qué funciona y qué no", "What works and what does not"),
            {
                200: (Text("Se puede puntuar.", "Scoring works."), {JSON: "Salud"}),
                503: (Text("Aún no hay modelo.", "There is no model yet."), {JSON: "Salud"}),
            },
        ),
        ("GET", "/health/live"): Operation(
            "vivo",
            STATE,
            Text("El proceso vive", "The process is alive"),
            {200: (Text("Vive.", "It is alive."), {JSON: "Vivo"})},
        ),
        ("GET", "/health/ready"): Operation(
            "listo",
            STATE,
            Text("Hay modelo", "There is a model"),
            {200: (Text("Listo para puntuar.", "Ready to score."), {JSON: "Listo"})},
            codes=("sin_modelo",),
        ),
        ("GET", "/metrics"): Operation(
            "metricas",
            STATE,
            Text("Métricas para Prometheus", "Metrics for Prometheus"),
            {200: (Text("Las métricas.", "The metrics."), {PLAIN: "Texto"})},
        ),
        ("GET", "/panel"): Operation(
            "panel",
            PAGES,
            Text("Cómo va el servicio", "How the service does"),
            {200: (Text("La página.", "The page."), {HTML: "Pagina"})},
            takes=(PREFERRED,),
        ),
        ("GET", "/panel/datos"): Operation(
            "datosPanel",
            STATE,
            Text("Los datos del panel", "The data of the panel"),
            {200: (Text("Salud, ritmo y datos.", "Health, pace and data."), {JSON: "Panel"})},
            Text(
                "Lo que muestra /panel. `datos` es lo último que dejó el proceso que vigila, o "
                "null. Momentos en milisegundos desde 1970; con If-None-Match, 304 si nada ha "
                "cambiado.",
                "What /panel shows. `datos` is what the keeper left last, or null. Moments in "
                "milliseconds since 1970; with If-None-Match, 304 if nothing changed.",
            ),
        ),
        ("GET", "/modelos"): Operation(
            "modelos",
            MODELS,
            Text("Las versiones", "The versions"),
            {200: (Text("Todas las versiones.", "All versions."), {JSON: "Modelos"})},
        ),
        ("POST", "/modelos"): Operation(
            "entregarModelo",
            MODELS,
            Text("Entregar un modelo", "Hand in a model"),
            {201: (Text("Aceptado.", "Accepted."), {JSON: "Entrega"})},
            Text(
                "El fichero pasa las mismas comprobaciones que en la carpeta; nada de él se "
                "ejecuta.",
                "The file goes through the same checks as in the folder; nothing of it is run.",
            ),
            ("peticion_no_valida", "tipo_no_admitido", "modelo_rechazado"),
            sends={UPLOAD: "Fichero"},
        ),
        ("POST", "/modelos/{version}/activar"): Operation(
            "activar",
            MODELS,
            Text("Publicar una versión", "Publish a version"),
            {200: (PUBLISHED, {JSON: "Publicacion"})},
            codes=("peticion_no_valida", "no_encontrado", "conflicto"),
            sends={JSON: "Activar"},
            examples=("activar",),
        ),
        ("POST", "/modelos/rollback"): Operation(
            "volver",
            MODELS,
            Text("Volver a la versión anterior", "Go back to the version before"),
            {200: (PUBLISHED, {JSON: "Publicacion"})},
            codes=("peticion_no_valida", "no_encontrado", "conflicto"),
            sends={JSON: "Volver"},
            examples=("volver",),
        ),
        ("GET", "/entrar"): Operation(
            "paginaEntrar",
            PAGES,
            Text("La página para entrar", "The page to log in"),
            {200: (Text("La página.", "The page."), {HTML: "Pagina"})},
        ),
        ("POST", "/entrar"): Operation(
            "entrar",
            PAGES,
            Text("Entrar con una clave", "Log in with a key"),
            {303: (Text("Ha entrado.", "You are in."), {})},
            codes=("peticion_no_valida", "clave_no_valida", "limite_superado"),
            sends={FORM: "Entrada"},
        ),
        ("POST", "/salir"): Operation(
            "salir",
            PAGES,
            Text("Salir", "Log out"),
            {303: (Text("Ha salido.", "You are out."), {})},
            codes=("peticion_no_valida", "limite_superado"),
            sends={FORM: "Salida"},
            may_be_empty=True,
        ),
        ("GET", "/docs"): Operation(
            "documentacion",
            PAGES,
            Text("Esta documentación como página", "This documentation as a page"),
            {200: (Text("La página.", "The page."), {HTML: "Pagina"})},
            takes=(PREFERRED,),
        ),
        ("GET", "/openapi.json"): Operation(
            "openapi",
            PAGES,
            Text("Este documento", "This document"),
            {200: (Text("OpenAPI 3.1.", "OpenAPI 3.1."), {JSON: "Documento"})},
            takes=(PREFERRED,),
        ),
    }
    | memory.OPERATIONS
    | portfolios.OPERATIONS
    | inference.OPERATIONS
)
