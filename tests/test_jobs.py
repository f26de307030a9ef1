"""The folder of uploaded portfolios: whose they are, how far they are, and when they go."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from propensia import files, jobs
from propensia.jobs import About, Job, Jobs
from propensia.locks import Lock

HOURS = 24.0


@pytest.fixture
def desk(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path, HOURS)


def write(path: Path) -> None:
    path.write_bytes(b"im;er\n1;EMP\n")


def made(desk: Jobs, owner: str = "key a", **more: object) -> tuple[Job, About]:
    about = About("cartera.csv", "entrada.csv", "Ana", time.time(), **more)  # type: ignore[arg-type]
    return desk.make(owner, about, write), about


def test_a_job_is_found_by_its_owner_and_by_nobody_else(desk: Jobs) -> None:
    job, about = made(desk)
    found = desk.find("key a", job.id)
    assert found is not None and replace(found.about(), started=0.0) == about
    assert [one.id for one, _ in desk.of("key a")] == [job.id]
    other = desk.find("key b", job.id)
    unknown = desk.find("key b", "0" * 32)
    assert other is not None and unknown is not None
    for nobody in (other, unknown):
        with pytest.raises(FileNotFoundError):
            nobody.about()
    assert desk.of("key b") == []


@pytest.mark.parametrize("id", ["", "x", "..", "../" * 8 + "a" * 8, "A" * 32, "0" * 33])
def test_what_is_no_id_never_becomes_a_path(desk: Jobs, id: str) -> None:
    assert desk.find("key a", id) is None


@pytest.mark.skipif(os.name != "posix", reason="Windows has other rights")
def test_only_this_account_may_look_into_a_job(desk: Jobs, tmp_path: Path) -> None:
    job, _ = made(desk)
    for folder in (tmp_path / jobs.FOLDER, job.folder.parent, job.folder):
        assert folder.stat().st_mode & 0o077 == 0, folder


def test_a_file_that_does_not_arrive_whole_leaves_nothing(desk: Jobs, tmp_path: Path) -> None:
    def torn(path: Path) -> None:
        write(path)
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        desk.make("key a", About("a", "entrada.csv", "Ana", time.time()), torn)
    assert list(tmp_path.rglob("entrada.csv")) == []


def test_an_owner_has_so_many_jobs_and_others_as_many(desk: Jobs) -> None:
    for _ in range(jobs.MOST_JOBS):
        made(desk)
    with pytest.raises(jobs.TooMany):
        made(desk)
    made(desk, "key b")


def test_many_who_ask_at_once_get_no_more_than_one_may_have(
    desk: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PATIENCE_S", 60.0)  # the lock is given to any of those who wait

    def one(_: int) -> bool:
        try:
            made(desk)
        except jobs.TooMany:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(one, range(4 * jobs.MOST_JOBS))) == jobs.MOST_JOBS
    assert len(desk.of("key a")) == jobs.MOST_JOBS


def test_all_owners_together_have_an_end_too(desk: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST_OF_ALL", 3)
    for owner in "abc":
        made(desk, owner)
    with pytest.raises(jobs.Full):
        made(desk, "d")


def test_room_stays_on_the_disk_for_what_has_to_be_written(
    desk: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "SPARE_BYTES", 1 << 60)
    with pytest.raises(jobs.Full):
        made(desk)
    assert list((tmp_path / jobs.FOLDER).glob("*/*")) == []


def test_a_job_counts_while_its_file_arrives_and_nobody_finds_half_of_it(desk: Jobs) -> None:
    seen = []

    def slow(path: Path) -> None:
        write(path)
        ((job, about),) = desk.of("key a")
        seen.append((jobs.state(job, replace(about, started=0.0)), job.entry(about).exists()))

    job = desk.make("key a", About("a", "entrada.csv", "Ana", time.time()), slow)
    assert seen == [("mirando", False)]
    assert job.entry(job.about()).read_bytes() == b"im;er\n1;EMP\n"


@pytest.mark.parametrize(("step", "ends"), [(jobs.LOOK, "rechazada"), (jobs.SCORE, "fallida")])
def test_a_job_whose_process_died_twice_is_not_called_interrupted_for_ever(
    desk: Jobs, step: str, ends: str
) -> None:
    job, about = made(desk, step=step, started=time.time() - 2 * jobs.GRACE_S)
    assert jobs.state(job, about) == "parada"
    assert jobs.state(job, replace(about, starts=jobs.MOST_STARTS)) == ends


def test_the_state_of_a_job_that_was_removed_meanwhile_is_that_there_is_none(desk: Jobs) -> None:
    job, about = made(desk, started=time.time() - 2 * jobs.GRACE_S)
    desk.remove(job)
    with pytest.raises(FileNotFoundError):
        jobs.state(job, about)


def test_the_state_follows_what_the_process_leaves(desk: Jobs) -> None:
    job, about = made(desk, started=time.time())
    assert jobs.state(job, about) == "mirando"
    files.write_json(job.ended, {"step": "look", "code": 1, "why": "too_much"})
    assert jobs.state(job, about) == "rechazada"
    files.write_json(job.ended, {"step": "look", "code": 0})
    assert jobs.state(job, about) == "lista"
    scoring = About("a", "entrada.csv", "Ana", about.created, jobs.SCORE, time.time())
    assert jobs.state(job, scoring) == "en_cola"
    job.working.touch()
    assert jobs.state(job, scoring) == "puntuando"
    files.write_json(job.ended, {"step": "score", "code": 1, "why": "nothing_scored"})
    assert jobs.state(job, scoring) == "fallida"
    job.result(scoring).touch()
    assert jobs.state(job, scoring) == "hecha"


def test_a_job_whose_process_is_gone_stopped_and_one_that_holds_its_lock_did_not(
    desk: Jobs,
) -> None:
    long_ago = time.time() - 2 * jobs.GRACE_S
    job, about = made(desk, step=jobs.SCORE, started=long_ago)
    assert jobs.state(job, about) == "parada"
    with Lock(job.alive):
        assert jobs.state(job, about) == "en_cola"


def test_the_progress_is_what_the_note_of_the_run_says(desk: Jobs) -> None:
    job, about = made(desk)
    assert jobs.progress(job, about) is None
    note = job.beside(about, "part.json")
    files.write_json(note, {"done": 0.25, "tally": {"rows": 500}})
    assert jobs.progress(job, about) == (0.25, 500)
    note.write_bytes(b'{"done": 0.2')
    assert jobs.progress(job, about) is None


def test_what_has_had_its_time_goes_and_the_rest_stays(desk: Jobs, tmp_path: Path) -> None:
    old, about = made(desk)
    young, _ = made(desk)
    old.keep(About("a", about.file, "Ana", time.time() - HOURS * 3600 - 60))
    assert desk.sweep() == 1
    assert not old.folder.exists() and young.folder.exists()


def test_what_expires_is_told_before_it_goes_and_stays_where_it_cannot_be(tmp_path: Path) -> None:
    told: list[tuple[str, bool]] = []

    def tell(id: str) -> None:
        told.append((id, job.folder.exists()))
        if len(told) == 1:
            raise OSError("no space")

    desk = Jobs(tmp_path, HOURS, tell)
    job, about = made(desk)
    job.keep(replace(about, created=time.time() - HOURS * 3600 - 60))
    assert desk.sweep() == 0 and job.folder.exists()
    assert desk.sweep() == 1 and not job.folder.exists()
    assert told == [(job.id, True)] * 2


def test_a_removed_job_is_gone_at_once_with_its_file(desk: Jobs, tmp_path: Path) -> None:
    job, _ = made(desk)
    desk.remove(job)
    assert list(tmp_path.rglob("entrada.csv")) == []
    assert desk.of("key a") == []


def test_the_web_process_loads_nothing_that_reads_tables() -> None:
    """In a fresh interpreter: another test may have imported it here."""
    heavy = ("pyarrow", "openpyxl", "propensia.batch", "propensia.portfolio")
    code = (
        "import sys, propensia.web.app; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
