"""Why a figure is not given, in both languages, beside a code that stays.

It only words: what is refused is decided where the figure would be made.
"""

from __future__ import annotations

from dataclasses import dataclass

from propensia.spanish import number, percent


@dataclass(frozen=True, slots=True)
class Reason:
    """A ``code`` of this module and its sentence, without a point at the end."""

    code: str
    spanish: str
    english: str

    def detail(self) -> dict[str, str]:
        """As the ``detail`` of a measurement holds it."""
        return {"code": self.code, "reason": self.spanish, "reason_en": self.english}


UNKNOWN_TRAINING = Reason(
    "unknown_training",
    "no se sabe con qué datos se entrenó la versión: su ficha no trae referencia "
    "(propensia train la escribe)",
    "nobody knows what data the version learnt from: its sidecar brings no reference "
    "(propensia train writes it)",
)
NOBODY_CHOSEN = Reason("nobody_chosen", "nadie llega al umbral", "nobody is above the threshold")
UNKNOWN_CALIBRATION = Reason(
    "unknown_calibration",
    "la ficha no dice cómo de calibradas están las probabilidades (ece_sin_sesgo)",
    "the sidecar does not tell how well the probabilities are calibrated (ece_sin_sesgo)",
)
UNKNOWN_REGION = Reason(
    "unknown_region",
    "la ficha no trae la cobertura del entrenamiento, y no se sabe si lo que llega cae dentro",
    "the sidecar does not tell the region of the training: what comes may lie outside of it",
)
ONE_CLASS = Reason(
    "one_class",
    "no consta ningún pago, o todos pagaron: no se puede medir",
    "no payment is known, or all paid: nothing can be measured",
)
ALL_REFUSED = Reason(
    "all_refused",
    "no tiene ninguna respuesta: todas sus peticiones se rechazaron",
    "it has no answer: all of its requests were refused",
)


def few_answers(count: int, least: int) -> Reason:
    """There are fewer debtors than a figure takes."""
    return Reason(
        "few_answers",
        f"hay {count} respuestas y hacen falta {least}",
        f"there are {count} answers and {least} are needed",
    )


def few_first_answers(count: int, least: int) -> Reason:
    """Nobody told of the training, and the first answers are too few to take its place."""
    return Reason(
        "few_first_answers",
        "la ficha de la versión no trae referencia, y para compararla con sus primeras "
        f"respuestas faltan {least - count} de {least} (de deudores distintos)",
        "the sidecar of the version brings no reference, and to compare it with its first "
        f"answers {least - count} of {least} are missing (of different debtors)",
    )


def few_of_a_class(least: int) -> Reason:
    """Almost all, or almost none, are expected to pay."""
    return Reason(
        "few_of_a_class",
        f"se esperan menos de {least} de una de las dos clases",
        f"fewer than {least} of one of the two classes are expected",
    )


def badly_calibrated(points: float, limit: float) -> Reason:
    """At training the chances were off by so many hundredths."""
    return Reason(
        "badly_calibrated",
        f"al entrenar, las probabilidades se alejaban {number(points, 1)} puntos de lo que pasó "
        f"(límite {number(limit, 0)})",
        f"at training the probabilities were {points:.1f} points away from what came "
        f"(limit {limit:.0f})",
    )


def was_badly_calibrated(cohort: str, points: float, limit: float) -> Reason:
    """In the last month that is known the chances were off by so many hundredths."""
    return Reason(
        "was_badly_calibrated",
        f"en {cohort} las probabilidades se alejaron {number(points, 1)} puntos de lo que pasó "
        f"(límite {number(limit, 0)})",
        f"in {cohort} the probabilities were {points:.1f} points away from what came "
        f"(limit {limit:.0f})",
    )


def outside(share: float, pair: list[str], limit: float) -> Reason:
    """More than was to be expected lies where training had nothing; ``pair``: two parameters that
    hold most of it out, or none."""
    of = f", sobre todo por {' y '.join(pair)}" if pair else ""
    of_english = f", above all by {' and '.join(pair)}" if pair else ""
    return Reason(
        "outside",
        f"el {percent(share, 1)} cae fuera de lo que el entrenamiento conoció{of} "
        f"(límite {percent(limit, 1)})",
        f"{share:.1%} lies outside of what the training knew{of_english} (limit {limit:.1%})",
    )


def new_scores(share: float) -> Reason:
    """Scores that training never had."""
    return Reason(
        "new_scores",
        f"el {percent(share, 1)} tiene una puntuación que no hubo al entrenar",
        f"{share:.1%} has a score that there was none of at training",
    )


def few_debtors(count: int, fewest: int) -> Reason:
    """A month is too small to judge."""
    return Reason(
        "few_debtors",
        f"hay {count} deudores, y {fewest} de la clase menor: son pocos",
        f"there are {count} debtors, {fewest} of them of the smaller class: too few",
    )


def kept_too_short(kept: int, needed: int, days: int) -> Reason:
    """Answers go before anybody can know what came of the whole of a month."""
    return Reason(
        "kept_too_short",
        f"no se puede juzgar ningún mes: las respuestas se guardan {kept} días "
        f"(keep_answers_days) y hacen falta {needed}, un mes y los {days} de outcome_days",
        f"no month can be judged: answers are kept for {kept} days (keep_answers_days) and "
        f"{needed} are needed, a month and the {days} of outcome_days",
    )
