"""Who may decide what answers: decisions of people, and four eyes, over real registries."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_models
from desk import Desk
from desk import desk as desk
from models_for_tests import dumped, new_logistic
from test_reception import accepting

from propensia import admission, commands, inbox, keeper, publishing, standing
from propensia.contract import Contract
from propensia.locks import Lock
from propensia.publishing import UPLOAD_LOCK, Hand, Order, Publishing, PublishingError
from propensia.reception import Reception
from propensia.registry import Registry, RegistryError, Release
from propensia.settings import Settings
from propensia.terminal import Exit, Parts

ANA, EVA = Hand("http", "ana", "k1"), Hand("http", "eva", "k2")


@pytest.fixture
def chosen(registry: Registry) -> Settings:
    return Settings(state=registry.state, models=registry.state.parent / "models")


@pytest.fixture
def one(chosen: Settings, contract: Contract, registry: Registry) -> Publishing:
    """Where one person decides."""
    return Publishing(chosen, contract, registry)


@pytest.fixture
def two(chosen: Settings, contract: Contract, registry: Registry) -> Publishing:
    """Where four eyes are asked for."""
    return Publishing(replace(chosen, four_eyes=True), contract, registry)


def version(counter: Publishing, probability: float, *hands: Hand, **changes: object) -> str:
    """A version that was admitted, and handed in by these people."""
    onnx = tiny_models.constant(probability)
    made = tiny_models.add(counter.registry, counter.contract, onnx, [probability], **changes)
    for hand in hands:
        counter.hand_in(digest(counter, made), hand)
    return made


def digest(counter: Publishing, made: str) -> str:
    return str(counter.registry.manifest(made)["sha256"])


def by(hand: Hand, **more: object) -> Order:
    return replace(Order(hand, "porque sí", "activar"), **more)  # type: ignore[arg-type]


def code(error: pytest.ExceptionInfo[PublishingError]) -> str:
    return error.value.code


# One person


def test_a_decision_is_a_release_that_says_who_why_and_with_which_threshold(
    one: Publishing,
) -> None:
    made = version(one, 0.25)
    release, is_new = one.activate(made, by(ANA, threshold=0.1))
    assert is_new and release == one.registry.current()
    assert (release.version, release.who, release.why) == (made, "ana", "porque sí")
    assert (release.cause, release.threshold, release.pinned) == ("activar", 0.1, False)


@pytest.mark.parametrize("threshold", [None, 0.3])
def test_what_is_active_already_is_not_published_again(
    threshold: float | None, one: Publishing
) -> None:
    made = version(one, 0.25)
    first, _ = one.activate(made, by(ANA, threshold=0.3))
    again = by(EVA, threshold=threshold, only_after=77)
    assert one.activate(made, again) == (first, False)
    assert one.go_back(made, again) == (first, False)
    assert one.registry.current_number() == 1


def test_another_threshold_is_a_new_release_of_the_same_version(one: Publishing) -> None:
    made = version(one, 0.25)
    one.activate(made, by(ANA, threshold=0.3))
    release, is_new = one.activate(made, by(ANA, threshold=0.4))
    assert (is_new, release.number, release.version, release.threshold) == (True, 2, made, 0.4)


def test_a_person_overrides_a_pin_and_the_new_version_is_pinned(one: Publishing) -> None:
    first, second = version(one, 0.25), version(one, 0.75)
    one.registry.publish(first, cause="pin", who="yo", pinned=True)
    release, _ = one.activate(second, by(ANA))
    assert (release.version, release.pinned) == (second, True)


def test_back_is_to_the_last_other_version_that_fits_with_its_threshold(one: Publishing) -> None:
    first, second, third = (version(one, share) for share in (0.1, 0.2, 0.3))
    for made in (first, second, third):
        one.activate(made, by(ANA, threshold=0.25))
    one.registry.part(second, "model.onnx").write_bytes(b"damaged")
    release, _ = one.go_back(None, by(ANA, cause="rollback"))
    assert (release.version, release.threshold, release.cause) == (first, 0.25, "rollback")
    release, _ = one.go_back(third, by(ANA))
    assert release.version == third


def test_what_cannot_be_published_says_why_by_a_code(one: Publishing) -> None:
    with pytest.raises(PublishingError) as nothing:
        one.go_back(None, by(ANA))
    good, other = version(one, 0.1), version(one, 0.2, columns=["x"])
    one.activate(good, by(ANA))
    with pytest.raises(PublishingError) as alone:
        one.go_back(None, by(ANA))
    with pytest.raises(PublishingError, match="es de otro contrato") as foreign:
        one.activate(other, by(ANA))
    with pytest.raises(PublishingError) as unknown:
        one.activate("0" * 12, by(ANA))
    verdict = {"version": "f" * 12, "accepted": False, "at": ""}
    one.registry.record_verdict("f" * 64, verdict)
    with pytest.raises(PublishingError) as refused:
        one.activate("f" * 12, by(ANA))
    assert [code(e) for e in (nothing, alone, foreign, unknown, refused)] == [
        "sin_publicacion",
        "sin_anterior",
        "version_no_servible",
        "version_desconocida",
        "version_rechazada",
    ]
    assert one.registry.current_number() == 1


@pytest.mark.parametrize("name", ["", "..", "*", "../releases", "ABCDEF123456", "á" * 12])
def test_a_text_that_is_no_id_is_an_unknown_version(name: str, one: Publishing) -> None:
    with pytest.raises(PublishingError) as error:
        one.activate(name, by(ANA))
    assert code(error) == "version_desconocida"


def test_a_decision_about_a_release_that_is_no_longer_current_is_refused(one: Publishing) -> None:
    first, second = version(one, 0.1), version(one, 0.2)
    one.activate(first, by(ANA))
    one.activate(second, by(ANA, only_after=1))
    for decide in (
        lambda: one.activate(first, by(EVA, only_after=1)),
        lambda: one.go_back(None, by(EVA, only_after=1)),
    ):
        with pytest.raises(PublishingError) as error:
            decide()
        assert code(error) == "publicacion_distinta"
    assert one.registry.current_number() == 2


@pytest.mark.parametrize(
    ("step", "told"), [("_earlier", "publicacion_distinta"), ("_servable", "")]
)
def test_what_is_published_while_one_goes_back_is_not_undone(
    one: Publishing, step: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the look at what answers, and before the decision about it is written down."""
    first, second, third = (version(one, share) for share in (0.1, 0.2, 0.3))
    one.activate(first, by(ANA))
    one.activate(second, by(ANA))
    real = getattr(Publishing, step)

    def before_another(self: Publishing, seen: object) -> object:
        found = real(self, seen)
        found = iter(list(found)) if step == "_earlier" else found  # looked up now, not later
        one.registry.publish(third, cause="activar", who="eva")
        return found

    monkeypatch.setattr(Publishing, step, before_another)
    with pytest.raises(RegistryError) as error:
        one.go_back(first if step == "_servable" else None, by(ANA))
    assert getattr(error.value, "code", "") == told
    assert [release.version for release in one.registry.history()] == [third, second, first]


