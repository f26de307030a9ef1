"""A portfolio each month as a DAG of Airflow 3: one task that starts the one command.

It must never hold what the command does. CHANGE the paths; the account of the Airflow worker has
to be one that may read the state of Propensia, which has a Python of its own.
"""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

PYTHON = "/opt/propensia/venv/bin/python"
WRAPPER = "/opt/propensia/portfolio.py"
SETTINGS = Path("/etc/propensia")
SOURCE = "/srv/propensia/portfolios/cartera.csv"
FOLDER = "/srv/propensia/portfolios/scored"
OPTIONS = ("--period", "month")

ENVIRONMENT = 3
"""The machine, the database, the cluster, or a file to wait for: another attempt goes on."""


@task(retries=6, retry_delay=timedelta(minutes=10), execution_timeout=timedelta(hours=12))
def score(day: str) -> None:
    """Score the portfolio of a day (as 2026-01-31), or of its month."""
    command = [PYTHON, WRAPPER, SOURCE, FOLDER, "--date", day, *OPTIONS]
    with subprocess.Popen(command, cwd=SETTINGS, stdin=subprocess.DEVNULL) as process:
        try:
            code = process.wait()
        except BaseException:  # the longest time is over, or a person ended the task
            process.terminate()  # not killed: it ends the command, which would hold its locks
            raise
    if code == ENVIRONMENT:
        raise RuntimeError("the machine, or a file that is not there yet; see the log above")
    if code != 0:
        raise AirflowFailException(f"exit code {code}: a person has to look; see the log above")


@dag(
    dag_id="propensia_portfolio",
    schedule="15 1 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["propensia"],
)
def portfolio() -> None:
    """The portfolio of the month: each night, as its file may be late; once it is there,
    the others do nothing."""
    # The day of the start, not that of the interval that it ends: with `catchup` off they differ.
    score("{{ dag_run.run_after.strftime('%Y-%m-%d') }}")


portfolio()
