"""Stored answers are found, and listed for people and programs."""

from __future__ import annotations

import csv
import io
import json
import re
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from answered import Desk, apart
from sqlalchemy import Engine, text

from propensia import answering, delimited, rules, telling
from propensia import contract as contracts
from propensia.access.typed import WrongUse
from propensia.answering import Refused
from propensia.audit import Audit
from propensia.contract import Contract
from propensia.faults import Note
from propensia.settings import Settings
from propensia.store import answers
from propensia.store.answers import Wanted
from propensia.store.database import StoreError
from propensia.terminal import Exit, Parts


@pytest.fixture
def desk(store_settings: Settings, contract: Contract, engine: Engine) -> Desk:
    """On SQLite and on PostgreSQL."""
    return Desk(store_settings, contract, engine)


@pytest.fixture
def local(tmp_path: Path, contract: Contract) -> Desk:
    """On SQLite only."""
    from propensia.store import database  # here: the others open it as a fixture

    chosen = Settings(models=tmp_path / "models", state=tmp_path / "state")
    chosen.state.mkdir()
    return Desk(chosen, contract, database.open_store(chosen))


def listed(desk: Desk, form: str, wanted: Wanted | None = None) -> str:
    """What the command writes into a file."""
    out = desk.settings.state / "lista"
    parts = Parts(desk.settings, desk.contract, desk.registry)
    assert answering.listing(parts, wanted or Wanted(), form, out, "ana") == Exit.DONE
    return out.read_text(encoding="utf-8-sig")


# Finding


def test_an_answer_is_found_as_it_was_given(desk: Desk) -> None:
    version = desk.publish(threshold=0.25)
    given = desk.answer({"im": "17,5", "ed": "NaN"}, "EXP-1")
    assert desk.recorder.hashed("EXP-1") != "EXP-1"
    desk.ship()
    found = desk.stored(given.id)
    assert (found.version, found.publication, found.model) == (version, 1, "modelo")
    assert (found.probability, found.threshold) == (given.probability, 0.25)
    assert found.positive is given.positive
    assert (found.caller, found.rules) == ("marcador", desk.contract.fingerprint)
    assert found.reference == desk.recorder.hashed("EXP-1")
    # The name of an unknown parameter is a text of the caller, and is not kept.
    told = [note for note in given.notes if note.parameter != "otro"]
    assert found.notes == [*told, Note("", "parametro_desconocido", None)]
    shown = telling.shape(found, desk.rules())
    assert shown[desk.contract.flag] is given.positive
    assert shown["avisos"] == [
        {
            "parametro": "ed",
            "codigo": "valor_supuesto",
            "mensaje": "ed venía sin dato: se ha usado 51-65",
            "valor_usado": "51-65",
        },
        {
            "parametro": "im",
            "codigo": "coma_decimal",
            "mensaje": "im llevaba coma decimal: se ha leído 17.5",
            "valor_usado": 17.5,
        },
        {
            "parametro": "",
            "codigo": "parametro_desconocido",
            "mensaje": "No se usa un parámetro que no está en el contrato",
            "valor_usado": None,
        },
    ]
    assert found.texts is not None
    texts = dict(zip([p.name for p in desk.contract.parameters], found.texts, strict=True))
    assert texts == {**desk.contract.example(), "im": "17,5", "ed": "NaN"}
    assert telling.values(found, desk.contract) == texts


def test_what_was_not_sent_is_told_apart_from_what_was_empty(local: Desk) -> None:
    local.begin(contracts.load("cobranza_compat"))
    names = [p.name for p in local.contract.parameters if p.absent_as is not None]
    absent, empty = names[:2]
    local.publish()
    given = local.answer({absent: None, empty: ""})
    local.ship()
    told = telling.values(local.stored(given.id), local.contract)
    assert told == {**local.contract.example(), absent: None, empty: ""}


def test_what_was_never_given_is_not_found(desk: Desk) -> None:
    with desk.engine.connect() as connection:
        assert answers.find(connection, "0" * 29) is None


