"""Why a dropped file is not served: stable codes, with the sentences that an analyst reads.

A refusal never carries a debtor's value, and never more than a name out of the file.
"""

from __future__ import annotations

from propensia.files import shown as shown

# code -> (what happened, what to do) in Spanish, then in English. {detail} names the thing.
TEXTS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "fichero_incompleto": (
        (
            "El fichero está incompleto: {detail}.",
            "Cópielo de nuevo y espere a que termine la copia.",
        ),
        ("The file is incomplete: {detail}.", "Copy it again and wait until the copy ends."),
    ),
    "demasiado_grande": (
        (
            "El fichero es demasiado grande: {detail}.",
            "Entrene un modelo más pequeño o pida que se suba el límite en los ajustes.",
        ),
        (
            "The file is too large: {detail}.",
            "Train a smaller model, or ask for a higher limit in the settings.",
        ),
    ),
    "no_es_un_modelo": (
        (
            "El fichero no es un modelo guardado con pickle o joblib: {detail}.",
            "Guarde el modelo con joblib.dump(modelo, 'nombre.pkl').",
        ),
        (
            "The file is not a model saved with pickle or joblib: {detail}.",
            "Save the model with joblib.dump(model, 'name.pkl').",
        ),
    ),
    "formato_no_admitido": (
        (
            "El fichero está guardado en un formato que aquí no se lee: {detail}.",
            "Guárdelo de nuevo con joblib.dump(modelo, 'nombre.pkl', compress='zlib').",
        ),
        (
            "The file is saved in a format that is not read here: {detail}.",
            "Save it again with joblib.dump(model, 'name.pkl', compress='zlib').",
        ),
    ),
    "matriz_imposible": (
        (
            "Una matriz del modelo es imposible: {detail}.",
            "El fichero está dañado o manipulado: expórtelo de nuevo.",
        ),
        (
            "An array of the model is impossible: {detail}.",
            "The file is damaged or tampered with: export it again.",
        ),
    ),
    "contenido_no_permitido": (
        (
            "Contiene {detail}, que no es parte de un modelo. No se ha ejecutado nada.",
            "Pida a quien lo envió que lo exporte de nuevo; si no fue usted, avise a seguridad.",
        ),
        (
            "It contains {detail}, which is not part of a model. Nothing was executed.",
            "Ask the sender to export it again; if it was not you, tell security.",
        ),
    ),
    "familia_desconocida": (
        (
            "No se sabe leer {detail}. No se ha ejecutado nada.",
            "Use una de las familias admitidas; están en docs/analista.md.",
        ),
        (
            "{detail} cannot be read here. Nothing was executed.",
            "Use one of the accepted families; docs/analista.md lists them.",
        ),
    ),
    "no_convertido": (
        (
            "No se pudo convertir en el recinto: {detail}.",
            "Use una de las familias admitidas; están en docs/analista.md.",
        ),
        (
            "It could not be converted in the sandbox: {detail}.",
            "Use one of the accepted families; docs/analista.md lists them.",
        ),
    ),
    "no_es_clasificador_binario": (
        (
            "No es un clasificador de dos clases: {detail}.",
            "Entrene un clasificador que distinga pagador de no pagador.",
        ),
        (
            "It is not a classifier of two classes: {detail}.",
            "Train a classifier that tells payers from non-payers.",
        ),
    ),
    "clases_distintas": (
        (
            "Las clases del modelo no son las del contrato: {detail}.",
            "Entrene con 1 para pagador y 0 para no pagador.",
        ),
        (
            "The classes of the model are not those of the contract: {detail}.",
            "Train with 1 for a payer and 0 for a non-payer.",
        ),
    ),
    "no_entrenado": (
        ("El modelo no está entrenado: {detail}.", "Llame a fit antes de guardarlo."),
        ("The model is not fitted: {detail}.", "Call fit before you save it."),
    ),
    "columnas_distintas": (
        (
            "Las columnas no son las del contrato: {detail}.",
            "Entrene con las columnas del contrato, con esos nombres.",
        ),
        (
            "The columns are not those of the contract: {detail}.",
            "Train on the columns of the contract, with those names.",
        ),
    ),
    "valores_distintos": (
        (
            "El modelo no admite todos los valores del contrato: {detail}.",
            "Entrene con pasos que los admitan: codificadores con handle_unknown para los textos, "
            "SimpleImputer para lo que puede faltar.",
        ),
        (
            "The model does not take every value of the contract: {detail}.",
            "Train with steps that do: encoders with handle_unknown for texts, SimpleImputer for "
            "what may be missing.",
        ),
    ),
    "arbol_imposible": (
        (
            "Un árbol del modelo es imposible: {detail}.",
            "El fichero está dañado o manipulado: expórtelo de nuevo.",
        ),
        (
            "A tree of the model is impossible: {detail}.",
            "The file is damaged or tampered with: export it again.",
        ),
    ),
    "pesos_imposibles": (
        (
            "Los pesos del modelo son imposibles: {detail}.",
            "Compruebe que el entrenamiento converge y expórtelo de nuevo.",
        ),
        (
            "The weights of the model are impossible: {detail}.",
            "Check that the training converges and export it again.",
        ),
    ),
    "filas_doradas_nan": (
        (
            "El modelo da resultados imposibles: {detail}.",
            "Compruebe que el entrenamiento converge y expórtelo de nuevo.",
        ),
        (
            "The model gives impossible results: {detail}.",
            "Check that the training converges and export it again.",
        ),
    ),
    "filas_doradas_constantes": (
        (
            "El modelo da siempre el mismo resultado: {detail}.",
            "Compruebe las etiquetas y las columnas del entrenamiento.",
        ),
        (
            "The model always gives the same result: {detail}.",
            "Check the labels and the columns of the training.",
        ),
    ),
    "filas_doradas_distintas": (
        (
            "El modelo no repite los resultados esperados: {detail}.",
            "Exporte el modelo y su ficha a la vez, del mismo entrenamiento.",
        ),
        (
            "The model does not repeat the expected results: {detail}.",
            "Export the model and its sidecar together, from the same training.",
        ),
    ),
    "paridad_no_alcanzada": (
        (
            "Las probabilidades no son las de la biblioteca original: {detail}.",
            "Envíe el fichero a quien mantiene Propensia: es un fallo nuestro.",
        ),
        (
            "The probabilities are not those of the original library: {detail}.",
            "Send the file to whoever maintains Propensia: it is a fault of ours.",
        ),
    ),
    "modelo_invertido": (
        (
            "El modelo ordena a los deudores al revés que el activo: {detail}.",
            "Compruebe que 1 es pagador; si es lo correcto: propensia admit --force FICHERO.",
        ),
        (
            "The model ranks debtors the other way round than the active one: {detail}.",
            "Check that 1 is a payer; if the change is right: propensia admit --force FILE.",
        ),
    ),
    "demasiado_lento": (
        (
            "El modelo es demasiado lento: {detail}.",
            "Entrene un modelo más pequeño (menos árboles o menos capas).",
        ),
        ("The model is too slow: {detail}.", "Train a smaller model (fewer trees or layers)."),
    ),
    "demasiada_memoria": (
        (
            "El modelo necesita demasiada memoria: {detail}.",
            "Entrene un modelo más pequeño o pida que se suba el límite en los ajustes.",
        ),
        (
            "The model needs too much memory: {detail}.",
            "Train a smaller model, or ask for a higher limit in the settings.",
        ),
    ),
    "proceso_muerto": (
        (
            "La comprobación terminó de golpe: {detail}. El servicio no se ha visto afectado.",
            "El fichero está dañado o manipulado: expórtelo de nuevo.",
        ),
        (
            "The check ended abruptly: {detail}. The service was not affected.",
            "The file is damaged or tampered with: export it again.",
        ),
    ),
    "ficha_no_valida": (
        (
            "La ficha JSON que acompaña al modelo no es válida: {detail}.",
            "Corríjala o quítela; el modelo puede ir sin ficha.",
        ),
        (
            "The JSON sidecar of the model is not valid: {detail}.",
            "Mend it or remove it; a model may come without one.",
        ),
    ),
    "contrato_distinto": (
        (
            "La ficha dice que el modelo se entrenó con otro contrato: {detail}.",
            "Entrene con el contrato de este servidor.",
        ),
        (
            "The sidecar says that the model was trained with another contract: {detail}.",
            "Train with the contract of this server.",
        ),
    ),
    "version_repetida": (
        (
            "Su identidad empieza como la de otro fichero ya admitido: {detail}.",
            "Expórtelo de nuevo; si vuelve a pasar, avise a seguridad.",
        ),
        (
            "Its identity begins like that of another admitted file: {detail}.",
            "Export it again; if it happens again, tell security.",
        ),
    ),
    "firma_ausente": (
        (
            "El fichero no está firmado, y aquí se exige: {detail}.",
            "Fírmelo con «propensia sign FICHERO» y deje la firma a su lado; "
            "se comprueba en cuanto llega.",
        ),
        (
            "The file is not signed, and here it must be: {detail}.",
            "Sign it with “propensia sign FILE” and leave the signature beside it; "
            "it is checked as soon as it arrives.",
        ),
    ),
    "firma_no_valida": (
        (
            "La firma no es válida: {detail}. No se ha leído nada del modelo.",
            "Fírmelo de nuevo con una clave de confianza, o pida que la suya lo sea y deje otra "
            "vez la firma; si no fue usted, avise a seguridad.",
        ),
        (
            "The signature is not valid: {detail}. Nothing of the model was read.",
            "Sign it again with a trusted key, or ask for yours to be trusted and leave the "
            "signature again; if it was not you, tell security.",
        ),
    ),
    "no_es_un_fichero": (
        (
            "No es un fichero normal: {detail}.",
            "Copie el fichero PKL mismo, no un enlace ni una carpeta.",
        ),
        (
            "It is not a regular file: {detail}.",
            "Copy the PKL file itself, not a link or a folder.",
        ),
    ),
}


class Refusal(Exception):
    """A file that is not served, with a stable ``code`` and a ``detail`` that names the thing.

    ``detail`` is a short phrase, the same in both languages where it is a name; otherwise give
    ``detail_en`` too.
    """

    def __init__(self, code: str, detail: str, detail_en: str | None = None) -> None:
        if code not in TEXTS:
            raise KeyError(f"unknown refusal code {code!r}: add it to TEXTS")
        super().__init__(f"{code}: {detail_en or detail}")
        self.code = code
        self.detail = detail
        self.detail_en = detail_en or detail

    def text(self, language: str = "es") -> str:
        """What happened and what to do, two sentences in ``es`` or ``en``."""
        spanish, english = TEXTS[self.code]
        what, remedy = spanish if language == "es" else english
        detail = self.detail if language == "es" else self.detail_en
        return f"{what.format(detail=detail)} {remedy}"