def test_a_pin_keeps_version_and_threshold_and_is_published_once(one: Publishing) -> None:
    made = version(one, 0.2)
    one.activate(made, by(ANA, threshold=0.3))
    release, is_new = one.pin(False, by(EVA, cause="pin"))
    assert is_new and release == one.registry.current() and release.pinned
    told = (release.version, release.threshold, release.who, release.cause)
    assert told == (made, 0.3, "eva", "pin")
    assert one.pin(False, by(ANA)) == (release, False)
    assert one.pin(True, by(ANA))[0].pinned is False
    assert one.registry.current_number() == 3


def test_a_pin_or_a_threshold_never_brings_back_what_was_active_a_moment_ago(
    one: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = version(one, 0.1), version(one, 0.2)
    seen, _ = one.activate(first, by(ANA))
    one.activate(second, by(EVA))
    monkeypatch.setattr(Publishing, "active", lambda self: seen)
    parts = Parts(one.settings, one.contract, one.registry)
    with pytest.raises(RegistryError):
        commands.pin(parts, False, "x", ANA)
    with pytest.raises(RegistryError):
        commands.threshold(parts, 0.4, "x", ANA)
    current = one.registry.current()
    assert current is not None and (current.number, current.version) == (2, second)


def test_of_people_who_decide_at_once_each_wins_or_is_told(one: Publishing) -> None:
    versions = [version(one, 0.1 + i / 100) for i in range(4)]
    start = threading.Barrier(4)
    won: list[Release] = []
    lost: list[RegistryError] = []

    def decide(made: str) -> None:
        start.wait()
        for _ in range(12):
            try:
                release, is_new = one.activate(made, by(ANA))
                won.extend([release] * is_new)
            except RegistryError as error:
                lost.append(error)

    threads = [threading.Thread(target=decide, args=(made,)) for made in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(release.number for release in won) == list(
        range(1, one.registry.current_number() + 1)
    )
    assert [r.version for r in one.registry.history()] == [
        r.version for r in sorted(won, key=lambda r: -r.number)
    ]


# Four eyes


@pytest.mark.parametrize(
    "same",
    [
        ANA,
        Hand("consola", "ana"),
        Hand("http", "ANA", "k9"),
        Hand("http", "\N{FULLWIDTH LATIN SMALL LETTER A}na ", "k9"),
        Hand("http", "otro nombre", "k1"),
        Hand("http", "jwt:Ana"),
    ],
)
def test_who_handed_a_version_in_does_not_decide_it(same: Hand, two: Publishing) -> None:
    made = version(two, 0.2, ANA)
    with pytest.raises(PublishingError) as error:
        two.activate(made, by(same))
    assert code(error) == "misma_persona" and two.registry.current() is None
    with pytest.raises(PublishingError):
        two.activate(made, by(same, threshold=0.2))


def test_somebody_else_does(two: Publishing) -> None:
    made = version(two, 0.2, ANA)
    release, _ = two.activate(made, by(EVA))
    assert (release.version, release.who) == (made, "eva")


def test_whoever_hands_it_in_later_does_not_take_the_first_one_away(two: Publishing) -> None:
    made = version(two, 0.2, ANA, Hand("carpeta", ""), Hand("carpeta", "luis"), EVA, ANA)
    for hand in (ANA, EVA, Hand("consola", "luis")):
        with pytest.raises(PublishingError):
            two.activate(made, by(hand))
    assert len(two.hands(digest(two, made))) == 4
    two.activate(made, by(Hand("http", "sol", "k3")))


def test_nobody_known_is_nobody_else(two: Publishing) -> None:
    """A candidate of before: nothing shows that it was not this very person."""
    made = version(two, 0.2)
    with pytest.raises(PublishingError) as error:
        two.activate(made, by(EVA))
    assert code(error) == "entrega_desconocida"
    two.hand_in(digest(two, made), ANA)
    two.activate(made, by(EVA))


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"way": "http"}'])
def test_a_damaged_record_names_nobody_until_the_file_is_handed_in_again(
    damage: bytes, two: Publishing
) -> None:
    made = version(two, 0.2, ANA)
    (record,) = (two.registry.state / publishing.FOLDER).iterdir()
    record.write_bytes(damage)
    with pytest.raises(PublishingError) as error:
        two.activate(made, by(EVA))
    assert code(error) == "entrega_desconocida"
    two.hand_in(digest(two, made), ANA)
    with pytest.raises(PublishingError) as error:
        two.activate(made, by(ANA))
    assert code(error) == "misma_persona"
    two.activate(made, by(EVA))


def test_a_file_whose_owner_nobody_tells_is_decided_by_nobody_alone(two: Publishing) -> None:
    """Who copied it into the folder may be the very approver."""
    made = version(two, 0.2, Hand("carpeta", ""))
    for hand in (EVA, Hand("consola", "luis")):
        with pytest.raises(PublishingError) as error:
            two.activate(made, by(hand))
        assert code(error) == "entrega_desconocida" and two.registry.current() is None
    two.hand_in(digest(two, made), ANA)
    with pytest.raises(PublishingError):
        two.activate(made, by(ANA))
    assert two.activate(made, by(EVA))[0].who == "eva"


@pytest.mark.parametrize("hand", [ANA, Hand("carpeta", "")])
def test_who_hands_in_is_kept_or_nothing_goes_on_where_four_eyes_rest_on_it(
    hand: Hand, one: Publishing, two: Publishing, caplog: pytest.LogCaptureFixture
) -> None:
    (one.registry.state / publishing.FOLDER).write_bytes(b"a file in the way")
    one.hand_in("a" * 64, hand)
    assert "is not kept" in caplog.text and "ana" not in caplog.text
    with pytest.raises(OSError):
        two.hand_in("a" * 64, hand)


def test_one_person_goes_back_to_what_was_served_with_a_threshold_it_had(two: Publishing) -> None:
    old, new = version(two, 0.2, ANA), version(two, 0.3, ANA)
    two.activate(old, by(EVA, threshold=0.4))
    two.activate(old, by(EVA, threshold=0.6))
    two.activate(new, by(EVA))
    assert two.go_back(None, by(ANA))[0].threshold == 0.6
    assert two.activate(old, by(ANA, threshold=0.4))[0].threshold == 0.4
    with pytest.raises(PublishingError) as error:
        two.activate(old, by(ANA, threshold=0.41))
    assert code(error) == "misma_persona"
    assert two.activate(old, by(EVA, threshold=0.41))[0].threshold == 0.41


def test_an_id_that_was_served_with_another_content_counts_for_nothing(two: Publishing) -> None:
    """An id is 12 digits, 48 bits: with patience somebody makes a file of a given id."""
    made = version(two, 0.2, ANA)
    other = made + "0" * 52
    path = two.registry.state / "releases" / "000001.json"
    release = {"number": 1, "version": made, "sha256": other, "model": "m", "pinned": False}
    path.write_text(json.dumps(release), encoding="utf-8")
    path = path.with_name("000002.json")
    second = version(two, 0.4, EVA)
    release |= {"number": 2, "version": second, "sha256": digest(two, second)}
    path.write_text(json.dumps(release), encoding="utf-8")
    with pytest.raises(PublishingError) as error:
        two.go_back(None, by(ANA))
    assert code(error) == "misma_persona"
    reason = standing.reason_to_wait(two.registry, "m.pkl", digest(two, made), True)
    assert reason == standing.FOUR_EYES


# The folder, with four eyes


class Folder:
    """A models folder, and the keeper's desk for it; admission is a fake that accepts."""

    def __init__(self, two: Publishing) -> None:
        self.two = two
        self.models = two.settings.models
        self.models.mkdir()
        self.restart()

    def restart(self) -> None:
        chosen = replace(self.two.settings, stable_polls=2)
        self.reception = Reception(
            chosen, self.two.contract, self.two.registry, say=lambda text: None
        )

    def drop(self, name: str, data: bytes) -> str:
        (self.models / name).write_bytes(data)
        for _ in range(4):
            self.reception.turn()
        return (self.models / f"{name}.estado.txt").read_text(encoding="utf-8")


@pytest.fixture
def folder(two: Publishing, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setattr(admission, "admit", accepting)
    monkeypatch.setattr(inbox, "owner", lambda path: "luis")
    return Folder(two)


def test_a_dropped_file_waits_for_another_person_even_the_first_one(folder: Folder) -> None:
    text = folder.drop("m.pkl", b"1")
    made = admission.Dropped("", b"1").version
    assert text.startswith("ACEPTADO")
    assert f"Queda como candidata ({made}): {standing.FOUR_EYES}." in text
    assert f"propensia activate {made}" in text and "propensia admit" not in text
    assert folder.two.registry.current() is None
    assert folder.two.hands(admission.Dropped("", b"1").sha256) == [Hand("carpeta", "luis")]
    with pytest.raises(PublishingError):
        folder.two.activate(made, by(Hand("consola", "luis")))
    folder.two.activate(made, by(ANA))


def test_a_dropped_file_that_names_nobody_says_how_it_can_be_published(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "owner", lambda path: "")
    text = folder.drop("m.pkl", b"1")
    assert f"{standing.UNKNOWN_HAND}." in text and "propensia activate" not in text
    folder.two.hand_in(admission.Dropped("", b"1").sha256, ANA)
    folder.restart()
    assert standing.FOUR_EYES in folder.drop("n.pkl", b"1")


def test_no_restart_and_no_second_drop_publishes_what_waits(folder: Folder) -> None:
    folder.drop("m.pkl", b"1")
    folder.restart()
    folder.drop("m.pkl", b"1")
    folder.drop("otro nombre.pkl", b"1")
    (folder.models / "m.pkl").unlink()
    folder.reception.turn()
    folder.drop("m.pkl", b"1")
    assert folder.two.registry.current() is None


def test_a_file_that_was_served_does_not_come_back_by_being_dropped_again(
    folder: Folder,
) -> None:
    """Or whoever may write to the folder would decide which of them answers."""
    for name, data in (("a.pkl", b"1"), ("b.pkl", b"2")):
        folder.drop(name, data)
        folder.two.activate(admission.Dropped("", data).version, by(ANA))
    (folder.models / "a.pkl").unlink()
    folder.reception.turn()
    text = folder.drop("a.pkl", b"1")
    first = admission.Dropped("", b"1").version
    assert "Con cuatro ojos no vuelve sola" in text and f"propensia activate {first}" in text
    assert folder.two.registry.current_number() == 2
    assert folder.two.activate(first, by(ANA))[0].number == 3, "one person is enough"


def test_a_dropped_file_is_published_where_who_handed_it_in_cannot_be_kept(
    one: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "admit", accepting)
    (one.registry.state / publishing.FOLDER).write_bytes(b"a file in the way")
    text = Folder(one).drop("m.pkl", b"1")
    assert "Es la versión activa" in text and one.registry.current_number() == 1


def test_the_owner_of_a_file_is_told_where_the_system_knows(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(b"x")
    assert inbox.owner(path) == _owner(path)
    assert inbox.owner(tmp_path / "nada") == ""


def _owner(path: Path) -> str:
    pwd = pytest.importorskip("pwd")
    return str(pwd.getpwuid(path.stat().st_uid).pw_name)


def test_a_keeper_that_starts_leaves_the_file_that_a_web_process_judges(tmp_path: Path) -> None:
    left = tmp_path / "work" / "a"
    left.mkdir(parents=True)
    with Lock(tmp_path / UPLOAD_LOCK):
        keeper.sweep(tmp_path)
        assert left.exists()
    keeper.sweep(tmp_path)
    assert not left.exists()


# The console, with four eyes


def test_with_sudo_both_accounts_are_the_person(two: Publishing) -> None:
    """Else one person with two accounts, or a variable that anybody may set, were two people."""
    served, luis = Hand("consola", "servicio", also="ana"), Hand("carpeta", "luis")
    made = version(two, 0.2, served)
    kept = two.hands(digest(two, made))
    assert kept == [served]
    for hand in (ANA, Hand("consola", "servicio"), Hand("consola", "servicio", also="eva")):
        with pytest.raises(PublishingError, match="la entregó usted"):
            two.activate(made, by(hand))
    release, _ = two.activate(made, by(replace(luis, way="consola", also="Luisa")))
    assert release.who == "luis (Luisa)"


def test_admit_judges_and_leaves_the_decision_to_another_user(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way, with the processes of an admission."""
    monkeypatch.setenv("PROPENSIA_FOUR_EYES", "1")
    monkeypatch.setattr("propensia.cli.words._account", lambda: "ana")
    (desk.folder / "m.pkl").write_bytes(dumped(new_logistic()))
    text = desk.run("admit", "m.pkl", "--why", "octubre")
    made = re.findall(r"versión ([0-9a-f]{12})", text)[0]
    assert text.startswith("ACEPTADO m.pkl")
    assert text.endswith(
        f"Queda como candidata ({made}): {standing.FOUR_EYES}, con POST /modelos/{made}/activar "
        f"o propensia activate {made}\n"
    )
    assert desk.registry.current() is None
    assert "ya comprobada" in desk.run("admit", "m.pkl")
    assert "la entregó usted" in desk.run("activate", made, code=Exit.REFUSED)
    monkeypatch.setattr("propensia.cli.words._account", lambda: "eva")
    assert f"Publicada la versión {made}" in desk.run("activate", made[:6], "--why", "visto")
    current = desk.registry.current()
    assert current is not None
    assert (current.version, current.who, current.why) == (made, "eva", "visto")
    assert "nada cambia" in desk.run("activate", made)
    monkeypatch.setattr("propensia.cli.words._account", lambda: "ana")
    text = desk.run("threshold", "0.9", "--why", "x", code=Exit.REFUSED)
    assert "la entregó usted" in text
    assert desk.registry.current() == current
    desk.publish(0.4)
    assert f"Publicada la versión {made}" in desk.run("rollback", "--why", "una persona basta")


# Words


def test_every_code_has_a_sentence_in_both_languages_and_a_row_in_the_page() -> None:
    page = (Path(publishing.__file__).parents[1] / "docs" / "publicar.md").read_text("utf-8")
    source = Path(publishing.__file__).read_text("utf-8")
    for name, (spanish, english) in publishing.TEXTS.items():
        assert spanish != english
        assert f"| `{name}` |" in page
        assert source.count(f'"{name}"') > 1, "a code that nothing gives"