def test_pages_give_every_answer_once_and_in_order(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a page ends with the last row."""
    first = desk.publish()
    for number in range(7):
        desk.answer({"im": str(number)}, f"EXP-{number % 2}")
    apart()
    second = desk.publish(1.0)
    for number in range(5):
        desk.answer({"im": str(number)})
    desk.ship()
    ids = [given.id for given in desk.given]
    middle = desk.stored(ids[7]).milliseconds
    for rows in (1, 3, 4, 12, 100):
        monkeypatch.setattr(answers, "PAGE_ROWS", rows)
        cases = {
            Wanted(): ids,
            Wanted(since=middle): ids[7:],
            Wanted(until=middle): ids[:7],
            Wanted(version=first[:4]): ids[:7],
            Wanted(version=second): ids[7:],
            Wanted(version="%"): [],
            Wanted(reference=desk.recorder.hashed("EXP-1")): [ids[1], ids[3], ids[5]],
            Wanted(since=middle, version=first): [],
            Wanted(id=ids[3]): [ids[3]],
        }
        for wanted, expected in cases.items():
            assert list(answers.ids(desk.engine, wanted)) == expected
            assert [one.id for one in answers.iterate(desk.engine, wanted)] == expected


# Listing


def test_the_csv_has_the_columns_of_the_design_and_then_the_parameters(local: Desk) -> None:
    local.publish()
    given = local.answer()
    local.ship()
    (row,) = csv.DictReader(io.StringIO(listed(local, "csv")))
    assert list(row) == [
        *("id", "momento", "version", "modelo", "probabilidad", "clasificacion"),
        *(parameter.name for parameter in local.contract.parameters),
    ]
    assert (row["id"], float(row["probabilidad"])) == (given.id, given.probability)
    names = local.contract.positive_name if given.positive else local.contract.negative_name
    assert row["clasificacion"] == names["es"]
    assert row["im"] == local.contract.example()["im"]
    # The id holds the time in UTC; the text is of this machine, and says how far that is from UTC.
    at = datetime.fromisoformat(row["momento"])
    assert at.astimezone(UTC) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        milliseconds=int(given.id[:11], 16)
    )


def test_the_json_is_one_list_that_is_read_line_by_line_too(local: Desk) -> None:
    local.publish()
    assert json.loads(listed(local, "json")) == []
    given = [local.answer({"im": str(number)}) for number in range(3)]
    local.ship()
    written = listed(local, "json")
    assert [row["valores"]["im"] for row in json.loads(written)] == ["0", "1", "2"]
    lines = [line.rstrip(",") for line in written.splitlines()[1:-1]]
    assert [json.loads(line)["id"] for line in lines] == [one.id for one in given]
    assert listed(local, "ids").split() == [one.id for one in given]


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ("=1+2", "'=1+2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("-263.68", "-263.68"),
        ("+3", "+3"),
        ("-1,5", "-1,5"),
        ("51-65", "51-65"),
        ("", ""),
        ('a,"b"\nc', 'a,"b"\nc'),
        ("ñ;ж", "ñ;ж"),
    ],
)
def test_no_cell_of_a_csv_is_run_by_a_spreadsheet(sent: str, written: str) -> None:
    stream = io.StringIO(newline="")
    delimited.writing(stream)(["x", sent])
    assert list(csv.reader(io.StringIO(stream.getvalue(), newline=""))) == [["x", written]]


def test_answers_of_another_contract_keep_their_own_parameters(
    local: Desk, changed: Callable[..., Contract]
) -> None:
    own = local.contract
    local.begin(changed(own, ('name = "im"', 'name = "euros"'), ('from = "im"', 'from = "euros"')))
    local.publish()
    other = local.answer({"euros": "12"})
    local.begin(own)
    local.publish(1.0)
    local.answer({"im": "34"})
    local.ship()
    rows = list(csv.DictReader(io.StringIO(listed(local, "csv"))))
    assert [(row["im"], row["euros"]) for row in rows] == [("", "12"), ("34", "")]
    (local.settings.state / rules.FOLDER / f"{local.stored(other.id).rules}.toml").unlink()
    rows = list(csv.DictReader(io.StringIO(listed(local, "csv"))))
    assert "euros" not in rows[0]
    assert {rows[0][parameter.name] for parameter in own.parameters} == {""}
    assert rows[1]["im"] == "34"


def test_a_file_is_whole_and_private_or_not_there(
    local: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.publish()
    local.answer()
    local.ship()
    listed(local, "csv")
    path = local.settings.state / "lista"
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with local.engine.begin() as connection:
        connection.execute(text("DROP TABLE inputs"))
    with pytest.raises(StoreError):
        listed(local, "csv")
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.glob(".lista*")] == []


def test_one_that_is_not_there_is_told_and_not_an_empty_list(local: Desk) -> None:
    local.publish()
    local.answer(reference="EXP-1")
    local.ship()
    for wanted in (Wanted(id="0" * 29), Wanted(reference="f" * 32)):
        with pytest.raises(Refused, match="no hay ninguna respuesta"):
            listed(local, "csv", wanted)


def test_what_cannot_be_there_is_told_and_not_an_empty_list(local: Desk) -> None:
    version = local.publish()
    local.answer()
    local.ship()
    with pytest.raises(Refused, match="ninguna respuesta guardada de una versión"):
        listed(local, "csv", Wanted(version="zzz"))
    with pytest.raises(Refused, match="--since es posterior a --until"):
        listed(local, "csv", Wanted(since=2, until=1))
    assert len(listed(local, "ids", Wanted(version=version[:3])).split()) == 1


def refuse(desk: Desk) -> str:
    """A request that could not be scored; its id."""
    id = desk.serving.new_id()
    why = [(id, "im", "numero_no_valido"), (id, "otro", "parametro_repetido")]
    desk.recorder.refused(why, "marcador")
    desk.ship()
    return id


def test_a_request_that_was_refused_is_found_with_why_and_without_a_value(desk: Desk) -> None:
    desk.publish()
    id = refuse(desk)
    (row,) = json.loads(listed(desk, "json", Wanted(id=id)))
    assert row == {
        "id": id,
        "momento": telling.moment(int(id[:11], 16)),
        "quien": "marcador",
        "errores": [
            {"parametro": "im", "codigo": "numero_no_valido"},
            {"parametro": "", "codigo": "parametro_repetido"},
        ],
    }
    rows = list(csv.DictReader(io.StringIO(listed(desk, "csv", Wanted(id=id)))))
    assert [(one["id"], one["parametro"], one["codigo"]) for one in rows] == [
        (id, "im", "numero_no_valido"),
        (id, "", "parametro_repetido"),
    ]
    assert listed(desk, "ids", Wanted(id=id)) == f"{id}\n"
    with pytest.raises(Refused, match="se rechazó"):
        answering.replay(Parts(desk.settings, desk.contract, desk.registry), id)


def test_who_lists_data_of_persons_is_in_the_audit_log_without_them(local: Desk) -> None:
    version = local.publish()
    local.answer(reference="EXP-1")
    local.answer()
    local.ship()
    audit = Audit(local.settings.state)
    before = len(audit.tail(99))
    listed(local, "ids")
    assert len(audit.tail(99)) == before, "ids are no data of a person"
    listed(local, "csv", Wanted(version=version, since=1))
    listed(local, "json", Wanted(reference=local.recorder.hashed("EXP-1")))
    second, first = audit.tail(2)
    assert (first.event, first.who, first.facts) == (
        "listed",
        "ana",
        {"answers": 2, "filters": ["since", "version"]},
    )
    assert second.facts == {"answers": 1, "filters": ["reference"]}


def test_a_file_that_cannot_be_written_is_told_by_its_name_before_anything_is_recorded(
    local: Desk,
) -> None:
    local.publish()
    given = local.answer()
    local.ship()
    parts = Parts(local.settings, local.contract, local.registry)
    before = len(Audit(local.settings.state).tail(99))
    nowhere = local.settings.state / "nadie" / "x.json"
    with pytest.raises(FileNotFoundError, match="no existe esa carpeta") as error:
        answering.export(parts, given.id, None, nowhere, "ana")
    assert error.value.filename == str(nowhere.parent)
    with pytest.raises(FileNotFoundError):
        answering.listing(parts, Wanted(), "csv", nowhere, "ana")
    assert len(Audit(local.settings.state).tail(99)) == before


def test_what_waits_in_the_journal_is_told(
    local: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    local.publish()
    local.answer()
    local.ship()
    monkeypatch.setattr(answering, "BEHIND_S", 0.0)
    listed(local, "ids")
    assert "Atención" not in capsys.readouterr().err
    local.answer()
    apart()
    listed(local, "ids")
    assert "las últimas respuestas pueden faltar" in capsys.readouterr().err


def test_nobody_but_the_service_makes_the_database(tmp_path: Path, contract: Contract) -> None:
    """Made by an administrator, it would belong to another account than that of the service."""
    chosen = Settings(models=tmp_path, state=tmp_path)
    with pytest.raises(StoreError, match="la hace el servicio"):
        answering.listing(Parts(chosen, contract, None), Wanted(), "csv", None, "ana")  # type: ignore[arg-type]
    assert list(tmp_path.glob("store*")) == []


# When


@pytest.mark.parametrize(
    ("typed", "until", "expected"),
    [
        ("2026-01-31T09:30:00+01:00", False, "2026-01-31T08:30:00+00:00"),
        ("2026-01-31T09:30Z", True, "2026-01-31T09:30:00+00:00"),
        ("2026-07-14T09:30", False, None),
        ("2026-01-31", False, None),
    ],
)
def test_a_moment_is_of_this_machine_unless_it_says_its_zone(
    typed: str, until: bool, expected: str | None
) -> None:
    meant = datetime.fromisoformat(expected or typed)
    assert answering.moment_ms("--since", typed, until) == meant.timestamp() * 1000


def test_a_day_counts_to_its_end_where_it_is_the_last() -> None:
    end = datetime(2026, 2, 1).timestamp() * 1000
    assert answering.moment_ms("--until", "2026-01-31", until=True) == end


@pytest.mark.parametrize(("typed", "ago_s"), [("7d", 7 * 86400), ("24h", 86400), ("30min", 1800)])
def test_a_moment_may_be_how_long_ago(typed: str, ago_s: int) -> None:
    before = datetime.now(UTC).timestamp() - ago_s
    found = answering.moment_ms("--since", typed) / 1000
    assert before - 0.01 <= found <= datetime.now(UTC).timestamp() - ago_s + 0.01


@pytest.mark.parametrize("typed", ["ayer", "", "2026-13-01", "31/01/2026", "7", "-3d", "9" * 30])
def test_what_is_no_moment_is_told_with_what_is(typed: str) -> None:
    with pytest.raises(WrongUse, match=re.escape("--since: escriba un día como 2026-01-31")):
        answering.moment_ms("--since", typed)


# The rules of every time


def test_the_contract_of_an_answer_is_kept_before_the_answer(local: Desk) -> None:
    folder = local.settings.state / rules.FOLDER
    local.publish()
    assert not folder.exists()
    local.answer()
    kept = rules.kept(local.settings.state, local.contract.fingerprint)
    assert kept == local.contract


@pytest.mark.parametrize("damage", [b"", b"name = 'x'", b"\xff\x00"])
def test_a_damaged_contract_is_not_taken_for_the_right_one(local: Desk, damage: bytes) -> None:
    rules.keep(local.settings.state, local.contract)
    print_ = local.contract.fingerprint
    (local.settings.state / rules.FOLDER / f"{print_}.toml").write_bytes(damage)
    other = replace(local.contract, fingerprint="0" * 16)
    assert rules.Rules(local.settings.state, other).of(print_) is None


def test_a_changed_contract_is_not_taken_for_the_right_one(local: Desk) -> None:
    print_ = local.contract.fingerprint
    path = local.settings.state / rules.FOLDER / f"{print_}.toml"
    path.parent.mkdir()
    path.write_bytes(local.contract.source.replace(b"threshold = ", b"threshold = 0.9 #", 1))
    with pytest.raises(contracts.ContractError, match="dañado"):
        rules.kept(local.settings.state, print_)


@pytest.mark.parametrize("name", ["../../etc/x", "", "G" * 16, "a" * 15])
def test_a_fingerprint_cannot_lead_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(contracts.ContractError):
        rules.kept(tmp_path, name)
