"""What schedulers start: the wrapper for real, and each scheduler's files as it reads them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
from disturbing import tries
from models_for_tests import EXAMPLE
from old_environments import cache_folder
from server import ROOT, Place, wait_for

from propensia.locks import Lock

FOLDER = ROOT / "deploy" / "schedules"
WRAPPER = FOLDER / "portfolio.py"
HEADING, GOOD = ";".join(EXAMPLE), ";".join(EXAMPLE.values())
SECRET = "Quevedo17"
BAD = ";".join((EXAMPLE | {"im": SECRET}).values())
AIRFLOW = "apache-airflow==3.3.2"
PROGRAM = "/opt/propensia/portfolio.py"
MONTHLY = ("--period", "month", "--date")
with_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture
def portfolio(tmp_path: Path) -> Path:
    path = tmp_path / "entrada.csv"
    path.write_text(f"{HEADING}\n{GOOD}\n{BAD}\n{GOOD}\n", encoding="utf-8")
    (tmp_path / "scored").mkdir()
    return path


def command(portfolio: Path, *arguments: str) -> list[str]:
    folder = portfolio.with_name("scored")
    return [sys.executable, str(WRAPPER), str(portfolio), str(folder), *arguments]


def start(
    place: Place, line: list[str], before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """``before``: what the process does before it is the command (not on Windows)."""
    return subprocess.run(
        line,
        preexec_fn=before,
        cwd=ROOT,
        env=place.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def names(portfolio: Path) -> list[str]:
    return sorted(path.name for path in portfolio.with_name("scored").iterdir())


# The wrapper


def test_a_portfolio_is_scored_once_in_its_period_and_nothing_is_said(
    admitted: Place, portfolio: Path
) -> None:
    done = start(admitted, command(portfolio, *MONTHLY, "2026-01-30"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    made = ["cartera-202601.csv", "cartera-202601.csv.errores.csv"]
    made += ["cartera-202601.csv.resumen.json", "cartera-202601.log", "cartera.lock"]
    assert names(portfolio) == made
    folder = portfolio.with_name("scored")
    result = (folder / made[0]).read_text(encoding="utf-8-sig").splitlines()
    assert len(result) == 4 and "probabilidad" in result[0]
    log = (folder / "cartera-202601.log").read_text(encoding="utf-8")
    assert "end, exit code 0" in log and SECRET not in log
    again = start(admitted, command(portfolio, *MONTHLY, "2026-01-31"))
    assert (again.returncode, names(portfolio)) == (0, made)


def test_the_file_of_last_month_is_not_scored_as_that_of_this_one(
    admitted: Place, portfolio: Path
) -> None:
    """Then the month would count as done. The next start looks again: for a newer file."""
    assert start(admitted, command(portfolio, *MONTHLY, "2026-01-30")).returncode == 0
    february = command(portfolio, *MONTHLY, "2026-02-01")
    early = start(admitted, february)
    assert early.returncode == 3 and "is not newer than the last result" in early.stderr
    log = portfolio.with_name("scored") / "cartera-202602.log"
    assert "is not newer than the last result" in log.read_text(encoding="utf-8")
    assert "cartera-202602.csv" not in names(portfolio)
    later = time.time_ns() + 60 * 10**9
    os.utime(portfolio, ns=(later, later))
    done = start(admitted, february)
    assert (done.returncode, done.stderr) == (0, "")
    assert "cartera-202602.csv" in names(portfolio)


def test_a_file_that_was_scored_is_scored_again_where_that_is_asked_for(
    admitted: Place, portfolio: Path
) -> None:
    """Or where nobody but its own result, which was removed, was made of it."""
    result = portfolio.with_name("scored") / "cartera-202601.csv"
    for _ in range(2):
        assert start(admitted, command(portfolio, *MONTHLY, "2026-01-30")).returncode == 0
        result.unlink()
    done = start(admitted, command(portfolio, "--any-age", *MONTHLY, "2026-02-01"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "cartera-202602.csv" in names(portfolio)


def test_a_file_that_is_not_there_yet_is_told_and_waited_for(
    admitted: Place, portfolio: Path, tmp_path: Path
) -> None:
    alert, told = alert_of(tmp_path)
    named = portfolio.with_name("entrada-{period}.csv")
    line = command(named, "--alert", alert, *MONTHLY, "2026-02-01")
    portfolio.rename(tmp_path / "entrada-202601.csv")
    early = start(admitted, line)
    assert early.returncode == 3 and "entrada-202602.csv is not there yet" in early.stderr
    assert (told / "cartera-202602.csv" / "3").is_dir()
    # Its name says of when it is, whatever its age.
    (tmp_path / "entrada-202601.csv").rename(tmp_path / "entrada-202602.csv")
    (portfolio.with_name("scored") / "cartera-202601.csv.resumen.json").touch()
    done = start(admitted, line)
    assert (done.returncode, done.stderr) == (0, "")
    assert "cartera-202602.csv" in names(portfolio)


def long(portfolio: Path) -> None:
    """Of blocks enough to be stopped between two."""
    with portfolio.open("a", encoding="utf-8") as stream:
        for number in range(150_000):
            stream.write(f"{GOOD.rpartition(';')[0]};{' ' * 600}{1 + number % 9}\n")


def scored(portfolio: Path, day: str) -> Path:
    """The result of that day."""
    return portfolio.with_name("scored") / f"cartera-{day.replace('-', '')}.csv"


def family(place: Place, portfolio: Path, day: str) -> list[psutil.Process]:
    """A start of that day with blocks done and blocks to do, and all below it."""
    out = scored(portfolio, day)
    note = out.with_name(f"{out.name}.part.json")
    line = command(portfolio, "--date", day, "--", "--workers", "2")
    own = psutil.Popen(line, cwd=ROOT, env=place.environment(), stderr=subprocess.DEVNULL)
    wait_for(lambda: rows(note) or out.exists(), "a first block", pause_s=0.01)
    return [own, *own.children(recursive=True)]


def stop_in_the_middle(place: Place, portfolio: Path, day: str) -> None:
    """As when the machine loses its power."""
    for _ in tries(scored(portfolio, day)):
        every = family(place, portfolio, day)
        for process in every:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(every, 20)


def rows(note: Path) -> int:
    try:
        return int(json.loads(note.read_text(encoding="utf-8"))["tally"]["rows"])
    except FileNotFoundError:
        return 0


def test_a_start_goes_on_with_what_was_stopped_and_then_does_what_it_is_for(
    admitted: Place, portfolio: Path
) -> None:
    """Killed with blocks done and blocks to do; the next start is of another day, with a file of
    its own. A scheduler that starts once a period would lose that period otherwise."""
    long(portfolio)
    for day in ("20260131", "20260201"):
        shutil.copy(portfolio, portfolio.with_name(f"entrada-{day}.csv"))
    named = portfolio.with_name("entrada-{period}.csv")
    note = portfolio.with_name("scored") / "cartera-20260131.csv.part.json"
    stop_in_the_middle(admitted, named, "2026-01-31")
    assert 0 < rows(note) < 150_003
    done = start(admitted, command(named, "--date", "2026-02-01", "--", "--workers", "1"))
    assert (done.returncode, done.stderr) == (0, "")
    assert not [name for name in names(portfolio) if name.endswith(".part.json")]
    log = (note.with_name("cartera-20260131.log")).read_text(encoding="utf-8")
    assert "Sigue donde quedó" in log
    for name in ("cartera-20260131.csv", "cartera-20260201.csv"):
        result = note.with_name(name).read_text(encoding="utf-8-sig")
        assert len(result.splitlines()) == 150_004


@pytest.mark.slow
def test_one_that_cannot_be_gone_on_with_is_told_and_holds_up_no_other(
    admitted: Place, portfolio: Path
) -> None:
    """Its note is of another input, as where the file was replaced meanwhile."""
    long(portfolio)
    stop_in_the_middle(admitted, portfolio, "2026-01-31")
    portfolio.write_text(f"{HEADING}\n{GOOD}\n", encoding="utf-8")
    done = start(admitted, command(portfolio, "--date", "2026-02-01"))
    assert done.returncode == 1, done.stderr
    assert "cartera-20260131.csv: exit code 1" in done.stderr
    assert "cartera-20260201.csv" in names(portfolio)
    assert "cartera-20260201.csv" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="nothing is asked to end elsewhere")
def test_whoever_ends_a_start_ends_the_command_and_its_workers_with_it(
    admitted: Place, portfolio: Path
) -> None:
    """Then the lock of the result is free, and the next attempt goes on."""
    long(portfolio)
    for _ in tries(scored(portfolio, "2026-01-31")):
        own, *below = family(admitted, portfolio, "2026-01-31")
        own.terminate()
        code = own.wait(20)
        _, alive = psutil.wait_procs(below, 20)
    assert code == 3
    assert below and alive == []
    assert "cartera-20260131.csv" not in names(portfolio)
    done = start(admitted, command(portfolio, "--date", "2026-01-31"))
    assert (done.returncode, done.stderr) == (0, "")


def test_what_fails_is_said_and_told_and_its_exit_code_is_that_of_the_command(
    admitted: Place, portfolio: Path, tmp_path: Path
) -> None:
    """Without a model that can be used: 1, and no value of a row anywhere."""
    tell = tmp_path / "tell.py"
    tell.write_text(
        f"import sys; open({str(tmp_path / 'told')!r}, 'w').write(' '.join(sys.argv[1:]))",
        encoding="utf-8",
    )
    alert = shlex.join([sys.executable, str(tell)])
    options = ("--date", "2026-01-31", "--alert", alert, "--", "--model", "ffffffff")
    done = start(admitted, command(portfolio, *options))
    assert done.returncode == 1
    assert "cartera-20260131.csv: exit code 1" in done.stderr and "ffffffff" in done.stderr
    assert (tmp_path / "told").read_text(encoding="utf-8") == "cartera-20260131.csv 1"
    assert "cartera-20260131.csv" not in names(portfolio)
    wrong = start(admitted, command(portfolio, "--", "--engine", "spark"))
    assert wrong.returncode == 2


def test_two_starts_at_once_are_one(admitted: Place, portfolio: Path) -> None:
    """Nothing is done where the result is missing, so it is not done: 3. A command that outlived
    its own start counts as one; so does nothing where the result is there."""
    folder = portfolio.with_name("scored")
    line = command(portfolio, "--date", "2026-01-31")
    for held in ("cartera.lock", "cartera-20260131.csv.part.lock"):
        with Lock(folder / held):
            done = start(admitted, line)
        assert (done.returncode, done.stderr) == (3, "another start is at it\n")
        assert not [name for name in names(portfolio) if not name.endswith(".lock")]
    (folder / "cartera-20260131.csv").touch()
    with Lock(folder / "cartera.lock"):
        done = start(admitted, line)
    assert (done.returncode, done.stderr) == (0, "")


def alert_of(folder: Path) -> tuple[str, Path]:
    """An alert that makes a folder, which no limit of a file's size forbids."""
    tell = folder / "tell.py"
    told = folder / "told"
    code = f"import os, sys; os.makedirs(os.path.join({str(told)!r}, *sys.argv[1:]))"
    tell.write_text(code, encoding="utf-8")
    return shlex.join([sys.executable, str(tell)]), told


