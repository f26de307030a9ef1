"""Everything that is refused, once: status, texts and how long to wait, by code.

No text here has room for a value that was received.
"""

from __future__ import annotations

from propensia.replaying import TEXTS
from propensia.web.query import LONGEST_QUERY

# code -> (status, (title, detail) in Spanish, the same in English, seconds to wait or 0)
KINDS: dict[str, tuple[int, tuple[str, str], tuple[str, str], int]] = {
    "peticion_no_valida": (
        400,
        ("Petición no válida", "Corrija lo que se indica en «errores» y repita la petición."),
        ("Invalid request", "Mend what «errores» lists and send the request again."),
        0,
    ),
    "cuerpo_no_valido": (
        400,
        ("Cuerpo no válido", "El cuerpo debe ser JSON en UTF-8 con la forma que dice /docs."),
        ("Invalid body", "The body must be JSON in UTF-8, of the shape that /docs tells."),
        0,
    ),
    "clave_no_valida": (
        401,
        ("Clave no válida", "Envíe una clave que valga aquí en la cabecera X-API-Key."),
        ("Invalid key", "Send a key that is good here in the header X-API-Key."),
        0,
    ),
    "sin_permiso": (
        403,
        ("Sin permiso", "Su clave no puede hacer esto; pida otra a quien administra."),
        ("No permission", "Your key may not do this; ask the administrator for another."),
        0,
    ),
    "origen_no_permitido": (
        403,
        ("Origen no permitido", "Lo envió otra página, u otra sesión: recargue y repita."),
        ("Origin not allowed", "Another page or session sent this: reload and try again."),
        0,
    ),
    "no_encontrado": (
        404,
        ("No encontrado", "Esa dirección no existe; la de puntuar es /prediccion."),
        ("Not found", "There is no such address; the one that scores is /prediccion."),
        0,
    ),
    "metodo_no_permitido": (
        405,
        ("Método no permitido", "Use uno de los métodos de la cabecera Allow."),
        ("Method not allowed", "Use one of the methods in the Allow header."),
        0,
    ),
    "conflicto": (
        409,
        ("Conflicto", "Lo publicado ha cambiado, o no permite esto ahora; mire /modelos."),
        ("Conflict", "What is published has changed, or forbids this now; see /modelos."),
        0,
    ),
    "peticion_incompleta": (
        400,
        ("Petición incompleta", "La petición no es HTTP/1.1 válido o llegó incompleta."),
        ("Incomplete request", "The request is not valid HTTP/1.1, or did not arrive whole."),
        0,
    ),
    "fichero_demasiado_grande": (
        413,
        ("Contenido demasiado grande", "El contenido puede ocupar como mucho {longest}."),
        ("Content too large", "The content may have at most {longest}."),
        0,
    ),
    "demasiadas_filas": (
        413,
        ("Demasiadas filas", "Envíe como mucho {most_rows} filas en cada petición."),
        ("Too many rows", "Send at most {most_rows} rows in each request."),
        0,
    ),
    "peticion_demasiado_larga": (
        414,
        ("Petición demasiado larga", f"La parte tras «?» puede tener {LONGEST_QUERY} caracteres."),
        ("Request too long", f"The part after “?” may have {LONGEST_QUERY} characters."),
        0,
    ),
    "tipo_no_admitido": (
        415,
        ("Tipo no admitido", "Envíe el contenido con el tipo que dice /docs."),
        ("Type not taken", "Send the content with the type that /docs tells."),
        0,
    ),
    "modelo_rechazado": (
        422,
        ("Modelo rechazado", "El fichero no ha pasado las comprobaciones; vea «errores»."),
        ("Model refused", "The file did not pass the checks; see «errores»."),
        0,
    ),
    "limite_superado": (
        429,
        ("Límite superado", "Demasiadas peticiones; espere {retry_s} s y repita la petición."),
        ("Too many requests", "Too many requests; wait {retry_s} s and send it again."),
        1,
    ),
    "error_interno": (
        500,
        ("Error interno", "Error nuestro; indique este id a quien mantiene el servicio."),
        ("Internal error", "Our fault; give this id to whoever keeps the service."),
        0,
    ),
    "ocupado": (
        503,
        ("Ocupado", "Demasiadas peticiones a la vez; repita en un segundo."),
        ("Busy", "Too many requests at once; send it again in a second."),
        1,
    ),
    "sin_modelo": (
        503,
        ("Sin modelo", "Aún no hay modelo publicado; repita la petición en unos segundos."),
        ("No model", "No model is published yet; send the request again in some seconds."),
        5,
    ),
    "registro_no_disponible": (
        503,
        (
            "Registro no disponible",
            "No se puede registrar la petición, y sin registro no se puntúa; repita en unos "
            "segundos y avise a quien mantiene el servicio.",
        ),
        (
            "Record not available",
            "The request cannot be recorded, and without a record nothing is scored; send it "
            "again in some seconds and tell whoever keeps the service.",
        ),
        5,
    ),
    "modelo_no_fiable": (
        503,
        ("Modelo no fiable", "El modelo falló o dio un resultado imposible; avise a analítica."),
        ("Model not reliable", "The model failed or gave an impossible result; tell analysts."),
        5,
    ),
}

