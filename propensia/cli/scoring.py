"""The command about whole portfolios; what it needs is imported only when it runs.

It reads what was typed and hands it on; it computes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from propensia.cli.words import SpanishCommand, fail, told, who
from propensia.terminal import compose


@click.command(cls=SpanishCommand, short_help="Puntúa una cartera entera.")
@click.argument("source", metavar="ENTRADA")
@click.argument("target", metavar="SALIDA")
@click.option("--query", metavar="SQL", help="Consulta o tabla, si ENTRADA es una base de datos.")
@click.option("--sheet", metavar="HOJA", help="Hoja, si ENTRADA es un libro [la primera].")
@click.option(
    "--columns",
    metavar="CSV",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Qué columna es cada parámetro: dos columnas, nombre del contrato y de ENTRADA.",
)
@click.option("--key", metavar="COLUMNA", help="Clave de cada fila, en una base de datos.")
@click.option(
    "--changed", metavar="COLUMNA", help="Con --since: la columna que dice cuándo cambió una fila."
)
@click.option(
    "--since",
    metavar="MOMENTO",
    help="Solo lo cambiado desde entonces: una fecha, o «last», la última cartera de SALIDA.",
)
@click.option("--table", metavar="TABLA", help="Tabla, si SALIDA es una base de datos [scores].")
@click.option(
    "--run", metavar="NOMBRE", help="Nombre de esta cartera en la tabla; repetida, se sustituye."
)
@click.option(
    "--alerts",
    metavar="LÍMITE",
    help="Lista de a quién llamar antes, en la base de datos: top=5% o una probabilidad.",
)
@click.option(
    "--alerts-leave",
    "leave",
    metavar="LÍMITE",
    help="Desde dónde se sale de la lista [un 20 % más de parte, o 0.9 de la probabilidad].",
)
@click.option(
    "--model",
    "version",
    metavar="VERSIÓN",
    help="Puntúa con esa versión [la activa]; toda la cartera con la misma.",
)
@click.option(
    "--motivos",
    "reasons",
    metavar="NÚMERO",
    type=click.IntRange(1, 50),
    help="Añade los parámetros que más movieron cada puntuación.",
)
@click.option(
    "--deciles",
    type=click.Choice(["reference", "run"]),
    help="Respecto al entrenamiento o a la propia cartera [reference].",
)
@click.option(
    "--workers",
    metavar="NÚMERO",
    type=click.IntRange(1, 61),
    help="Procesos que puntúan a la vez [los núcleos de la máquina, o todos los del clúster].",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "dask"]),
    default="local",
    help="Procesos de esta máquina, o un clúster de Dask [local].",
)
@click.option(
    "--scheduler",
    metavar="DIRECCIÓN",
    help="Con --engine dask: el clúster, tls://MÁQUINA:PUERTO [uno en esta máquina].",
)
@click.option(
    "--insecure", is_flag=True, help="Admite tcp:// a otra máquina: sin cifrar y sin certificados."
)
@click.option("--resume", is_flag=True, help="Sigue donde quedó, si se interrumpió.")
@click.option(
    "--force",
    is_flag=True,
    help="Sobrescribe SALIDA y lo que quedara a medias; con --resume, lo a medias se sigue.",
)
@told
def score(
    version: str | None,
    workers: int | None,
    engine: str,
    scheduler: str | None,
    insecure: bool,
    resume: bool,
    force: bool,
    **wish: Any,
) -> None:
    """Puntúa las filas de ENTRADA y las deja en SALIDA con su probabilidad.

    Cada una es un fichero (.csv, también .txt o .tsv; .parquet, .xlsx) o la dirección de una base
    de datos (tipo://…, o env:VARIABLE, que la lleva). SALIDA tiene las columnas de ENTRADA y,
    detrás, probabilidad, clasificación, decil, versión, avisos, error y banda. Una fila mala no
    estropea las otras: va con su error, y todas ellas a SALIDA.errores.csv. Hasta que está
    completa, SALIDA no existe.

    Termina con 0 si hay resultado, aunque haya filas malas; 1 si no lo hay o se interrumpe; 2 si
    la orden está mal escrita; 3 si falla el entorno (disco lleno, un proceso muerto). Lo hecho se
    guarda: con --resume se sigue.
    """
    from propensia import score as score_
    from propensia.batch.engines.wish import EngineWish
    from propensia.batch.opening import Wish
    from propensia.cli import scored

    wished, scored_by = Wish(**wish), EngineWish(engine, workers, scheduler, insecure)
    request = score_.Request(wished, version, scored_by, resume, force)
    try:
        with scored.Bar() as bar:
            onlooker = score_.Onlooker(bar.tell, bar.progress)
            found = score_.score(compose(), request, who().shown, onlooker)
    except score_.NotScored as error:
        if error.found is not None:
            scored.show(error.found)
        fail(str(error), error.code)
    scored.show(found)
    scored.show_more(found, wished)


COMMANDS: tuple[click.Command, ...] = (score,)