def test_a_folder_that_is_away_is_told(admitted: Place, portfolio: Path, tmp_path: Path) -> None:
    portfolio.with_name("scored").rmdir()
    alert, told = alert_of(tmp_path)
    done = start(admitted, command(portfolio, "--alert", alert))
    assert (done.returncode, "is no folder" in done.stderr) == (3, True)
    assert (told / "cartera" / "3").is_dir()


@pytest.mark.skipif(sys.platform != "linux", reason="has no folder that takes no file of root")
def test_a_folder_that_takes_no_file_is_told_in_one_line(
    admitted: Place, portfolio: Path, tmp_path: Path
) -> None:
    alert, told = alert_of(tmp_path)
    line = [sys.executable, str(WRAPPER), str(portfolio), "/proc", "--alert", alert]
    done = start(admitted, line)
    assert done.returncode == 3 and done.stderr.startswith("/proc: ")
    assert len(done.stderr.splitlines()) == 1 and (told / "cartera" / "3").is_dir()


@pytest.mark.skipif(os.name != "posix", reason="has no limit for the size of a file")
def test_a_full_disk_ends_with_3_and_is_told(
    admitted: Place, portfolio: Path, tmp_path: Path
) -> None:
    """As good as full: no file may have more than 20 bytes, the log neither."""
    import resource  # not on Windows

    alert, told = alert_of(tmp_path)
    line = command(portfolio, "--date", "2026-01-31", "--alert", alert)
    done = start(admitted, line, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20)))
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr and "cartera-20260131.log: " in done.stderr
    assert (told / "cartera-20260131.csv" / "3").is_dir()


