"""The analyst's story: files dropped into a folder in every awkward way, in front of real servers.

One server is shared; each test reads what is active first and says what must become of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import models_for_tests as made
import pytest
from admission_files import HOSTILE
from guarded import copied
from models_for_tests import dumped, golden_probability, new_logistic
from server import PATIENCE_S, Place, Server, lives, prediccion, running, wait_for

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX files")


@pytest.fixture(scope="module")
def shared(admitted: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the model ``base``, whose models folder the tests of this file fill.

    One worker: what one answer says, all say. How several swap is told in ``tests/crash``.
    """
    place = copied(admitted, tmp_path_factory.mktemp("analista"))
    with running(place, workers=1) as server:
        server.keeper_pid()
        yield server


@pytest.fixture
def desk(shared: Server) -> Server:
    """The shared server, once it answers from the release that the test before left."""
    shared.settle()
    return shared


def version_of(data: bytes, sidecar: Mapping[str, object] | None = None) -> str:
    """The version id of a content: of the file, or of the digests of the file and its sidecar."""
    if sidecar is None:
        return hashlib.sha256(data).hexdigest()[:12]
    parts = (data, json.dumps(sidecar).encode())
    return hashlib.sha256(b"".join(hashlib.sha256(p).digest() for p in parts)).hexdigest()[:12]


def publish(desk: Server, name: str, data: bytes | None = None) -> str:
    """Drop a good model (a new one unless given) and wait until every worker serves it."""
    data = dumped(new_logistic()) if data is None else data
    desk.place.drop(name, data)
    desk.place.wait_word(name, "ACEPTADO")
    desk.wait_served(version_of(data))
    return version_of(data)


def unchanged(desk: Server, release: int) -> None:
    """Nothing was published since ``release``, though the keeper looked again."""
    desk.place.looks()
    assert desk.place.registry.current_number() == release


def number(desk: Server) -> int:
    """The current release."""
    return desk.place.registry.current_number()


# First start


