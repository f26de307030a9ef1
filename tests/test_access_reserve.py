"""A key is taken out of use when the disk is full, too."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from propensia import files
from propensia.access import keys, reserve


def made(folder: Path) -> None:
    """Make one key."""
    _, key = keys.new("ana", "admin", time.time())
    keys.change(folder, lambda known: [*known, key])


def revoke(folder: Path, at: float) -> None:
    keys.change(folder, lambda known: [replace(key, revoked=at) for key in known])


def revoked(folder: Path) -> float | None:
    (key,) = keys.stored(folder)
    return key.revoked


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 400 KiB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root of Linux can make a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this system lets nobody mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(place: Path) -> None:
    """Write to the last byte of a disk."""
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)), (place / "fill").open("wb") as f:
        while True:
            f.write(b"x" * 4096)


def test_a_key_is_revoked_on_a_disk_that_is_full_as_often_as_it_takes(small_disk: Path) -> None:
    folder = small_disk / "var" / keys.FOLDER
    made(folder)
    fill(small_disk)
    for at in (1.0, 2.0, 3.0):
        revoke(folder, at)
        assert revoked(folder) == at


def test_without_the_room_that_is_kept_nothing_changes(small_disk: Path) -> None:
    folder = small_disk / "var" / keys.FOLDER
    made(folder)
    (folder / reserve.FILE).unlink()
    fill(small_disk)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        revoke(folder, 1.0)
    assert revoked(folder) is None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_the_room_that_is_kept_is_given_back_for_one_more_try_and_kept_again(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / keys.FOLDER
    made(folder)
    kept, real = folder / reserve.FILE, files.write
    sizes = []

    def write(path: Path, data: bytes, **more: Any) -> None:
        sizes.append(kept.stat().st_size)
        if sizes[-1]:
            raise OSError(code, "full")
        real(path, data, **more)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write", write)
        revoke(folder, 1.0)
    assert sizes == [reserve.LEAST_BYTES, 0]
    assert revoked(folder) == 1.0
    assert kept.stat().st_size == reserve.LEAST_BYTES


def test_what_is_no_full_disk_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / keys.FOLDER
    made(folder)

    def write(path: Path, data: bytes, **more: Any) -> None:
        raise OSError(errno.EROFS, "read only")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write", write)
        with pytest.raises(OSError, match="read only"):
            revoke(folder, 1.0)
    assert (folder / reserve.FILE).stat().st_size == reserve.LEAST_BYTES


def test_there_is_room_for_as_many_keys_as_there_are(tmp_path: Path) -> None:
    path = tmp_path / keys.FILE
    reserve.write(path, b"x" * 100_000)
    assert (tmp_path / reserve.FILE).stat().st_size == 200_000