# name of a more exact detail -> (code of its problem, Spanish, English)
DETAILS: dict[str, tuple[str, str, str]] = {
    "sin_claves": (
        "clave_no_valida",
        "Aún no hay claves: llame a {here} desde esta misma máquina, con HTTP/1.1 y sin proxy, o "
        "haga una con «propensia keys create».",
        "There are no keys yet: call {here} on this very machine, by HTTP/1.1 and without a "
        "proxy, or make one with “propensia keys create”.",
    ),
    "permiso_sin_clave": (
        "sin_permiso",
        "Sin clave no se puede hacer esto; haga una con «propensia keys create» y envíela.",
        "Without a key this is not possible; make one with “propensia keys create” and send it.",
    ),
    "modelo_desconocido": (
        "no_encontrado",
        "No hay ningún modelo con ese nombre; use el del contrato o el del fichero activo.",
        "There is no model of that name; use that of the contract or of the active file.",
    ),
    "version_desconocida": (
        "no_encontrado",
        "No hay ninguna versión con ese nombre; /modelos las enumera.",
        "There is no version of that name; /modelos lists them.",
    ),
    "version_no_activa": (
        "no_encontrado",
        "Esa versión no es la que responde; /modelos dice cuál es.",
        "That version is not the one that answers; /modelos tells which is.",
    ),
    "misma_persona": (
        "sin_permiso",
        "Tiene que decidirlo otra persona: con cuatro ojos, nadie publica lo que entregó.",
        "Another person has to decide it: with four eyes, nobody publishes what they handed in.",
    ),
    "cartera_desconocida": (
        "no_encontrado",
        "No hay ninguna cartera suya con ese identificador: ya se borró, o es de otra clave.",
        "You have no portfolio of that id: it was deleted, or it is of another key.",
    ),
    "cartera_sin_fichero": (
        "no_encontrado",
        "Ese fichero no existe: ninguna fila tiene errores, o no se ha podido puntuar.",
        "There is no such file: no row has faults, or it could not be scored.",
    ),
    "cartera_no_lista": (
        "conflicto",
        "La cartera no está en ese punto; mire su estado y espere, o súbala otra vez.",
        "The portfolio is not at that point; see its state and wait, or upload it again.",
    ),
    "carteras_apagadas": (
        "sin_permiso",
        "Aquí no se suben carteras (ajuste «max_portfolio_mb»).",
        "No portfolios are uploaded here (setting “max_portfolio_mb”).",
    ),
    "sin_sitio_para_carteras": (
        "ocupado",
        "No queda sitio para otra cartera: espere a que caduque alguna, o borre las suyas.",
        "There is no room for another portfolio: wait until one expires, or delete yours.",
    ),
    "demasiadas_carteras": (
        "conflicto",
        "Tiene ya tantas carteras como se guardan; borre alguna y repita.",
        "You have as many portfolios as are kept; delete one and send it again.",
    ),
    "diario_apagado": (
        "registro_no_disponible",
        "El diario está apagado (ajuste «journal»): no se guardan resultados.",
        "The journal is off (setting “journal”): no outcomes are kept.",
    ),
    "respuesta_desconocida": (
        "no_encontrado",
        "No hay ninguna respuesta guardada con ese identificador; las nuevas tardan un momento.",
        "There is no stored answer of that id; new ones take a moment.",
    ),
    "persona_desconocida": (
        "no_encontrado",
        "No se sabe nada de nadie con ese identificador o referencia: ¿está bien escrito?",
        "Nothing is known of anybody with that id or reference: is it written right?",
    ),
    "base_no_disponible": (
        "registro_no_disponible",
        "La base de datos no responde; se sigue puntuando. Repita en unos segundos y avise a "
        "quien mantiene el servicio.",
        "The database does not answer; scoring goes on. Send it again in some seconds and tell "
        "whoever keeps the service.",
    ),
    "contenido_comprimido": (
        "tipo_no_admitido",
        "Envíe el contenido sin comprimir, sin la cabecera Content-Encoding.",
        "Send the content as it is, not compressed, without the header Content-Encoding.",
    ),
    "solo_json": (
        "tipo_no_admitido",
        "Envíe el contenido como application/json, en UTF-8.",
        "Send the content as application/json, in UTF-8.",
    ),
    "solo_tensores": (
        "tipo_no_admitido",
        "Envíe el contenido como application/json, o application/octet-stream si lleva tensores.",
        "Send the content as application/json, or application/octet-stream if it has tensors.",
    ),
    "solo_cartera": (
        "tipo_no_admitido",
        "Envíe el fichero en un formulario, multipart/form-data, o él solo con su tipo.",
        "Send the file in a form, multipart/form-data, or by itself with its type.",
    ),
    "solo_formulario": (
        "tipo_no_admitido",
        "Envíe el fichero en un formulario, multipart/form-data.",
        "Send the file in a form, multipart/form-data.",
    ),
} | {code: ("conflicto", *texts) for code, texts in TEXTS.items()}
