"""Versions and releases: only added, whole or absent, safe between processes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import propensia
from propensia import files
from propensia.registry import Registry, RegistryError

ROOT = Path(propensia.__file__).parent.parent
A, B, C, D = (letter * 12 for letter in "abcd")


def rules(
    version: str, admitted: str = "2026-01-01T00:00:00+00:00", contract: str = "c"
) -> dict[str, str]:
    return {
        "model": f"modelo_{version[0]}",
        "admitted": admitted,
        "sha256": version * 5,
        "onnx_sha256": files.sha256(version.encode()),
        "contract_fingerprint": contract,
    }


def add(registry: Registry, version: str, admitted: str = "2026-01-01T00:00:00+00:00") -> str:
    registry.add_version(version, rules(version, admitted), {"model.onnx": version.encode()})
    registry.record_verdict(version * 5, {"accepted": True, "at": admitted})
    return version


def publish(registry: Registry, *versions: str) -> None:
    for version in versions:
        registry.publish(version, cause="prueba", who="yo")


def release_files(registry: Registry) -> dict[str, bytes]:
    folder = registry.state / "releases"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# Releases


def test_before_the_first_release_there_is_none(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "never prepared")
    assert registry.current() is None
    assert registry.current_number() == 0
    assert registry.previous() is None
    assert (registry.history(), registry.versions(), registry.verdicts()) == ([], [], [])


def test_the_largest_number_is_the_pointer(registry: Registry) -> None:
    add(registry, A)
    add(registry, B)
    publish(registry, A, B, A)
    current = registry.current()
    assert current is not None
    assert (current.number, current.version, current.model) == (3, A, "modelo_a")
    assert registry.current_number() == 3
    assert [release.version for release in registry.history()] == [A, B, A]


def test_numbers_are_compared_as_numbers(registry: Registry) -> None:
    """As texts, 1000000 comes before 999999."""
    add(registry, A)
    publish(registry, A)
    first = json.loads((registry.state / "releases" / "000001.json").read_text(encoding="utf-8"))
    for number in (999_999, 1_000_000):
        path = registry.state / "releases" / f"{number:06d}.json"
        path.write_text(json.dumps(first | {"number": number}), encoding="utf-8")
    assert registry.current_number() == 1_000_000
    publish(registry, A)
    assert registry.current_number() == 1_000_001


def test_publishing_only_adds_a_file(registry: Registry) -> None:
    add(registry, A)
    publish(registry, A, A)
    before = release_files(registry)
    registry.publish(A, cause="umbral", who="ana", why="ñ", threshold=0.42, pinned=True)
    after = release_files(registry)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"000003.json"}
    release = registry.release(3)
    assert (release.threshold, release.pinned, release.why) == (0.42, True, "ñ")


def test_a_version_that_is_not_there_is_not_published(registry: Registry) -> None:
    with pytest.raises(RegistryError, match=A):
        publish(registry, A)
    assert release_files(registry) == {}


def test_publishing_after_somebody_else_is_refused_where_asked(registry: Registry) -> None:
    add(registry, A)
    publish(registry, A, A)
    with pytest.raises(RegistryError, match="adelantado"):
        registry.publish(A, cause="retorno", who="yo", only_after=1)
    assert registry.current_number() == 2
    assert registry.publish(A, cause="retorno", who="yo", only_after=2).number == 3


def test_of_many_who_decided_on_the_same_release_one_wins(registry: Registry) -> None:
    """Workers that distrust the same version at once must not chase each other."""
    add(registry, A)
    publish(registry, A)
    start = threading.Barrier(8)
    won: list[int] = []

    def give_back() -> None:
        start.wait()
        with contextlib.suppress(RegistryError):
            won.append(registry.publish(A, cause="retorno", who="yo", only_after=1).number)

    threads = [threading.Thread(target=give_back) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [2]
    assert registry.current_number() == 2


def test_processes_that_publish_at_once_never_share_a_number(registry: Registry) -> None:
    add(registry, A)
    code = (
        "import sys, pathlib; from propensia.registry import Registry\n"
        "registry = Registry(pathlib.Path(sys.argv[1]))\n"
        "for _ in range(15):\n"
        "    print(registry.publish(sys.argv[2], cause='x', who=sys.argv[3]).number)"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(registry.state), A, f"p{i}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(4)
    ]
    printed = [child.communicate(timeout=60)[0] for child in children]
    assert [child.returncode for child in children] == [0] * 4
    numbers = [int(line) for text in printed for line in text.split()]
    assert sorted(numbers) == list(range(1, 61))
    for child, text in enumerate(printed):
        assert {registry.release(int(line)).who for line in text.split()} == {f"p{child}"}


def test_the_previous_release_is_the_newest_of_another_version(registry: Registry) -> None:
    for version in (A, B):
        add(registry, version)
    publish(registry, A)
    assert registry.previous() is None
    publish(registry, B, A, B, B)
    previous = registry.previous()
    assert previous is not None
    assert (previous.version, previous.number) == (A, 3)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"number": 1}', b"\xff"])
def test_a_damaged_release_is_an_error_that_says_which(content: bytes, registry: Registry) -> None:
    (registry.state / "releases" / "000007.json").write_bytes(content)
    with pytest.raises(RegistryError, match="7"):
        registry.current()


def test_files_that_are_no_releases_are_not_looked_at(registry: Registry) -> None:
    add(registry, A)
    publish(registry, A)
    for name in ("000009.json.tmp", ".000009.json.ab.tmp", "9.json", "000009.txt", "x000009.json"):
        (registry.state / "releases" / name).write_bytes(b"{")
    assert registry.current_number() == 1


# Versions


def test_a_version_is_whole_or_absent(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, value: object, *, durable: bool = True) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_json", full)
    with pytest.raises(OSError, match="No space"):
        registry.add_version(A, {}, {"model.onnx": b"x"})
    assert registry.versions() == []
    assert os.listdir(registry.state / "versions") == []


def test_a_version_that_is_there_stays_as_it_is(registry: Registry) -> None:
    add(registry, A)
    alias = rules(A) | {"model": "otro"}
    registry.add_version(A, alias, {"model.onnx": A.encode()})
    assert registry.manifest(A)["model"] == "modelo_a"
    assert os.listdir(registry.state / "versions") == [A]


def test_a_version_made_by_other_rules_gives_way(registry: Registry) -> None:
    """The same file admitted under another contract, or compiled anew."""
    add(registry, A)
    registry.add_version(A, rules(A, contract="d"), {"model.onnx": A.encode()})
    assert registry.manifest(A)["contract_fingerprint"] == "d"
    compiled_anew = rules(A, contract="d") | {"onnx_sha256": files.sha256(b"new")}
    registry.add_version(A, compiled_anew, {"model.onnx": b"new"})
    assert registry.model(A) == b"new"
    assert os.listdir(registry.state / "versions") == [A]


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
@pytest.mark.parametrize("damage", [b"", b"{", None])
def test_a_damaged_version_gives_way_to_the_same_file(
    registry: Registry, name: str, damage: bytes | None
) -> None:
    add(registry, A)
    path = registry.state / "versions" / A / name
    path.unlink() if damage is None else path.write_bytes(damage)
    add(registry, A)
    assert registry.model(A) == A.encode()
    assert registry.manifest(A)["model"] == "modelo_a"


def test_a_damaged_old_version_does_not_stop_pruning(registry: Registry) -> None:
    for version in (A, B, C, D):
        add(registry, version)
        publish(registry, version)
    (registry.state / "versions" / A / "manifest.json").write_bytes(b"{")
    assert registry.prune(0) == [B, A]
    assert sorted(registry.versions()) == [C, D]


def test_the_same_version_added_by_many_at_once_is_added_once(registry: Registry) -> None:
    """The keeper and ``propensia admit`` may accept the same file at the same moment."""
    start = threading.Barrier(6)
    errors: list[BaseException] = []

    def add_one() -> None:
        start.wait()
        try:
            add(registry, A)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=add_one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert os.listdir(registry.state / "versions") == [A]
    assert registry.model(A) == A.encode()


def test_folders_that_are_no_versions_are_not_listed(registry: Registry) -> None:
    add(registry, A)
    for name in (B, f".{C}.0011.tmp", "notes", C.upper()):
        (registry.state / "versions" / name).mkdir()
    assert registry.versions() == [A]


@pytest.mark.parametrize("text", ["aaa", "AAAA", A])
def test_a_version_is_found_by_how_it_begins(text: str, registry: Registry) -> None:
    add(registry, A)
    add(registry, B)
    assert registry.find(text) == A


@pytest.mark.parametrize(("text", "problem"), [("c", "ninguna"), ("", "varias")])
def test_none_and_two_are_errors_that_say_so(text: str, problem: str, registry: Registry) -> None:
    add(registry, A)
    add(registry, B)
    with pytest.raises(RegistryError, match=problem):
        registry.find(text)


# Pruning


def test_pruning_never_removes_the_active_nor_the_one_before(registry: Registry) -> None:
    for version in (A, B, C, D):
        add(registry, version)
    publish(registry, C, D, A, B, B)
    assert sorted(registry.prune(0)) == [C, D]
    assert sorted(registry.versions()) == [A, B]
    assert registry.prune(0) == []


def test_pruning_removes_what_was_published_longest_ago_or_never(registry: Registry) -> None:
    order = [format(i, "x") * 12 for i in range(6)]
    for i, version in enumerate(order):
        add(registry, version, f"2026-01-0{i + 1}T00:00:00+00:00")
    never_old, never_new, long_ago, lately, before, active = order
    publish(registry, lately, long_ago, lately, before, active)
    assert registry.prune(3) == [never_old]
    assert registry.prune(2) == [never_new]
    assert registry.prune(1) == [long_ago]
    assert sorted(registry.versions()) == [lately, before, active]


def test_pruning_without_any_release_keeps_the_newest(registry: Registry) -> None:
    add(registry, A, "2026-01-01T00:00:00+00:00")
    add(registry, B, "2026-01-02T00:00:00+00:00")
    assert registry.prune(1) == [A]


def test_pruning_clears_what_an_interrupted_admission_left(registry: Registry) -> None:
    left = registry.state / "versions" / f".{A}.0123abcd.tmp"
    left.mkdir()
    (left / "model.onnx").write_bytes(b"half")
    registry.prune(24)
    assert os.listdir(registry.state / "versions") == []


def test_pruning_does_not_take_the_ground_from_a_version_that_is_being_added(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``propensia admit`` beside the keeper: the temporary folder of the one is not a left-over
    for the other, or a version without its model would be published."""
    written = threading.Event()
    plain = files.write

    def write_slowly(path: Path, data: bytes, **how: bool) -> None:
        plain(path, data, **how)
        if path.name == "model.onnx":
            written.set()
            pruning.join(0.5)

    pruning = threading.Thread(target=lambda: (written.wait(5), registry.prune(24)))
    monkeypatch.setattr(files, "write", write_slowly)
    pruning.start()
    registry.add_version(A, {"model": "a"}, {"model.onnx": b"whole"})
    pruning.join()
    assert registry.model(A) == b"whole"


