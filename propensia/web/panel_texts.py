"""What the panel says, in Spanish and English.

Never names a parameter, a model column or a class of one contract: those texts come with it.
"""

from __future__ import annotations

from typing import Final

# key -> (Spanish, English), as in ``texts``. A sentence with {braces} is filled in.
PANEL: Final[dict[str, tuple[str, str]]] = {
    "panel_title": ("Panel", "Panel"),
    "panel_intro": (
        "Qué responde, cuánto, cómo de bien y qué falla.",
        "What answers, how much, how well, and what is wrong.",
    ),
    "good": ("Todo funciona.", "Everything works."),
    "serving": ("El servicio funciona.", "The service works."),
    "but_alerts": ("Alertas abiertas: {names}.", "Open alerts: {names}."),
    "alert_drift": ("deriva", "drift"),
    "alert_quality": ("acierto", "performance"),
    "alert_blind": ("acierto sin estimar", "performance not estimated"),
    "alert_caller": ("peticiones rechazadas", "refused requests"),
    "alert_old_model": ("modelo antiguo", "old model"),
    "alert_journal": ("retraso del diario", "late journal"),
    "alert_audit": ("auditoría", "audit log"),
    "bad": ("Funciona con problemas.", "It works, with problems."),
    "down": ("No puede puntuar.", "It cannot score."),
    "as_of": ("Datos de las {at}.", "Data as of {at}."),
    "stale": (
        "Los datos son de las {at} ({age}): el proceso que los reúne no los renueva. Mire los "
        "problemas; si no hay, propensia doctor.",
        "The data are of {at} ({age}): the process that gathers them does not renew them. See "
        "the problems; if there are none, propensia doctor.",
    ),
    "none_yet": (
        "Los datos se están reuniendo: la primera vez tarda unos segundos. Si sigue así, mire "
        "propensia doctor.",
        "The data are being gathered: the first time takes some seconds. If it stays so, see "
        "propensia doctor.",
    ),
    "lost": ("Sin conexión con el servicio desde las", "No connection with the service since"),
    "clock": ("Horas y días de la máquina que sirve ({zone}).", "Times of the server ({zone})."),
    "as_table": ("Ver en una tabla", "See as a table"),
    "noscript": (
        "Sin JavaScript no hay gráficos ni se renueva sola; todos los datos están en las tablas.",
        "Without JavaScript there are no charts and no renewal; all data are in the tables.",
    ),
    # units of time
    "days": ("{n} días", "{n} days"),
    "days_one": ("{n} día", "{n} day"),
    "hours": ("{n} h", "{n} h"),
    "point": (",", "."),
    "minutes": ("{n} min", "{n} min"),
    "moment_ago": ("hace un momento", "a moment ago"),
    "ago": ("hace {age}", "{age} ago"),
    # figures on top
    "answers_24h": ("Respuestas, últimas 24 h", "Answers, last 24 h"),
    "of_them": ("{share} {name}", "{share} {name}"),
    "no_answers_24h": ("ninguna todavía", "none yet"),
    "speed": ("Tiempo de respuesta", "Response time"),
    "speed_more": (
        "95 % en {p95}, 99 % en {p99}, en {within}",
        "95% within {p95}, 99% within {p99}, in {within}",
    ),
    "speed_none": ("sin peticiones en {within}", "no requests in {within}"),
    "last_minutes": ("los últimos {n} min", "the last {n} min"),
    "last_minutes_one": ("el último minuto", "the last minute"),
    "failures_one": ("{n} fallo nuestro (5xx)", "{n} failure of ours (5xx)"),
    "failures": ("{n} fallos nuestros (5xx)", "{n} failures of ours (5xx)"),
    "workers": ("Trabajadores", "Workers"),
    "workers_more": ("en la versión publicada: {n}", "on the published version: {n}"),
    "auc_now": ("AUC estimada", "Estimated AUC"),
    "auc_none": ("sin estimación", "no estimate"),
    "interval": ("intervalo {span}", "interval {span}"),
    # model
    "model_since": ("Responde desde", "Answering since"),
    "model_made": ("Hecho", "Made"),
    "model_none": (
        "Ninguno. Deje un fichero .pkl en la carpeta de modelos.",
        "None. Drop a .pkl file into the models folder.",
    ),
    # answers
    "answers": ("Respuestas", "Answers"),
    "by_hour": ("Por hora, las últimas 48", "By hour, the last 48"),
    "by_day": ("Por día, los últimos 30", "By day, the last 30"),
    "hour": ("Hora", "Hour"),
    "date": ("Día", "Day"),
    "all": ("Todas", "All"),
    "answers_none": (
        "Aún no se ha respondido nada. Pruebe un caso en el formulario.",
        "Nothing was answered yet. Try one case in the form.",
    ),
    # scores
    "scores": ("Puntuaciones", "Scores"),
    "scores_caption": (
        "Parte de las puntuaciones en cada tramo: {days} ({answers} de esta versión) y el "
        "entrenamiento.",
        "Share of the scores in each range: {days} ({answers} of this version) and the training.",
    ),
    "last_days": ("los últimos {n} días", "the last {n} days"),
    "last_days_one": ("el último día", "the last day"),
    "answers_of": ("{n} respuestas", "{n} answers"),
    "answers_of_one": ("{n} respuesta", "{n} answer"),
    "range": ("Tramo", "Range"),
    "now": ("Ahora", "Now"),
    "training": ("Entrenamiento", "Training"),
    "no_reference": (
        "La ficha de este modelo no trae las puntuaciones de su entrenamiento: no hay con qué "
        "comparar. propensia train la escribe.",
        "The sidecar of this model has no scores of its training: there is nothing to compare "
        "with. propensia train writes it.",
    ),
    "threshold_line": ("umbral", "threshold"),
    "limit_line": ("límite de aviso", "alert limit"),
    # drift
    "drift": ("Deriva", "Drift"),
    "drift_caption": (
        "Cuánto se apartan los datos de ahora de los del entrenamiento (PSI), del {at}.",
        "How far the data of now are from those of the training (PSI), of {at}.",
    ),
    "parameter": ("Parámetro", "Parameter"),
    "verdict": ("Veredicto", "Verdict"),
    "verdict_still": ("estable", "stable"),
    "verdict_moving": ("se mueve: vigílelo", "moving: watch it"),
    "verdict_moved": ("ha cambiado: revise el modelo", "changed: review the model"),
    "verdict_none": ("sin calcular: {why}", "not computed: {why}"),
    "the_score": ("La puntuación", "The score"),
    "missing_share": ("Sin dato", "Missing"),
    "news": ("Categorías nuevas", "New categories"),
    "drift_none": (
        "Aún no se ha calculado para esta versión. Se calcula sola a los pocos minutos de que "
        "empiece a responder, y después cada {n}.",
        "Not computed for this version yet. It is computed by itself some minutes after the "
        "version begins to answer, and then every {n}.",
    ),
    # performance
    "performance": ("Acierto", "Performance"),
    "performance_caption": (
        "AUC: estimada antes de saber quién paga, y real cuando ya se sabe, con sus intervalos.",
        "AUC: estimated before it is known who pays, and real once it is, with intervals.",
    ),
    "estimated": ("Estimado", "Estimated"),
    "realised": ("Real", "Real"),
    "measure": ("Medida", "Measure"),
    "low_high": ("Intervalo", "Interval"),
    "of_time": ("Momento", "Moment"),
    "of_version": ("Versión", "Version"),
    "refused": ("No se da: {why}", "Not given: {why}"),
    "performance_none": (
        "Aún no se ha estimado esta versión. Se estima sola a los pocos minutos de que empiece a "
        "responder, y después cada {n}.",
        "This version is not estimated yet. It is by itself some minutes after the version "
        "begins to answer, and then every {n}.",
    ),
    "outcomes_none": (
        "Aún no hay resultados: envíelos con propensia outcomes FICHERO o POST /resultados. El "
        "acierto real de un mes se calcula {n} después de que acabe.",
        "There are no outcomes yet: send them with propensia outcomes FILE or POST /resultados. "
        "The real performance of a month is computed {n} after its end.",
    ),
    "realised_none": (
        "Hay resultados. El acierto real de un mes se calcula cuando se envía alguno {n} o más "
        "después de que acabe.",
        "There are outcomes. The real performance of a month is computed once any is sent {n} or "
        "more after its end.",
    ),
    "metric_auc": ("AUC", "AUC"),
    "metric_brier": ("Brier (menor es mejor)", "Brier (lower is better)"),
    "metric_precision": ("Precisión", "Precision"),
    "metric_recall": ("Sensibilidad", "Recall"),
    "metric_payments": ("Pagos", "Payments"),
    "metric_payments_estimated": ("Pagos esperados", "Expected payments"),
    "metric_payments_realised": ("Pagos recibidos", "Payments received"),
    "metric_mae": ("Error medio (MAE)", "Mean error (MAE)"),
    "metric_rmse": ("RMSE", "RMSE"),
    # maturity and deciles
    "maturity": ("Cuándo se paga", "When they pay"),
    "maturity_caption": (
        "De las respuestas de cada mes, qué parte había pagado a los 30, 60 y 90 días.",
        "Of the answers of each month, which share had paid after 30, 60 and 90 days.",
    ),
    "after_days": ("A los {n} días", "After {n} days"),
    "days_after": ("Días desde la respuesta", "Days since the answer"),
    "paid_share": ("Han pagado", "Have paid"),
    "month": ("Mes", "Month"),
    "maturity_none": (
        "Se verá cuando se envíen resultados 30 días o más después de acabar un mes.",
        "It shows once outcomes are sent 30 days or more after the end of a month.",
    ),
    "deciles_none": (
        "Se verán con el primer mes del que se calcule el acierto real.",
        "They show with the first month whose real performance is computed.",
    ),
    "region": ("Fuera de lo conocido", "Outside the known"),
    "region_more": (
        "{share} de los casos queda fuera de lo que vio el entrenamiento.",
        "{share} of the cases is outside what the training saw.",
    ),
    "estimate_was": ("Estimado menos real", "Estimated minus real"),
    "deciles": ("Por deciles de puntuación", "By deciles of the score"),
    "deciles_caption": (
        "Del decil que más puntúa al que menos: lo previsto, lo pagado y los euros cobrados, en "
        "{month} (versión {version}).",
        "From the decile that scores most to the least: foreseen, paid, and euros collected, in "
        "{month} (version {version}).",
    ),
    "decile": ("Decil", "Decile"),
    "foreseen": ("Previsto", "Foreseen"),
    "euros": ("Euros", "Euros"),
    # callers
    "callers": ("Quién llama", "Who calls"),
    "callers_caption": (
        "Los últimos {n} días; primero, quien envía peores datos.",
        "The last {n} days; first, who sends the worst data.",
    ),
    "caller": ("Llamador", "Caller"),
    "assumed": ("Con algo supuesto", "With something assumed"),
    "refusals": ("Peticiones rechazadas", "Refused requests"),
    "worst": ("Lo más frecuente", "Most frequent"),
    "since_last": ("desde {first}, la última {last}", "since {first}, the last {last}"),
    "callers_none": ("Nadie ha llamado aún.", "Nobody has called yet."),
    # alerts and events
    "alerts": ("Alertas abiertas", "Open alerts"),
    "alerts_none": ("Ninguna.", "None."),
    "since": ("desde", "since"),
    "events": ("Últimos sucesos", "Last events"),
    "events_caption": ("Del registro de auditoría.", "From the audit log."),
    "event": ("Suceso", "Event"),
    "who": ("Quién", "Who"),
    "events_none": ("Ninguno todavía.", "None yet."),
}
