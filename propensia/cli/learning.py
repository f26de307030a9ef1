"""The commands about data and training; each is imported only when it runs.

They read what was typed and hand it on; they compute nothing.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from propensia.cli.words import Minutes, Probability, SpanishCommand, fail, told, who
from propensia.terminal import Exit, compose


@click.command(cls=SpanishCommand, short_help="Compara la matriz de un cuaderno con el contrato.")
@click.argument("raw", metavar="TABLA.csv", type=click.Path(exists=True, path_type=Path))
@click.argument("matrix", metavar="MATRIZ.csv", type=click.Path(exists=True, path_type=Path))
@click.option("--model", metavar="VERSIÓN", help="Mide el efecto con esa versión [la activa].")
@click.option("--key", metavar="COLUMNA", help="Une las filas por esa columna de los dos.")
@click.option(
    "--tolerance",
    metavar="NÚMERO",
    type=click.FloatRange(0.0),
    help="Diferencia que no cuenta [según los decimales escritos; al menos 0.000001].",
)
@told
def skew(
    raw: Path, matrix: Path, model: str | None, key: str | None, tolerance: float | None
) -> None:
    """Dice en qué difiere MATRIZ.csv, la que hizo un cuaderno, de lo que haría el servicio.

    Pasa las filas sin transformar de TABLA.csv por el contrato y las compara con las de la
    matriz: en qué columnas difieren, por qué, y cuánto mueve eso la puntuación. Termina con 0 si
    no difieren y con 1 si difieren o no se pueden comparar.
    """
    from propensia import skew as skew_
    from propensia.scorer import ScorerError, Unreliable
    from propensia.skewing import OptionError, SkewError

    try:
        sys.exit(skew_.skew(compose(), raw, matrix, model, key, tolerance))
    except OptionError as error:
        fail(str(error), Exit.WRONG_USE)
    except SkewError as error:
        fail(str(error), Exit.REFUSED)
    except (ScorerError, Unreliable):
        fail(
            "el modelo está dañado o no da una probabilidad con esta matriz; pruebe con otra "
            "versión (--model)",
            Exit.REFUSED,
        )


@click.command(cls=SpanishCommand, short_help="Genera una tabla de cobros, sin datos de nadie.")
@click.argument("out", metavar="FICHERO", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--rows",
    metavar="FILAS",
    default=7339,
    type=click.IntRange(1, 300_000_000),
    help="Cuántas filas [7339].",
)
@click.option(
    "--seed",
    metavar="NÚMERO",
    default=1,
    type=click.IntRange(0),
    help="Semilla: con la misma, y las mismas opciones, sale el mismo fichero [1].",
)
@click.option("--truth", is_flag=True, help="Añade PROBABILIDAD_REAL, la de pago de cada fila.")
@click.option("--payments", is_flag=True, help="Añade FECHA_PAGO e IMPORTE_PAGO.")
@click.option(
    "--drift",
    metavar="X",
    default=0.0,
    type=Probability(0.0, 1.0),
    help="Cuánto cambia la población, de 0 a 1: más deuda, más bajas, menos pagos [0].",
)
@click.option(
    "--from",
    "start",
    metavar="AAAA-MM-DD",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Primer día de FECHA_ENVIO [2022-12-15].",
)
@click.option(
    "--days",
    metavar="DÍAS",
    type=click.IntRange(1, 3660),
    help="Cuántos días abarca FECHA_ENVIO [108].",
)
@click.option("--force", is_flag=True, help="Sobrescribe FICHERO si ya existe.")
@told
def synth(
    out: Path,
    rows: int,
    seed: int,
    truth: bool,
    payments: bool,
    drift: float,
    start: datetime | None,
    days: int | None,
    force: bool,
) -> None:
    """Genera en FICHERO una tabla como UNAL_Cobros.csv, que nunca se publicó.

    Un CSV con sus 25 columnas, sus cifras publicadas y ninguna fila de una persona real.
    docs/synthetic.md dice qué es publicado y qué es supuesto.
    """
    from propensia import synth as synth_

    sys.exit(
        synth_.run(
            out,
            rows,
            seed,
            drift=drift,
            start=None if start is None else start.date(),
            days=days,
            truth=truth,
            payments=payments,
            force=force,
        )
    )


def _pairs(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    """``NAME=COLUMN`` texts as a table."""
    pairs = dict(text.partition("=")[::2] for text in given)
    if not all(pairs.values()):
        raise click.BadParameter("escriba NOMBRE=COLUMNA", context, parameter)
    return pairs


@click.command(cls=SpanishCommand, short_help="Entrena un modelo con una tabla.")
@click.argument("data", metavar="DATOS")
@click.option("--query", metavar="SQL", help="Consulta o tabla, si DATOS es una base de datos.")
@click.option(
    "--contract", metavar="NOMBRE", help="Contrato: incluido o un TOML [el del servicio]."
)
@click.option(
    "--minutes",
    metavar="NÚMERO",
    default=1.0,
    type=Minutes(0.05, 10_000),
    help="Cuánto buscar; después hay que ajustar y juzgar [1].",
)
@click.option("--out", "name", metavar="NOMBRE", help="Nombre del modelo [contrato y día].")
@click.option("--publish", is_flag=True, help="Lo copia en la carpeta de modelos y lo publica.")
@click.option(
    "--threshold",
    "rule",
    metavar="REGLA",
    default="f1",
    help="f1, top=0.20 (parte que se llama), cost=2.50 (euros por llamada) o un número [f1].",
)
@click.option(
    "--recovery",
    metavar="PARTE",
    default=1.0,
    type=Probability(0.0, 1.0),
    help="Con cost=, parte del importe que paga quien paga [1].",
)
@click.option(
    "--families",
    metavar="LISTA",
    help="Solo estas, con comas: logistica, lightgbm, histograma, xgboost, bosque, red.",
)
@click.option(
    "--balance",
    default="none",
    type=click.Choice(["none", "under", "over", "smote"]),
    help="Equilibra las clases, solo en lo que aprende cada modelo [none].",
)
@click.option("--date", metavar="COLUMNA", help="Fecha de la fila [la del contrato]; '' ninguna.")
@click.option("--key", metavar="COLUMNA", help="Cliente de la fila [el del contrato]; '' ninguno.")
@click.option(
    "--column",
    "renamed",
    metavar="NOMBRE=COLUMNA",
    multiple=True,
    callback=_pairs,
    help="Cómo se llama en DATOS una columna del contrato. Se repite.",
)
@click.option(
    "--allow", metavar="COLUMNA", multiple=True, help="Acepta lo que se avise de ella. Se repite."
)
@click.option(
    "--seed",
    metavar="NÚMERO",
    default=1,
    type=click.IntRange(0, 2**31),
    help="Semilla [1].",
)
@click.option(
    "--tracking",
    metavar="URI",
    help="Registro de MLflow: una carpeta, un servidor o «no» [mlruns, en la de estado].",
)
@click.option(
    "--force",
    is_flag=True,
    help="Sobrescribe el candidato del mismo nombre y, con --publish, el PKL de la carpeta de "
    "modelos.",
)
@told
def train(**given: Any) -> None:
    """Entrena con DATOS (CSV, Parquet o la URL de una base de datos) un modelo del contrato.

    Separa antes de ajustar, por fecha y cliente si los hay; prueba varias clases de modelos
    durante --minutes; y deja en models/candidates/ el modelo, su ficha y su informe. Si se
    interrumpe, la misma orden sigue donde estaba.
    """
    try:
        from propensia import train as train_
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("propensia"):
            raise
        fail(f"falta {error.name}: instale el grupo de entrenamiento (uv sync)", Exit.ENVIRONMENT)

    parts = compose()
    try:
        written = train_.run(parts, train_.Request(**given))
    except train_.WrongUse as error:
        fail(str(error), Exit.WRONG_USE)
    except (train_.NotTrained, train_.Interrupted) as error:
        fail(str(error), Exit.REFUSED)
    if given["publish"]:
        from propensia import commands, delivery

        try:
            path, seen = delivery.publish(parts, written, force=given["force"])
        except delivery.NotPublished as error:
            fail(str(error), Exit.REFUSED)
        why = "entrenado con propensia train"
        sys.exit(commands.admit(parts, path, why, False, who(), only_after=seen))


COMMANDS: tuple[click.Command, ...] = (synth, train, skew)