def test_a_log_that_cannot_be_written_changes_nothing_of_what_is_done(
    admitted: Place, portfolio: Path
) -> None:
    (portfolio.with_name("scored") / "cartera-20260131.log").mkdir()
    done = start(admitted, command(portfolio, "--date", "2026-01-31"))
    assert done.returncode == 0 and "cartera-20260131.csv" in names(portfolio)
    [line] = done.stderr.splitlines()
    assert "cartera-20260131.log: " in line


def test_the_address_of_a_database_is_not_taken_from_what_all_may_read(
    admitted: Place, portfolio: Path
) -> None:
    folder = str(portfolio.with_name("scored"))
    line = [sys.executable, str(WRAPPER), f"postgresql://ana:{SECRET}@uno/crm", folder]
    done = start(admitted, line)
    assert done.returncode == 2 and "env:NAME" in done.stderr
    assert SECRET not in done.stderr and names(portfolio) == []


def test_portfolios_of_other_names_are_left_alone(admitted: Place, portfolio: Path) -> None:
    other = portfolio.with_name("scored") / "otra-20260130.csv.part.json"
    other.write_text("{}", encoding="utf-8")
    done = start(admitted, command(portfolio, "--date", "2026-01-31"))
    assert (done.returncode, other.exists()) == (0, True)
    assert "cartera-20260131.csv" in names(portfolio)


