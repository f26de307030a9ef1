"""Files are whole or absent, reads are bounded, and nothing unfinished is left behind."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import sys
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from propensia import files, signing


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "ñ.bin"
    files.write(path, b"one")
    files.write(path, b"two\r\n", durable=False)
    assert files.read(path) == b"two\r\n"
    assert os.listdir(tmp_path) == ["ñ.bin"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    files.write(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_reader_never_sees_a_mixture(tmp_path: Path) -> None:
    path = tmp_path / "swapped"
    contents = (b"a" * 300_000, b"b" * 200_000)
    files.write(path, contents[0])
    stop = threading.Event()

    def write_both() -> None:
        while not stop.is_set():
            for content in contents:
                files.write(path, content, durable=False)

    writer = threading.Thread(target=write_both)
    writer.start()
    try:
        seen = {files.read(path) for _ in range(300)}
        # On a busy machine the writer may not have had a turn yet.
        deadline = time.monotonic() + 60
        while len(seen) < len(contents) and time.monotonic() < deadline:
            seen.add(files.read(path))
    finally:
        stop.set()
        writer.join()
    assert seen == set(contents)


def test_a_file_at_the_limit_is_read_and_one_byte_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    assert files.read(path, 5) == b"12345"
    with pytest.raises(files.FileTooLarge):
        files.read(path, 4)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """One TiB of holes: reading it would take minutes and all memory."""
    path = tmp_path / "huge.pkl"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(files.FileTooLarge):
        files.read(path, 200 << 20)


def test_what_is_too_large_is_told_to_callers_who_expect_any_fault_of_a_file() -> None:
    """The keeper and the health notes catch ``OSError``: one large sidecar must not end a turn."""
    assert issubclass(files.FileTooLarge, OSError)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_refused_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pkl")
    errors: list[str] = []

    def read() -> None:
        try:
            files.read(tmp_path / "pipe.pkl", 100)
        except OSError as error:
            errors.append(str(error))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(10)
    assert errors == ["pipe.pkl is not a regular file"]


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not a regular file"):
        files.read(tmp_path)


@pytest.mark.parametrize("failures", [1, files.RETRIES])
def test_a_file_that_is_held_for_a_moment_is_tried_again(
    failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "FIRST_PAUSE_S", 0.0)
    left = [PermissionError()] * failures

    def action() -> str:
        if left:
            raise left.pop()
        return "done"

    assert files.retry(action) == "done"


def test_a_file_that_stays_held_is_an_error_after_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "FIRST_PAUSE_S", 0.0)
    tries = []

    def action() -> None:
        tries.append(1)
        raise PermissionError("held")

    with pytest.raises(PermissionError, match="held"):
        files.retry(action)
    assert len(tries) == files.RETRIES + 1


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_never_holds_what_is_not_json(number: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", {"x": number})
    assert os.listdir(tmp_path) == []


def test_json_keeps_any_file_name_that_a_system_may_give(tmp_path: Path) -> None:
    """On Linux a name of bytes that are not UTF-8 reaches Python with lone surrogates."""
    value = {"names": {os.fsdecode(b"a\xff.pkl"): "ñandú 😀 \x00"}}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value


def test_a_digest_of_one_part_is_the_plain_one() -> None:
    """The published test value of SHA-256 (FIPS 180-2, appendix B.1)."""
    wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256(b"abc") == wanted


def test_a_digest_of_parts_depends_on_where_they_are_cut() -> None:
    first, second = hashlib.sha256(b"ab").digest(), hashlib.sha256(b"c").digest()
    assert files.sha256(b"ab", b"c") == hashlib.sha256(first + second).hexdigest()
    assert len({files.sha256(b"ab", b"c"), files.sha256(b"a", b"bc"), files.sha256(b"abc")}) == 3


# Names that change their meaning, and folders that others wrote in


posix = pytest.mark.skipif(os.name != "posix", reason="pipes, links and modes of POSIX")


def swap_before_opening(path: Path, swap: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    """Let ``path`` become another thing after it was looked at, right before it is opened."""
    path.write_bytes(b"regular")
    real = os.open

    def late(name: Any, flags: int, *rest: Any, **options: Any) -> int:
        if Path(name) == path:
            path.unlink(missing_ok=True)
            swap()
        return real(name, flags, *rest, **options)

    patch.setattr(os, "open", late)


@posix
@pytest.mark.parametrize("read", [files.read, lambda p: signing.read(p) or files.read(p)])
def test_a_pipe_that_takes_the_place_of_a_file_does_not_block(
    read: Callable[[Path], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.pkl"
    swap_before_opening(path, lambda: os.mkfifo(path), monkeypatch)
    errors: list[str] = []

    def attempt() -> None:
        try:
            read(path)
        except OSError as error:
            errors.append(str(error))

    reader = threading.Thread(target=attempt, daemon=True)
    reader.start()
    reader.join(10)
    assert errors == ["a.pkl is not a regular file"]


@posix
def test_a_link_that_takes_the_place_of_a_dropped_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, secret = tmp_path / "a.pkl", tmp_path / "secret"
    secret.write_bytes(b"secret")
    swap_before_opening(path, lambda: path.symlink_to(secret), monkeypatch)
    with pytest.raises(files.NotRegular):
        files.read(path, follow=False)
    assert signing.read(path) == b""


@posix
def test_a_link_is_followed_where_the_operator_put_it(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert files.read(tmp_path / "link") == b"x"


@posix
def test_a_socket_is_not_a_file(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as own:
        own.bind(os.path.relpath(tmp_path / "s"))
        with pytest.raises(files.NotRegular):
            files.read(tmp_path / "s")


@posix
def test_no_name_of_a_file_forges_a_line_of_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a\n\x1b[2J.pkl"
    path.mkdir()
    with pytest.raises(files.NotRegular) as error:
        files.read(path)
    assert str(error.value).isprintable()


def nest(folder: Path, depth: int) -> None:
    """Folders in folders, with a file in each; no path so long could be named as a whole."""
    if os.name != "posix":
        for _ in range(20):
            folder /= "d"
            folder.mkdir(parents=True)
        return
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


by_way = pytest.mark.parametrize("way", [files.remove_tree, files._remove_by_paths])


@by_way
def test_folders_of_any_depth_are_removed(way: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    nest(folder, 3 * sys.getrecursionlimit())
    way(folder)
    assert not folder.exists()


@posix
@by_way
def test_links_in_a_removed_folder_are_not_followed(
    way: Callable[[Path], None], tmp_path: Path
) -> None:
    kept, folder = tmp_path / "kept", tmp_path / "work"
    (folder / "in").mkdir(parents=True)
    kept.mkdir()
    (kept / "f").write_bytes(b"x")
    for link in (folder / "l", folder / "in" / "l", folder / "in" / "loop"):
        link.symlink_to(link if link.name == "loop" else kept)
    way(folder)
    assert not folder.exists()
    assert (kept / "f").read_bytes() == b"x"
    folder.symlink_to(kept)
    files.remove_tree(folder)
    assert (os.listdir(kept), folder.is_symlink()) == (["f"], False)


@posix
def test_a_folder_without_any_rights_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "f").write_bytes(b"x")
    for path in (inner, inner.parent, folder):
        path.chmod(0)
    files.remove_tree(folder)
    assert not folder.exists()


def test_a_folder_that_is_not_there_or_cannot_go_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.remove_tree(tmp_path / "absent")

    def refuse(*arguments: Any, **options: Any) -> None:
        raise PermissionError("held")

    (tmp_path / "work").mkdir()
    monkeypatch.setattr(os, "rmdir", refuse)
    files.remove_tree(tmp_path / "work")
    assert (tmp_path / "work").exists()


@pytest.mark.parametrize("system", ["posix", "windows"])
def test_bytes_are_read_and_written_at_a_place_of_an_open_file(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if system == "windows":  # which has neither
        monkeypatch.delattr(os, "pread", raising=False)
        monkeypatch.delattr(os, "pwrite", raising=False)
    path = tmp_path / "counts"
    path.write_bytes(b"0123456789")
    handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        files.write_at(handle, b"ab", 4)
        assert files.read_at(handle, 3, 3) == b"3ab"
        assert files.read_at(handle, 9, 8) == b"89"
        files.write_at(handle, array("d", [1.0]), 10)
    finally:
        os.close(handle)
    assert path.read_bytes() == b"0123ab6789" + struct.pack("d", 1.0)
