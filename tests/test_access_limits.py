"""Rates: exact in any window, over processes, across deaths, odd clocks, full disks and Redis."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from ports import free_port

from propensia import settings
from propensia.access import limits, redis_limits, sliding
from propensia.access.limits import FILE, Limits, Rate, identity, network
from propensia.access.redis_limits import RedisCounts
from propensia.access.roles import Caller
from propensia.settings import Settings, SettingsError

S = 1_000_000_000
HUNDRED = Rate("test", 100, 60)


class Clock:
    """Nanoseconds that a test sets."""

    def __init__(self, now: int = 10**15) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def chosen(state: Path, **more: object) -> Settings:
    return replace(settings.load({}), state=state, **more)  # type: ignore[arg-type]


def in_folder(state: Path, clock: Clock | None = None) -> Limits:
    return Limits(chosen(state), clock or Clock())


# What a setting may say


@pytest.mark.parametrize(
    ("text", "count", "window_s"),
    [("100/s", 100, 1), ("1/min", 1, 60), ("1000000/h", 1_000_000, 3600)],
)
def test_a_rate_is_a_number_and_a_time(text: str, count: int, window_s: int) -> None:
    assert Rate.read("rate_limit", text) == Rate("rate_limit", count, window_s)


def test_off_is_no_rate() -> None:
    assert Rate.read("rate_limit", "off") is None


@pytest.mark.parametrize(
    "text",
    ["", "100", "0/s", "-1/s", "1.5/s", "100/d", "100 / s", "off/s", "1000001/s", "\u0661/s"],
)
def test_anything_else_is_an_error_that_names_the_setting(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'rate_limit_get' debe ser N/s, N/min, N/h u off"):
        Limits(chosen(tmp_path, rate_limit_get=text))


# The window


def most_in_a_window(times: list[int], window: int) -> int:
    """How many fall into the fullest window, by looking at each that begins with one of them."""
    return max(sum(begin <= t < begin + window for t in times) for begin in times)


@pytest.mark.parametrize("seed", range(4))
def test_no_window_lets_one_too_many_through_and_none_many_too_few(
    seed: int, tmp_path: Path
) -> None:
    """Against a plain list of times; bursts and pauses, at any place relative to the parts."""
    rate, window = Rate("test", 20, 1), S
    clock = Clock()
    counted = in_folder(tmp_path, clock)
    random_ = random.Random(seed)
    taken_at: list[int] = []
    for _ in range(1500):
        clock.now += random_.choice([0, 1, 10**6, 10**7, 10**8, 3 * 10**8])
        told = counted.take(rate, "a")
        recent = sum(t > clock.now - window for t in taken_at)
        a_little_more = sum(t > clock.now - window * 33 // 32 for t in taken_at)
        if told.allowed:
            assert recent < rate.count
            taken_at.append(clock.now)
        else:
            assert a_little_more >= rate.count
    assert len(taken_at) > 200
    assert most_in_a_window(taken_at, window) == rate.count


def test_what_is_left_and_when_to_try_again_are_true(tmp_path: Path) -> None:
    clock = Clock()
    counted = in_folder(tmp_path, clock)
    rate = Rate("test", 3, 60)
    assert [counted.take(rate, "a").left for _ in range(3)] == [2, 1, 0]
    told = counted.take(rate, "a")
    assert (told.allowed, told.left) == (False, 0)
    assert 60 <= told.retry_s <= 62
    wait = round(told.retry_s * S)
    clock.now += wait - 1
    assert not counted.take(rate, "a").allowed
    clock.now += 1
    assert counted.take(rate, "a").allowed


def test_each_caller_and_each_rate_counts_apart(tmp_path: Path) -> None:
    counted = in_folder(tmp_path)
    one = Rate("test", 1, 60)
    assert counted.take(one, "a").allowed and counted.take(one, "b").allowed
    assert counted.take(Rate("other", 1, 60), "a").allowed
    assert not counted.take(one, "a").allowed and not counted.take(one, "b").allowed


def test_a_clock_that_starts_again_starts_the_window_again(tmp_path: Path) -> None:
    """After a restart of the machine; the file is older than its clock."""
    clock = Clock()
    counted = in_folder(tmp_path, clock)
    one = Rate("test", 1, 3600)
    assert counted.take(one, "a").allowed and not counted.take(one, "a").allowed
    clock.now = 5 * S
    assert counted.take(one, "a").allowed and not counted.take(one, "a").allowed


def test_the_clock_on_the_wall_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Limits(chosen(tmp_path))
    for jump in (0.0, 3600.0, -3600.0, 3.2e8):
        now = time.time() + jump
        monkeypatch.setattr(time, "time", partial(float, now))
        for _ in range(50):
            counted.take(HUNDRED, "a")
    assert not counted.take(HUNDRED, "a").allowed


def test_a_table_that_is_full_forgets_who_was_away_longest(tmp_path: Path) -> None:
    clock = Clock()
    counted = in_folder(tmp_path, clock)
    one = Rate("test", 2, 3600)
    told = [counted.take(one, "regular")]
    for number in range(12_000):
        clock.now += 1000
        assert counted.take(one, f"passer-by {number}").allowed
        if number % 100 == 0:
            told.append(counted.take(one, "regular"))
    assert [one.allowed for one in told] == [True, True] + [False] * 119
    assert (tmp_path / "access" / FILE).stat().st_size < 2**20


def test_strangers_of_any_number_of_networks_drive_no_key_out(tmp_path: Path) -> None:
    clock = Clock()
    counted = in_folder(tmp_path, clock)
    one = Rate("test", 1, 3600)
    keys = [f"key {number}" for number in range(100)]
    assert all(counted.take(one, key).allowed for key in keys)
    for number in range(6000):
        clock.now += 1000
        counted.take(one, network(ipaddress.IPv4Address(number)))
    assert not any(counted.take(one, key).allowed for key in keys)


def entries(state: Path) -> set[bytes]:
    """What the file of an installation calls those whom it has counted."""
    data = (state / "access" / FILE).read_bytes()[: limits._SETS * limits._SET_BYTES]
    size = limits._SLOT.size
    return {data[at : at + 16] for at in range(0, len(data), size)} - {bytes(16)}


def test_nobody_outside_can_work_out_which_place_a_network_has(tmp_path: Path) -> None:
    """Or eight networks would be enough to make the count of another one be forgotten."""
    states = (tmp_path / "one", tmp_path / "two")
    for state in states:
        in_folder(state).take(HUNDRED, "net 203.0.113.77")
        in_folder(state).take(HUNDRED, "net 203.0.113.77")
    first, second = (entries(state) for state in states)
    assert len(first) == len(second) == 1, "all processes of one installation agree"
    assert first != second


def test_counts_of_before_a_restart_of_the_machine_make_way_first(tmp_path: Path) -> None:
    """Their times are later than any of the clock that has begun again."""
    clock = Clock()
    counted = in_folder(tmp_path, clock)
    one = Rate("test", 1, 3600)
    for number in range(12_000):
        clock.now += 1000
        counted.take(one, f"of before {number}")
    clock.now = 5 * S
    fresh = [f"of now {number}" for number in range(100)]
    for who in fresh:
        clock.now += 1000
        assert counted.take(one, who).allowed
    assert not any(counted.take(one, who).allowed for who in fresh)


# Who is who


def test_a_key_counts_wherever_it_is_used_and_a_subscriber_of_ipv6_is_one() -> None:
    here, there = ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("10.0.0.2")
    key = Caller("dialler", "caller", "key", "0a1b2c3d")
    assert identity(key, here) == identity(key.as_session(), there)
    local = Caller("esta máquina", "admin", "local")
    assert identity(local, here) != identity(local, there)
    token = Caller("crm", "caller", "token")
    assert identity(token, here) == identity(token, there) != identity(key, here)
    own = ("2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:1:8000::")
    same = {network(ipaddress.ip_address(address)) for address in own}
    assert len(same) == 1
    assert network(ipaddress.ip_address("2001:db8:0:2::1")) not in same
    assert network(None) == network(None)


# Several processes

WORKER = """
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from propensia import settings
from propensia.access import limits
from propensia.access.limits import Limits, Rate
limits.PATIENCE_S = 30  # what a process that stands still is counted by is another test
counted = Limits(replace(settings.load({}), state=Path(sys.argv[1])))
rate = Rate("test", 100, 60)
print("ready", flush=True)
sys.stdin.readline()
print(sum(counted.take(rate, sys.argv[2]).allowed for _ in range(int(sys.argv[3]))), flush=True)
sys.stdin.readline()
"""


def worker(state: Path, who: str, count: int) -> subprocess.Popen[str]:
    """A process that waits for a line, then asks so often."""
    arguments = [sys.executable, "-c", WORKER, str(state), who, str(count)]
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments, stdin=pipe, stdout=pipe, encoding="utf-8")


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@contextlib.contextmanager
def workers(state: Path, who: str, *counts: int) -> Iterator[list[subprocess.Popen[str]]]:
    found = [worker(state, who, count) for count in counts]
    try:
        assert [line(one) for one in found] == ["ready"] * len(counts)
        yield found
    finally:
        for one in found:
            one.kill()
            one.communicate()


def test_four_processes_share_one_limit_also_when_one_is_killed(tmp_path: Path) -> None:
    with workers(tmp_path, "a", 40, 40, 1000, 1000) as (first, victim, third, fourth):
        go(first)
        assert line(first) == "40"
        go(victim)
        assert line(victim) == "40"
        victim.kill()
        go(third)
        go(fourth)
        assert int(line(third)) + int(line(fourth)) == 20
    assert Limits(chosen(tmp_path)).take(HUNDRED, "b").left == 99


HOLDER = """
import os, sys
from propensia import locks
from propensia.access import limits
handle = os.open(sys.argv[1], os.O_RDWR)
end = limits._SETS * limits._SET_BYTES
assert all(locks.lock_byte(handle, end + which) for which in range(limits._SETS))
print("ready", flush=True)
sys.stdin.readline()
"""


def test_a_process_that_stands_still_while_it_counts_stops_nobody(tmp_path: Path) -> None:
    counted = Limits(chosen(tmp_path))
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "access" / FILE)]
    pipe = subprocess.PIPE
    holder = subprocess.Popen(command, stdin=pipe, stdout=pipe, encoding="utf-8")
    try:
        assert line(holder) == "ready"
        assert [counted.take(Rate("test", 1, 60), "a").allowed for _ in range(2)] == [True, False]
    finally:
        holder.kill()
        holder.communicate()


# A file that cannot be used


def test_without_its_file_every_process_counts_alone_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "access").write_text("a file where the folder should be", encoding="utf-8")
    with caplog.at_level(logging.ERROR):
        counted = in_folder(tmp_path)
        assert sum(counted.take(HUNDRED, "a").allowed for _ in range(200)) == 100
    assert counted.problem is not None and "cada proceso cuenta por su lado" in counted.problem
    assert len(caplog.records) == 1


def test_a_file_that_can_be_used_again_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, other = in_folder(tmp_path), in_folder(tmp_path)

    def full(*ignored: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(limits._File, "write", full)
        assert counted.take(HUNDRED, "a").left == 99
        assert counted.problem is not None and "No space left" in counted.problem
    assert counted.take(HUNDRED, "a").left == 99, "here nothing was counted"
    assert other.take(HUNDRED, "a").left == 98
    assert counted.problem is None


def test_a_name_that_is_no_utf_8_is_counted_as_any_other(tmp_path: Path) -> None:
    counted, one = in_folder(tmp_path), Rate("test", 1, 60)
    odd = identity(Caller("\udc80", "caller", "token"), None)
    assert [counted.take(one, odd).allowed for _ in range(2)] == [True, False]


def test_a_file_that_was_cut_counts_again_from_nothing(tmp_path: Path) -> None:
    counted = in_folder(tmp_path)
    one = Rate("test", 1, 60)
    assert counted.take(one, "a").allowed
    (tmp_path / "access" / FILE).write_bytes(b"")
    assert counted.take(one, "a").allowed
    assert not counted.take(one, "a").allowed
    assert counted.problem is None


def test_the_file_holds_no_name_and_no_address(tmp_path: Path) -> None:
    counted = in_folder(tmp_path)
    counted.take(HUNDRED, "key 0a1b2c3d")
    counted.take(HUNDRED, network(ipaddress.ip_address("203.0.113.77")))
    data = (tmp_path / "access" / FILE).read_bytes()
    assert any(data)
    assert b"0a1b2c3d" not in data and b"203.0" not in data


# Redis

# Where it is not what is tested that Redis is slow, a slow machine must not make it so.
PATIENT_S = 30.0
REDIS = shutil.which("redis-server")
with_redis = pytest.mark.skipif(REDIS is None, reason="no redis-server (apt install redis-server)")


@contextlib.contextmanager
def redis_server(port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    options = ["--port", str(port), "--save", "", "--dir", str(folder), "--bind", "127.0.0.1"]
    process = subprocess.Popen([str(REDIS), *options], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


@with_redis
def test_machines_that_share_a_redis_share_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_limits, "TIMEOUT_S", PATIENT_S)
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    with redis_server(port, tmp_path):
        machines = [
            Limits(chosen(tmp_path / name, redis_url=url)) for name in ("one", "two", "three")
        ]
        began = time.monotonic()
        told = [machine.take(HUNDRED, "a") for _ in range(70) for machine in machines]
        took_s = time.monotonic() - began
        assert [one.allowed for one in told] == [True] * 100 + [False] * 110
        assert [one.left for one in told[:100]] == list(range(99, -1, -1))
        assert all(60 - took_s <= one.retry_s <= 62 for one in told[100:])
        assert machines[0].take(HUNDRED, "b").left == 99
        assert [machine.problem for machine in machines] == [None] * 3


@with_redis
def test_a_redis_lets_a_window_of_one_second_through_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clock cannot be set: this waits for real, as long as it is told to."""
    monkeypatch.setattr(redis_limits, "TIMEOUT_S", PATIENT_S)
    port = free_port()
    with redis_server(port, tmp_path):
        counted = Limits(chosen(tmp_path, redis_url=f"redis://127.0.0.1:{port}/0"))
        rate = Rate("test", 5, 1)
        while not (told := counted.take(rate, "a")).retry_s:
            pass
        time.sleep(told.retry_s + 0.005)
        assert counted.take(rate, "a").allowed