# cron


@pytest.mark.skipif(os.name != "posix", reason="cron runs elsewhere")
def test_the_line_for_cron_is_one_that_runs(
    admitted: Place, portfolio: Path, tmp_path: Path
) -> None:
    """Five times, an account, and a command for a shell, in which a % would end the line."""
    lines = (FOLDER / "propensia.cron").read_text(encoding="utf-8").splitlines()
    jobs = [line for line in lines if re.match(r"[0-9*]", line)]
    found = re.fullmatch(r"((?:[0-9*/,-]+ ){5})(\S+) (.+)", jobs[0])
    assert len(jobs) == 1 and found is not None and found[2] == "propensia"
    assert "%" not in found[3]
    line = found[3].replace("/etc/propensia", str(tmp_path))
    line = line.replace("/opt/propensia/venv/bin/python", sys.executable)
    line = line.replace(PROGRAM, str(WRAPPER))
    line = line.replace("/srv/propensia/portfolios/cartera.csv", str(portfolio))
    line = line.replace("/srv/propensia/portfolios/scored", str(portfolio.with_name("scored")))
    done = start(admitted, ["/bin/sh", "-c", line])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert any(re.fullmatch(r"cartera-[0-9]{6}\.csv", name) for name in names(portfolio))
    for path in portfolio.with_name("scored").iterdir():
        assert path.stat().st_mode & 0o007 == 0, f"everybody may read {path.name}"


# systemd


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, of a program that is there."""
    for name in ("propensia-portfolio.service", "propensia-portfolio.timer"):
        text = (FOLDER / name).read_text(encoding="utf-8")
        text = text.replace("/opt/propensia/venv/bin/python", "/bin/true")
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def analyze(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = ["systemd-analyze", "--no-pager", *words]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True)


@with_systemd
@pytest.mark.parametrize("name", ["propensia-portfolio.service", "propensia-portfolio.timer"])
def test_systemd_understands_every_line_of_a_unit(units: Path, name: str) -> None:
    done = analyze(units, "verify", "--man=no", f"./{name}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@with_systemd
def test_the_unit_is_no_more_exposed_than_it_was(units: Path) -> None:
    """0 to 10 by systemd's own count."""
    done = analyze(units, "security", "--offline=true", "./propensia-portfolio.service")
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= 2.0