def test_an_empty_folder_gets_a_demonstration_model_that_says_so(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with running(place) as server:
        answer = server.get(prediccion()).json()
        assert (answer["modelo"], answer["publicacion"]) == ("demostracion", 1)
        assert "emostración" in server.get(prediccion({"formato": "html"})).text
        assert f"http://127.0.0.1:{server.port}/prediccion?er=EMP&po=NO" in server.output()
        assert list(place.models.iterdir()) == []
    with running(place) as server:  # from the store, without training again
        server.keeper_pid()
        unchanged(server, 1)
        assert "se entrena" not in server.output()


# Good files


def words_until(desk: Server, name: str, last: str, seconds: float = PATIENCE_S) -> list[str]:
    """The first words beside a dropped file, one after the other, up to the ``last``."""
    words: list[str] = []

    def watch() -> bool:
        word = desk.place.word(name)
        if word and word not in words[-1:]:
            words.append(word)
        return word == last

    wait_for(watch, f"{name}: {last}", seconds, pause_s=0.005)
    return words


def test_a_good_file_is_served_and_the_folder_tells_each_step(desk: Server) -> None:
    before = desk.active()
    model = made.forest(seed=5)
    path = desk.place.drop("bosque de máñana.pkl", dumped(model, compress=3))
    was = (path.read_bytes(), path.stat().st_mtime_ns)
    assert words_until(desk, path.name, "ACEPTADO") == ["RECIBIDO", "COMPROBANDO", "ACEPTADO"]
    version = version_of(was[0])
    desk.wait_served(version)
    answer = desk.get(prediccion()).json()
    assert answer["probabilidad"] == pytest.approx(golden_probability(model), rel=0, abs=1e-9)
    assert (answer["version"], answer["modelo"]) == (version, "bosque de máñana")
    assert version in desk.place.state_text(path.name)
    report = path.with_name(f"{path.name}.informe.html").read_text(encoding="utf-8")
    assert version in report and before in report and "http://" not in report
    assert (path.read_bytes(), path.stat().st_mtime_ns) == was
    models = desk.get("/modelos").json()
    assert (models["activa"], models["anterior"]) == (version, before)


def test_a_model_in_a_subfolder_or_with_a_temporary_name_is_not_looked_at(desk: Server) -> None:
    release = number(desk)
    data = dumped(new_logistic())
    (desk.place.models / "sub").mkdir()
    for name in ("sub/x.pkl", "~$x.pkl", ".x.pkl", "x.pkl.part", "x.pkl.tmp", "x.crdownload"):
        desk.place.drop(name, data)
    unchanged(desk, release)
    assert not list(desk.place.models.rglob("*x.pkl*.estado.txt"))


def test_overwriting_a_known_name_serves_the_new_model_and_again_the_old_one(
    desk: Server,
) -> None:
    data = dumped(new_logistic())
    first = publish(desk, "mes.pkl", data)
    second = dumped(new_logistic())
    desk.place.drop("mes.pkl", second)
    desk.wait_served(version_of(second))
    desk.place.drop("mes.pkl", data)  # a content that was served before: a rollback to it
    desk.wait_served(first)
    release = desk.place.registry.current()
    assert release is not None and (release.version, release.cause) == (first, "vuelta")
    assert desk.get("/modelos").json()["anterior"] == version_of(second)


def test_an_old_time_stamp_is_a_new_file_and_a_second_name_is_not(desk: Server) -> None:
    data = dumped(new_logistic())
    copy = desk.place.base / "viejo.copy"
    copy.write_bytes(data)
    os.utime(copy, (978307200, 978307200))  # 2001
    path = desk.place.models / "viejo.pkl"
    shutil.copy2(copy, path)
    desk.wait_served(version_of(data))
    assert path.stat().st_mtime == 978307200
    # The same content again, under another name and of today, changes nothing.
    release = number(desk)
    desk.place.drop("viejo otra vez.pkl", data)
    text = desk.place.wait_word("viejo otra vez.pkl", "ACEPTADO")
    assert "versión activa" in text and version_of(data) in text
    unchanged(desk, release)


def test_a_file_that_was_deleted_and_copied_back_is_a_rollback_to_it(desk: Server) -> None:
    data = dumped(new_logistic())
    before, first = desk.active(), publish(desk, "borrado.pkl", data)
    release = number(desk)
    (desk.place.models / "borrado.pkl").unlink()
    unchanged(desk, release)  # a deleted file changes nothing
    assert desk.active() == first
    assert desk.place.run("rollback").returncode == 0
    desk.wait_served(before)
    desk.place.drop("borrado.pkl", data)
    desk.wait_served(first)


# Bad files

BAD = {
    "texto.pkl": (b"esto no es un modelo\n" * 50, "no es un modelo"),
    "pagina.pkl": (b"<!DOCTYPE html><html></html>", "no es un modelo"),
    "tres.pkl": (dumped(made.three_classes()), "dos clases"),
    "quince.pkl": (dumped(made.fewer_columns()), "columnas"),
    "constante.pkl": (dumped(made.constant()), "mismo"),
    "al reves.pkl": (dumped(made.inverted()), "revés"),
}


def test_bad_files_dropped_at_once_are_each_refused_and_the_good_one_goes_on(
    desk: Server,
) -> None:
    active, release = desk.active(), number(desk)
    for name, (data, _) in BAD.items():
        desk.place.drop(name, data)
    for name, (_, told) in BAD.items():
        text = desk.place.wait_word(name, "RECHAZADO", "ACEPTADO")
        assert text.startswith("RECHAZADO\r\n") and told in text, (name, text)
        assert not (desk.place.models / f"{name}.informe.html").exists()
    assert (desk.active(), number(desk)) == (active, release)
    refused = {m["modelo"]: m for m in desk.get("/modelos").json()["modelos"]}
    assert refused["tres"]["estado"] == "rechazada" and refused["tres"]["motivo"]
    desk.place.drop("tres copia.pkl", BAD["tres.pkl"][0])
    words = words_until(desk, "tres copia.pkl", "RECHAZADO", seconds=3)
    assert words[-1:] == ["RECHAZADO"] and "COMPROBANDO" not in words, "known: at once"
    assert "dos clases" in desk.place.state_text("tres copia.pkl")


CHOSEN = [
    hostile
    for hostile in HOSTILE
    if hostile.title
    in {
        "call_at_the_start",
        "after_the_first_array",
        "in_an_object_array_of_joblib",
        "in_zlib",
        "build_on_a_class",
    }
]


def test_a_hostile_file_is_refused_by_name_and_nothing_of_it_runs(
    desk: Server, tmp_path: Path
) -> None:
    active = desk.active()
    marker = tmp_path / "marker"
    assert len(CHOSEN) == 5
    for hostile in CHOSEN:
        desk.place.drop(f"{hostile.title}.pkl", hostile.build(marker))
    for hostile in CHOSEN:
        text = desk.place.wait_word(f"{hostile.title}.pkl", "RECHAZADO", "ACEPTADO")
        assert text.startswith("RECHAZADO") and hostile.names in text
    assert not marker.exists()
    assert desk.active() == active


@posix
def test_folders_links_pipes_and_giants_are_refused_at_once_and_block_nobody(
    desk: Server, tmp_path: Path
) -> None:
    models = desk.place.models
    target = tmp_path / "fuera.pkl"
    target.write_bytes(dumped(new_logistic()))
    (models / "carpeta.pkl").mkdir()
    os.mkfifo(models / "tuberia.pkl")
    (models / "enlace.pkl").symlink_to(target)
    (models / "roto.pkl").symlink_to(tmp_path / "nada")
    with (models / "gigante.pkl").open("wb") as stream:
        stream.truncate(1 << 40)  # sparse: no disk is used
    told = {"carpeta": "carpeta", "tuberia": "tubería", "enlace": "enlace", "roto": "enlace"}
    for stem, what in (told | {"gigante": "200 MB"}).items():
        assert what in desk.place.wait_word(f"{stem}.pkl", "RECHAZADO", seconds=10)
    publish(desk, "despues.pkl")
    (models / "gigante.pkl").unlink()


def test_strange_names_are_only_names(desk: Server) -> None:
    release = number(desk)
    names = ["a" * 200 + ".pkl", "%2e%2e.pkl", "con espacio\u202efdp.pkl"]
    if os.name == "posix":
        names += ["linea\nnueva.pkl", 'com"illas<b>.pkl', "a" * 246 + ".pkl"]
    data = dumped(made.three_classes(), compress=1)
    for name in names:
        desk.place.drop(name, data)
    for name in names:
        if len(name) < 240:  # else the text beside it has no room for its name
            desk.place.wait_word(name, "RECHAZADO")
    unchanged(desk, release)
    assert desk.health()["estado"] in ("bien", "degradado")
    for name in names:
        (desk.place.models / name).unlink()


# Copies under way


def test_a_truncated_file_waits_and_is_served_once_it_is_complete(desk: Server) -> None:
    active, data = desk.active(), dumped(new_logistic())
    path = desk.place.drop("cortado.pkl", data[:-1])
    wait_for(lambda: "incompleto" in desk.place.state_text(path.name), "told as incomplete")
    assert desk.place.word(path.name) == "RECIBIDO"
    assert desk.active() == active
    with path.open("ab") as stream:
        stream.write(data[-1:])
    desk.wait_served(version_of(data))


def test_a_slow_copy_with_pauses_is_judged_only_when_it_is_whole(desk: Server) -> None:
    active, data = desk.active(), dumped(made.forest(seed=6, trees=20))
    step = len(data) // 8 + 1
    path = desk.place.models / "lento.pkl"
    for i in range(8):
        with path.open("ab") as stream:
            stream.write(data[i * step : (i + 1) * step])
        time.sleep(1.4 if i == 4 else 0.15)  # the long pause looks like the end of a copy
        if i < 7:
            assert desk.place.word(path.name) in ("", "RECIBIDO", "COMPROBANDO")
            assert desk.active() == active
    desk.wait_served(version_of(data))
    verdicts = [v for v in desk.place.registry.verdicts() if v["model"] == "lento"]
    assert [v["sha256"][:12] for v in verdicts] == [version_of(data)]


def test_a_file_reserved_at_full_size_is_served_once_it_is_filled(desk: Server) -> None:
    active, data = desk.active(), dumped(new_logistic())
    path = desk.place.drop("reservado.pkl", bytes(len(data)))
    half = len(data) // 2
    desk.place.looks(8)
    with path.open("r+b") as stream:
        stream.write(data[:half])
    desk.place.looks(8)
    assert desk.active() == active
    assert desk.place.word(path.name) != "ACEPTADO"
    with path.open("r+b") as stream:
        stream.seek(half)
        stream.write(data[half:])
    desk.wait_served(version_of(data))
    assert desk.place.wait_word(path.name, "ACEPTADO")


def test_an_empty_file_waits_like_any_unfinished_one(desk: Server) -> None:
    release = number(desk)
    path = desk.place.drop("vacio.pkl", b"")
    wait_for(lambda: "incompleto" in desk.place.state_text(path.name), "told as empty")
    assert desk.place.word(path.name) == "RECIBIDO"
    unchanged(desk, release)
    path.unlink()


@pytest.mark.slow
def test_a_file_that_is_replaced_during_its_admission_ends_as_the_last_one(
    desk: Server,
) -> None:
    first, second = dumped(made.forest(seed=8)), dumped(made.forest(seed=9))
    path = desk.place.drop("sustituido.pkl", first)
    desk.place.wait_word(path.name, "COMPROBANDO")
    path.write_bytes(second)
    desk.wait_served(version_of(second))
    manifest = desk.place.registry.manifest(version_of(second))
    assert manifest["sha256"] == hashlib.sha256(second).hexdigest()


def test_a_file_that_is_deleted_during_its_admission_does_no_harm(desk: Server) -> None:
    path = desk.place.drop("efimero.pkl", dumped(new_logistic()))
    desk.place.wait_word(path.name, "COMPROBANDO")
    path.unlink()
    desk.place.wait_word(path.name, "ACEPTADO")  # it was read once, whole: that copy counts
    desk.settle()
    assert desk.get(prediccion()).json()["modelo"] == "efimero"


# Whose word counts


def test_rollback_is_not_undone_by_files_that_still_lie_there(desk: Server) -> None:
    first = desk.active()
    publish(desk, "ahora.pkl")
    assert desk.place.run("rollback", "--why", "prueba").returncode == 0
    desk.wait_served(first)
    release = number(desk)
    os.utime(desk.place.models / "ahora.pkl")  # touched, not changed
    unchanged(desk, release)
    keeper = desk.keeper_pid()
    next(p for p in desk.processes() if p.pid == keeper).kill()
    wait_for(lambda: desk.keeper_pid() != keeper, "a new keeper")
    unchanged(desk, release)
    assert desk.active() == first


@pytest.mark.slow
def test_an_older_month_becomes_a_candidate_that_a_person_may_publish(desk: Server) -> None:
    november = publish(desk, "riesgo 2026-11.pkl")
    october = dumped(new_logistic())
    path = desk.place.drop("riesgo_octubre_2026.pkl", october)
    text = desk.place.wait_word(path.name, "ACEPTADO")
    assert "candidata" in text and f'propensia admit "{path}"' in text
    unchanged(desk, number(desk))
    assert desk.active() == november
    rows = {m["version"]: m["estado"] for m in desk.get("/modelos").json()["modelos"]}
    assert rows[version_of(october)] == "candidata"
    done = desk.place.run("admit", str(path), "--why", "arreglo de octubre")
    assert done.returncode == 0, done.stdout
    desk.wait_served(version_of(october))


@pytest.fixture
def pinned(desk: Server) -> Iterator[str]:
    """The active version, pinned for one test."""
    assert desk.place.run("pin", "--why", "auditoría").returncode == 0
    yield desk.active()
    assert desk.place.run("pin", "--off").returncode == 0


def test_a_pinned_version_stays_whatever_is_dropped(desk: Server, pinned: str) -> None:
    release = number(desk)
    data = dumped(new_logistic())
    desk.place.drop("nuevo.pkl", data)
    text = desk.place.wait_word("nuevo.pkl", "ACEPTADO")
    assert "candidata" in text and "pin --off" in text
    unchanged(desk, release)
    assert desk.active() == pinned
    assert "fijada" in desk.place.run("models").stdout


def test_a_pin_that_comes_during_an_admission_holds(desk: Server) -> None:
    registry, release = desk.place.registry, desk.place.registry.current()
    assert release is not None
    path = desk.place.drop("a media comprobacion.pkl", dumped(made.forest(seed=12)))
    desk.place.wait_word(path.name, "COMPROBANDO")
    registry.publish(release.version, cause="pin", who="prueba", pinned=True)
    try:
        assert "candidata" in desk.place.wait_word(path.name, "ACEPTADO")
        now = registry.current()
        assert now is not None and (now.version, now.pinned) == (release.version, True)
    finally:
        registry.publish(release.version, cause="unpin", who="prueba")


def test_a_new_threshold_is_a_new_release_of_the_same_model(desk: Server) -> None:
    before = desk.get(prediccion()).json()
    probability = before["probabilidad"]
    assert 0.01 < probability < 0.99
    value = (
        round(probability - 0.005, 4) if not before["pagador"] else round(probability, 2) + 0.01
    )
    done = desk.place.run("threshold", str(value), "--why", "campaña")
    assert done.returncode == 0
    after = wait_for(
        lambda: (a := desk.get(prediccion()).json())["umbral"] == value and a, "the threshold"
    )
    assert after["pagador"] is not before["pagador"]
    assert (after["version"], after["probabilidad"]) == (before["version"], probability)
    assert after["publicacion"] == before["publicacion"] + 1
    publish(desk, "con su propio umbral.pkl")
    assert desk.get(prediccion()).json()["umbral"] == 0.5


# The folder itself


def test_the_folder_may_go_and_come_back_and_the_last_version_answers_all_the_while(
    desk: Server,
) -> None:
    models, away = desk.place.models, desk.place.base / "lejos"
    active = desk.active()
    wait_for(lambda: desk.health()["estado"] == "bien", f"well: {desk.health()}")
    release = number(desk)
    models.rename(away)
    health = wait_for(
        lambda: (h := desk.health())["estado"] == "degradado" and h, "a degraded health"
    )
    assert any("carpeta de modelos" in problem for problem in health["problemas"])
    models.mkdir()  # the share is gone, an empty folder shows under its name
    unchanged(desk, release)
    assert desk.active() == active
    models.rmdir()
    away.rename(models)
    wait_for(lambda: desk.health()["estado"] == "bien", "a well health")
    unchanged(desk, release)
    publish(desk, "de vuelta.pkl")


def test_a_server_starts_from_its_store_while_the_folder_is_away(
    admitted: Place, tmp_path: Path
) -> None:
    place = copied(admitted, tmp_path)
    place.models.rmdir()
    with running(place) as server:
        assert server.get(prediccion()).json()["modelo"] == "base"
        wait_for(
            lambda: any("carpeta de modelos" in p for p in server.health()["problemas"]),
            "the health names the folder",
        )
        assert server.get("/health").status == 200
        place.models.mkdir()
        wait_for(lambda: server.health()["estado"] == "bien", "a well health")


def test_a_folder_that_takes_no_texts_still_gets_its_models_served(desk: Server) -> None:
    # Permissions do not bind an administrator; a folder where the text belongs does.
    for suffix in ("estado.txt", "informe.html"):
        (desk.place.models / f"mudo.pkl.{suffix}").mkdir()
    data = dumped(new_logistic())
    desk.place.drop("mudo.pkl", data)
    desk.wait_served(version_of(data))
    assert "mudo.pkl" in desk.output()


# The sidecar


def test_a_sidecar_sets_threshold_and_rates_and_proves_golden_rows(desk: Server) -> None:
    model = new_logistic()
    raw = golden_probability(model)
    trained, real = 0.5, 0.25
    up, down = raw * real / trained, (1 - raw) * (1 - real) / (1 - trained)
    corrected = up / (up + down)  # Saerens et al. (2002), worked out here again
    sidecar = {
        "umbral": 0.125,
        "tasa_entrenamiento": trained,
        "tasa_real": real,
        "filas_doradas": [{"parametros": made.EXAMPLE, "probabilidad": corrected}],
        "metricas": {"auc": 0.7},
        "autor": "Ana",
    }
    data = dumped(model)
    desk.place.drop("con ficha.pkl", data, sidecar)
    text = desk.place.wait_word("con ficha.pkl", "ACEPTADO", "RECHAZADO")
    assert "Es la versión activa" in text
    desk.wait_served(version_of(data, sidecar))
    answer = desk.get(prediccion()).json()
    assert answer["umbral"] == 0.125
    assert answer["probabilidad"] == pytest.approx(corrected, rel=0, abs=1e-12)
    report = (desk.place.models / "con ficha.pkl.informe.html").read_text(encoding="utf-8")
    assert "autor" in report


BAD_SIDECARS = {
    "umbral alto": ({"umbral": 1.5}, "umbral"),
    "tasa cero": ({"tasa_entrenamiento": 0, "tasa_real": 0.2}, "tasa_entrenamiento"),
    "lista": ([1, 2], "objeto"),
    "doradas": (
        {"filas_doradas": [{"parametros": made.EXAMPLE, "probabilidad": 0.999}]},
        "no repite los resultados esperados",
    ),
    "contrato": ({"huella_contrato": "0123456789abcdef"}, "contrato"),
}


@pytest.mark.slow
def test_a_wrong_sidecar_refuses_the_model_and_a_mended_one_admits_it(desk: Server) -> None:
    active = desk.active()
    data = dumped(new_logistic())
    for stem, (sidecar, _) in BAD_SIDECARS.items():
        desk.place.drop(f"{stem}.pkl", data, sidecar)  # type: ignore[arg-type]
    for stem, (_, told) in BAD_SIDECARS.items():
        text = desk.place.wait_word(f"{stem}.pkl", "RECHAZADO", "ACEPTADO")
        assert text.startswith("RECHAZADO") and told in text, (stem, text)
    assert desk.active() == active
    mended = {"umbral": 0.4}
    (desk.place.models / "umbral alto.json").write_text(json.dumps(mended), encoding="utf-8")
    desk.wait_served(version_of(data, mended))


def test_a_giant_sidecar_is_refused_and_does_not_stop_other_files(desk: Server) -> None:
    path = desk.place.models / "ficha gigante.json"
    path.write_bytes(b" " * (17 << 20))
    desk.place.drop("ficha gigante.pkl", dumped(new_logistic()))
    publish(desk, "zz otro.pkl")
    assert "ficha" in desk.place.wait_word("ficha gigante.pkl", "RECHAZADO")
    path.unlink()


# The command line


@pytest.fixture(scope="module")
def shelf(admitted: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An installation without a server: ``base`` and then ``segundo`` were published."""
    place = copied(admitted, tmp_path_factory.mktemp("estante"))
    path = place.drop("segundo.pkl", dumped(new_logistic()))
    assert place.run("admit", str(path)).returncode == 0
    return place


def test_check_tells_every_check_keeps_only_the_report_and_publishes_nothing(
    shelf: Place, tmp_path: Path
) -> None:
    path, report = tmp_path / "prueba.pkl", tmp_path / "informe.html"
    path.write_bytes(dumped(new_logistic()))
    before = sorted(p.name for p in shelf.state.rglob("*") if p.suffix != ".lock")
    done = shelf.run("check", str(path), "--report", str(report))
    assert done.returncode == 0 and done.stdout.startswith("ACEPTADO prueba.pkl")
    assert "✓ igual que el original" in done.stdout
    assert version_of(path.read_bytes()) in report.read_text(encoding="utf-8")
    assert sorted(p.name for p in shelf.state.rglob("*") if p.suffix != ".lock") == before


def test_exit_codes_of_check_and_admit(shelf: Place, tmp_path: Path) -> None:
    bad, none = tmp_path / "malo.pkl", tmp_path / "nada.pkl"
    bad.write_bytes(dumped(made.three_classes()))
    release = shelf.registry.current_number()
    for command in ("check", "admit"):
        done = shelf.run(command, str(bad))
        assert done.returncode == 1 and "RECHAZADO" in done.stdout
        assert shelf.run(command, str(none)).returncode == 2
        assert shelf.run(command).returncode == 2
    assert shelf.run("check", "--list", str(bad)).returncode == 0
    bad.write_bytes(b"nada de nada")
    assert shelf.run("check", "--list", str(bad)).returncode == 1
    assert shelf.registry.current_number() == release


@pytest.mark.slow
def test_force_admits_a_model_that_ranks_the_other_way_round(shelf: Place, tmp_path: Path) -> None:
    path = tmp_path / "al reves.pkl"
    path.write_bytes(dumped(made.inverted()))
    assert shelf.run("admit", str(path)).returncode == 1
    assert shelf.run("admit", str(path), "--force", "--why", "a sabiendas").returncode == 0
    assert shelf.run("rollback").returncode == 0


@pytest.mark.slow
def test_exit_codes_of_models_rollback_pin_and_threshold(shelf: Place, tmp_path: Path) -> None:
    history = shelf.registry.history()
    first = history[-1].version
    listed = shelf.run("models")
    assert listed.returncode == 0
    assert all(r.version in listed.stdout for r in history)
    assert shelf.run("rollback", "ffffffffffff").returncode == 1
    assert shelf.run("rollback", first[:6]).returncode == 0
    assert shelf.registry.current().version == first  # type: ignore[union-attr]
    assert shelf.run("rollback").returncode == 0
    assert shelf.registry.current().version != first  # type: ignore[union-attr]
    assert shelf.run("pin", "extra").returncode == 2
    assert shelf.run("threshold", "1.5", "--why", "x").returncode == 2
    assert shelf.run("threshold", "0.5").returncode == 2
    assert shelf.run("threshold", "0.42", "--why", "prueba").returncode == 0
    assert shelf.registry.current().threshold == 0.42  # type: ignore[union-attr]
    empty = Place(tmp_path)
    assert empty.run("models").returncode == 0
    for arguments in (["rollback"], ["pin"], ["threshold", "0.5", "--why", "x"]):
        done = empty.run(*arguments)
        assert done.returncode == 1 and "modelo publicado" in done.stderr, arguments


@pytest.mark.slow
def test_compare_counts_who_changes_class_as_the_original_library_does(
    shelf: Place, tmp_path: Path
) -> None:
    models = {"mas": made.logistic(0.5), "menos": made.logistic(-0.5)}
    versions = {}
    for name, model in models.items():
        path = tmp_path / f"{name}.pkl"
        path.write_bytes(dumped(model))
        assert shelf.run("admit", str(path)).returncode == 0
        versions[name] = version_of(path.read_bytes())
    months = range(0, 900, 25)
    rows = [made.EXAMPLE | {"cf": "1", "dt": str(debt)} for debt in months]
    lines = [";".join(rows[0]), *(";".join(row.values()) for row in rows)]
    table = tmp_path / "filas.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    columns = [
        [1 / 3.5, 263.68 / 314.24, 0, min(debt, 628.83) / 628.83, *made.GOLDEN_ROW[4:]]
        for debt in months
    ]
    was, now = (models[name].predict_proba(columns)[:, 1] >= 0.5 for name in ("menos", "mas"))
    up = int((~was & now).sum())
    assert 0 < up < len(rows)
    done = shelf.run("compare", versions["menos"], versions["mas"], str(table), "--by", "er")
    assert done.returncode == 0, done.stderr
    assert f"Pasan a pagador: {up}; a no pagador: 0;" in done.stdout
    assert shelf.run("compare", versions["menos"], versions["mas"]).returncode == 0
    assert shelf.run("compare", versions["menos"], "ffff").returncode == 1
    assert shelf.run("compare", versions["menos"]).returncode == 2


def test_doctor_is_negative_where_something_is_broken(shelf: Place, tmp_path: Path) -> None:
    well = shelf.run("doctor")
    assert (well.returncode, "fallo" in well.stdout) == (0, False), well.stdout
    ill = shelf.run("doctor", models=tmp_path / "no existe")
    assert ill.returncode == 1 and "carpeta de modelos" in ill.stdout


def test_the_environment_is_exit_code_3(shelf: Place, tmp_path: Path) -> None:
    blocked = tmp_path / "fichero"
    blocked.write_text("x", encoding="utf-8")
    assert shelf.run("models", state=blocked / "estado").returncode == 3
    unknown = shelf.run("models", workres=2)
    assert unknown.returncode == 3 and "'workers'" in unknown.stderr
    assert shelf.run("models", contract="ninguno").returncode == 3


@pytest.mark.slow
def test_the_server_ends_without_a_rest(admitted: Place, tmp_path: Path) -> None:
    place = copied(admitted, tmp_path)
    with running(place) as server:
        server.keeper_pid()
        place.drop("en curso.pkl", dumped(new_logistic()))
        place.wait_word("en curso.pkl", "COMPROBANDO")
        everyone = server.processes()
        server.process.terminate()
        wait_for(lambda: not any(map(lives, everyone)), "everything ended", 15)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running(place))
        publish(server, "en curso.pkl", (place.models / "en curso.pkl").read_bytes())
        assert list((place.state / "work").iterdir()) == []