@with_redis
def test_a_redis_that_goes_away_is_told_and_counted_without_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_limits, "TIMEOUT_S", PATIENT_S)
    monkeypatch.setattr(redis_limits, "PAUSE_S", 0.05)
    port = free_port()
    counted = Limits(chosen(tmp_path, redis_url=f"redis://127.0.0.1:{port}/0"))
    assert counted.take(HUNDRED, "a").left == 99, "not there at the start: counted here"
    assert counted.problem is not None and "Redis no responde" in counted.problem
    with redis_server(port, tmp_path) as server:
        await_back(counted)
        assert counted.take(HUNDRED, "a").left == 99, "its own count"
        server.kill()
        server.wait()
        assert counted.take(HUNDRED, "a").left == 98, "and ours again"
        assert counted.problem is not None
    with redis_server(port, tmp_path):
        await_back(counted)


def await_back(counted: Limits) -> None:
    deadline = time.monotonic() + 30
    while counted.problem is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_redis_that_says_nothing_makes_nobody_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts, and never answers: one request waits for a moment, the others not at all."""
    # Its thread would ask that port for as long as the tests run, whoever has it then.
    monkeypatch.setattr(RedisCounts, "_wait", lambda counts: None)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"redis://:s3cr3t@127.0.0.1:{mute.getsockname()[1]}/0"
        counted = Limits(chosen(tmp_path, redis_url=url))
        began = time.monotonic()
        assert [counted.take(HUNDRED, "a").left for _ in range(50)] == list(range(99, 49, -1))
        assert time.monotonic() - began < 5
        assert counted.problem is not None and "s3cr3t" not in counted.problem


@pytest.mark.parametrize("url", ["servidor:6379", "http://servidor", "redis://servidor:x/0"])
def test_an_address_that_is_none_is_an_error(url: str) -> None:
    with pytest.raises(SettingsError, match="redis_url"):
        RedisCounts.of(url)


def test_a_redis_without_its_library_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(SettingsError, match=r"pip install propensia\[redis\]"):
        RedisCounts.of("redis://servidor/0")


def test_the_parts_make_up_a_window() -> None:
    for window_s in limits.UNITS_S.values():
        assert sliding.part_ns(window_s) * (sliding.PARTS - 1) == window_s * S