@with_systemd
def test_the_timer_starts_each_night() -> None:
    timer = (FOLDER / "propensia-portfolio.timer").read_text(encoding="utf-8")
    found = re.search(r"^OnCalendar=(.+)$", timer, re.MULTILINE)
    assert found is not None
    done = analyze(FOLDER, "calendar", "--iterations=2", found[1])
    assert done.returncode == 0 and done.stdout.count("01:15:00") >= 2, done.stderr


def test_the_unit_and_the_line_for_cron_start_the_wrapper_as_it_is_typed(
    portfolio: Path, admitted: Place
) -> None:
    """A word that it does not know would end with 2."""
    unit = (FOLDER / "propensia-portfolio.service").read_text(encoding="utf-8")
    [line] = re.findall(r"^ExecStart=(.+)$", unit, re.MULTILINE)
    words = line.split()
    assert words[1] == PROGRAM
    given = [str(portfolio), str(portfolio.with_name("scored")), *words[4:]]
    done = start(admitted, [sys.executable, str(WRAPPER), *given])
    assert (done.returncode, done.stderr) == (0, "")


# Windows

TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"


def test_the_task_for_windows_has_what_windows_asks_for() -> None:
    """Of the schema (Task Scheduler Schema, MS-TSCH 2.5): what must be there, in which order,
    and the values that are numbered there."""
    root = ElementTree.parse(FOLDER / "propensia-portfolio.xml").getroot()
    assert root.tag == f"{TASK}Task" and root.get("version") in {"1.2", "1.3", "1.4"}
    parts = ("RegistrationInfo", "Triggers", "Principals", "Settings", "Actions")
    assert [child.tag for child in root] == [TASK + name for name in parts]
    [trigger] = root.findall(f"{TASK}Triggers/")
    order = ("Repetition", "StartBoundary", "Enabled", "ScheduleByDay")
    assert [child.tag for child in trigger] == [TASK + name for name in order]
    assert trigger.findtext(f"{TASK}StartBoundary") == "2026-01-01T01:15:00"
    lasting = re.compile(r"P(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?").fullmatch
    for name in ("Interval", "Duration", "ExecutionTimeLimit"):
        [found] = root.iter(TASK + name)
        assert found.text and lasting(found.text)
    settings = {child.tag.removeprefix(TASK): child.text for child in root.find(f"{TASK}Settings")}
    assert settings["MultipleInstancesPolicy"] == "IgnoreNew"
    assert settings["StartWhenAvailable"] == "true" and 0 <= int(settings["Priority"] or "") <= 10
    actions, [principal] = root.find(f"{TASK}Actions"), root.findall(f"{TASK}Principals/")
    assert actions is not None and actions.get("Context") == principal.get("id")
    installer = (FOLDER.parent / "windows" / "install.ps1").read_text(encoding="utf-8")
    assert "$name = 'Propensia'" in installer and '"NT SERVICE\\$name"' in installer
    assert principal.findtext(f"{TASK}UserId") == "NT SERVICE\\Propensia"
    [run] = actions
    assert [child.tag for child in run] == [
        TASK + name for name in ("Command", "Arguments", "WorkingDirectory")
    ]


def test_the_task_for_windows_starts_the_wrapper_as_it_is_typed(
    admitted: Place, portfolio: Path
) -> None:
    root = ElementTree.parse(FOLDER / "propensia-portfolio.xml").getroot()
    [arguments] = (found.text or "" for found in root.iter(f"{TASK}Arguments"))
    words = re.findall(r'"([^"]*)"|(\S+)', arguments)
    plain = [quoted or bare for quoted, bare in words]
    assert plain[:2] == ["-X", "utf8"] and plain[2].endswith("portfolio.py")
    given = [str(WRAPPER), str(portfolio), str(portfolio.with_name("scored")), *plain[5:]]
    done = start(admitted, [sys.executable, "-X", "utf8", *given])
    assert (done.returncode, done.stderr) == (0, "")