def test_a_prune_that_is_killed_leaves_no_half_version(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (A, B, C):
        add(registry, version)
    publish(registry, A, B, C)

    def killed(path: Path, ignore_errors: bool = False) -> None:
        (path / "model.onnx").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        registry.prune(0)
    monkeypatch.undo()
    assert sorted(registry.versions()) == [B, C]
    add(registry, A)
    assert registry.model(A) == A.encode()


def test_a_content_whose_version_was_pruned_is_as_new(registry: Registry) -> None:
    """Its verdict would otherwise promise a version that is no longer there."""
    for version in (A, B, C):
        add(registry, version)
    publish(registry, A, B, C)
    registry.prune(0)
    assert registry.verdict(A * 5) is None
    assert registry.verdict(B * 5) is not None


# Verdicts


def test_verdicts_are_listed_oldest_first(registry: Registry) -> None:
    registry.record_verdict("1" * 64, {"at": "2026-02-01", "n": 2})
    registry.record_verdict("2" * 64, {"at": "2026-01-01", "n": 1})
    assert [verdict["n"] for verdict in registry.verdicts()] == [1, 2]
    assert registry.verdict("3" * 64) is None


def test_a_damaged_verdict_is_as_none(registry: Registry) -> None:
    """The content is judged again; the others are listed all the same."""
    registry.record_verdict("1" * 64, {"at": "2026-02-01"})
    (registry.state / "verdicts" / f"{'2' * 64}.json").write_bytes(b'{"at": ')
    assert registry.verdict("2" * 64) is None
    assert len(registry.verdicts()) == 1
