"""The worst day, rehearsed: an installation is copied under load, and served from its copy."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path, PurePosixPath

from guarded import copied
from models_for_tests import dumped, new_logistic
from server import Place, Reply, Server, prediccion, running, wait_for

LEFT_BEHIND = (
    "*.lock",
    ".*.tmp",
    "keeper.json",
    "workers/*",
    "logs/*",
    "metrics/*",
    "access/limits.bin",
    "access/reserve",
    "access/used/*",
    "demostracion.pkl",
    "panel.json",
    "store.db-shm",
    "store.db-wal",
)
"""What the service leaves in its state folder and nobody misses on another machine."""


def score(server: Server, key: str) -> Reply:
    return server.get(prediccion(), x_api_key=key)


def version(reply: Reply) -> str:
    return reply.headers["x-propensia-version"]


def scored(reply: Reply) -> dict[str, object]:
    """An answer without what is of one request."""
    assert reply.status == 200, reply.text
    return {name: value for name, value in reply.json().items() if name != "id"}


def make_key(place: Place) -> str:
    done = place.run("keys", "create", "marcador", "--role", "admin")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def answered(place: Place) -> set[str]:
    """The ids of the answers that the database has; each once."""
    listed = place.run("answers", "--format", "ids").stdout.split()
    assert len(listed) == len(set(listed))
    return set(listed)


def test_an_installation_that_was_copied_under_load_goes_on_elsewhere(
    admitted: Place, tmp_path: Path
) -> None:
    place, other = copied(admitted, tmp_path / "una"), Place(tmp_path / "otra")
    copy = place.base / "copia.zip"
    with running(place, workers=2) as server:
        first = server.active()
        place.drop("febrero.pkl", dumped(new_logistic()))
        place.wait_word("febrero.pkl", "ACEPTADO")
        server.settle()
        key = make_key(place)
        before, statuses, stop = score(server, key), [], threading.Event()
        kept = [score(server, key).headers["x-propensia-id"] for _ in range(20)]

        def load() -> None:
            while not stop.is_set():
                statuses.append(score(server, key).status)

        client = threading.Thread(target=load)
        client.start()
        made = place.run("backup", str(copy), "--with-models")
        stop.set()
        client.join()
        assert made.returncode == 0, made.stderr
        assert set(statuses) == {200}
        refused = place.run("restore", str(copy), "--force")
        assert refused.returncode == 1 and "servicio en marcha" in refused.stderr
        assert_nothing_is_forgotten(place, copy)

    shutil.rmtree(other.state)
    done = other.run("restore", str(copy))
    assert done.returncode == 0, done.stderr
    with running(other, workers=2) as server:
        after = score(server, key)
        assert version(before) == version(after) != first
        wait_for(lambda: set(kept) <= answered(other), "every answer of before the copy is there")
        audit = other.run("audit", "verify")
        assert audit.returncode == 0, audit.stdout
        assert scored(after) == scored(before)
        assert server.get(prediccion()).status == 401  # it still asks for keys
        # The dropped file comes back too; it was published once and is not published again.
        shutil.copy(other.state / "restored" / "models" / "febrero.pkl", other.models)
        other.wait_word("febrero.pkl", "ACEPTADO")
        back = other.run("rollback")
        assert back.returncode == 0 and first in back.stdout, back.stderr
        wait_for(lambda: version(score(server, key)) == first, "the version before answers")
    assert other.registry.current_number() == 3


def assert_nothing_is_forgotten(place: Place, copy: Path) -> None:
    """Whatever the running service keeps is in the copy, or known to be of no use elsewhere: who
    adds a new kind of file has to decide."""
    listed = place.run("restore", str(copy), "--into", str(place.base / "mirar"))
    assert listed.returncode == 0, listed.stderr
    copied = files_below(place.base / "mirar")
    forgotten = {
        name
        for name in files_below(place.state) - copied
        if not any(PurePosixPath(name).match(pattern) for pattern in LEFT_BEHIND)
    }
    assert forgotten == set()


def files_below(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_state_folder_as_it_was_before_there_were_keys_still_serves(
    admitted: Place, tmp_path: Path
) -> None:
    """Made by hand as the program before wrote it: nothing but versions, releases, verdicts and
    the keeper's memory. An upgrade changes no file of it."""
    place = Place(tmp_path)
    for folder in ("versions", "releases", "verdicts"):
        shutil.copytree(admitted.state / folder, place.state / folder, dirs_exist_ok=True)
    (release,) = (place.state / "releases").glob("*.json")
    kept = {"number", "version", "sha256", "model", "threshold", "pinned", "cause", "why", "who"}
    table = json.loads(release.read_bytes())
    assert kept | {"at"} <= table.keys()
    release.write_text(json.dumps({name: table[name] for name in kept}), encoding="utf-8")
    memory = {"folder": "1:2", "folders": {"1:2": {}}, "pending": {}}
    (place.state / "inbox.json").write_text(json.dumps(memory), encoding="utf-8")
    old = {path: path.read_bytes() for path in place.state.glob("[rv]*/**/*") if path.is_file()}
    with running(place, workers=1, demonstration=False) as server:
        assert server.active() == table["version"]
        place.drop("marzo.pkl", dumped(new_logistic()))
        place.wait_word("marzo.pkl", "ACEPTADO")
    assert {path: path.read_bytes() for path in old} == old