def test_the_script_for_windows_fills_in_what_the_task_has() -> None:
    """Not run here: at least no name in it is one that the task has not."""
    script = (FOLDER / "register.ps1").read_text(encoding="utf-8")
    root = ElementTree.parse(FOLDER / "propensia-portfolio.xml").getroot()
    paths = re.findall(r"\$task\.Task((?:\.\w+)+)", script)
    paths += [f".Actions.Exec.{name}" for name in re.findall(r"\$exec\.(\w+) =", script)]
    assert len(paths) == 5
    for path in paths:
        steps = path.removeprefix(".").split(".")
        assert root.find("/".join(TASK + step for step in steps)) is not None, path
    refused = re.search(r"\$Source -match '([^']+)'", script)
    assert refused is not None
    assert re.match(refused[1], "postgresql://ana:clave@uno/crm")
    for taken in ("env:CRM", "sqlite:///C:/crm.db", "D:\\carteras\\cartera.csv"):
        assert not re.match(refused[1], taken)
    assert "NOT RUN" in script and script.isascii() is False


# Airflow

IN_AIRFLOW = """
import json, signal, subprocess, sys
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException

bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
[dag] = bag.dags.values()
[task] = dag.tasks
module = sys.modules[task.python_callable.__module__]
class Late(BaseException):
    pass

def ring(number, frame):
    raise Late

signal.signal(signal.SIGALRM, ring)
ended, mark = {}, Path(sys.argv[2]) / "mark"
told = Path(sys.argv[2]) / "long.py"
told.write_text("import signal, sys, time; from pathlib import Path\\n"
    f"def end(*given): Path({str(mark)!r}).touch(); sys.exit(3)\\n"
    "signal.signal(signal.SIGTERM, end)\\n"
    f"Path({str(mark)!r} + '.up').touch(); time.sleep(60)\\n")
module.PYTHON, module.WRAPPER, module.SETTINGS = sys.executable, str(told), sys.argv[2]
signal.alarm(4)
try:
    task.python_callable("2026-01-31")
except Late:
    assert mark.exists(), "the wrapper was not asked to end"
else:
    raise AssertionError("it was not late")
for code in (0, 1, 2, 3):
    told = Path(sys.argv[2]) / f"{code}.py"
    told.write_text(f"import sys; Path = sys.argv[1:]; print(Path); sys.exit({code})")
    module.PYTHON, module.WRAPPER, module.SETTINGS = sys.executable, str(told), sys.argv[2]
    try:
        task.python_callable("2026-01-31")
        ended[code] = "done"
    except AirflowFailException:
        ended[code] = "failed for good"
    except RuntimeError:
        ended[code] = "to be tried again"
print(json.dumps({"dag": dag.dag_id, "task": task.task_id, "runs": dag.max_active_runs,
    "catchup": dag.catchup, "retries": task.retries, "schedule": dag.schedule,
    "delay": task.retry_delay.total_seconds(), "given": task.op_args, "ended": ended}))
"""


@pytest.fixture(scope="module")
def airflow_python() -> Path:
    """The Python of an environment with the real Airflow; kept between runs."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not on the path: no environment with Airflow can be made")
    folder = cache_folder() / f"airflow-{hashlib.sha256(AIRFLOW.encode()).hexdigest()[:16]}"
    inside = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    if folder.is_dir():
        return folder / inside
    # An environment knows its own path: it is made where it stays, and gone if that fails.
    commands = (
        [uv, "venv", "--quiet", "--python", "3.11", str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(folder / inside), AIRFLOW],
    )
    for line in commands:
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            assert "error sending request" in done.stderr.lower(), done.stderr[-3000:]
            pytest.skip("no package index is reachable")
    return folder / inside


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Airflow is not made for Windows")
def test_airflow_reads_the_dag_and_knows_which_failures_to_try_again(
    airflow_python: Path, tmp_path: Path
) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    shutil.copy(FOLDER / "airflow_dag.py", dags)
    done = subprocess.run(
        [airflow_python, "-W", "ignore", "-c", IN_AIRFLOW, str(dags), str(tmp_path)],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    again = {"1": "failed for good", "2": "failed for good", "3": "to be tried again"}
    assert found.pop("ended") == {"0": "done"} | again
    assert found == {
        "dag": "propensia_portfolio",
        "task": "score",
        "runs": 1,
        "catchup": False,
        "retries": 6,
        "schedule": "15 1 * * *",
        "delay": 600.0,
        "given": ["{{ dag_run.run_after.strftime('%Y-%m-%d') }}"],
    }
