"""The background threads of a web process: follow keys and pointer, keep a keeper alive.

They never answer requests, and no request waits for them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from propensia import locks, processes, settings
from propensia.access import Access
from propensia.recording import Recorder
from propensia.serving import Serving
from propensia.settings import Settings
from propensia.web.request_log import RequestLog
from propensia.web.tally import Tally

log = logging.getLogger(__name__)

TICK_S = 0.5
NOTE_S = 1.0
KEEPER_START_S = 5.0
TOLD = (
    *("host", "insecure", "open_networks", "trusted_proxies", "jwt_keys", "jwt_audience"),
    *("four_eyes", "signatures"),
)
"""Settings on which rests who may call and publish: what was typed at the start, or was changed
since, ``doctor`` cannot see otherwise. None of them is a secret."""


class Ticker:
    """Ticks serving and access twice a second and sees to it that some keeper runs."""

    def __init__(
        self,
        serving: Serving,
        access: Access,
        record: RequestLog,
        tally: Tally,
        recorder: Recorder,
        chosen: Settings,
        sample: Callable[[], None],
    ) -> None:
        """``sample`` is called with every tick, and raises nothing."""
        self._serving = serving
        self._access = access
        self._record = record
        self._tally = tally
        self._recorder = recorder
        self._sample = sample
        self._settings = chosen
        self._told = {name: getattr(chosen, name) for name in TOLD}
        self._keeper: processes.Process | None = None
        self._next_start = 0.0
        self._next_note = 0.0

    def load(self) -> None:
        """Load what is published now, and no more."""
        self._recorder.open()
        self._serving.tick()

    def start(self) -> None:
        """Load what is published now, then go on in threads of this process."""
        self._keeper = None
        self._serving.new_process()
        self._record.tick()
        self._tally.open()
        self._recorder.open()
        try:
            self._serving.tick()
        except Exception as error:  # as in the thread: a worker that starts can still catch up
            log.error("tick: %r", error)
        self._access.tick()
        # Keys apart: a model that loads slowly must not keep a revoked one alive.
        turns = (
            ("keys", self._access.tick, TICK_S),
            ("journal", self._recorder.tick, self._recorder.tick_s),
            ("ticker", self._once, TICK_S),
        )
        for name, *how in turns:
            threading.Thread(target=_forever, args=how, name=name, daemon=True).start()

    def _once(self) -> None:
        self._record.tick()
        self._tally.tick()
        self._sample()
        self._serving.tick()
        now = time.monotonic()
        if now >= self._next_note:
            self._next_note = now + NOTE_S
            self._serving.report({"ajustes": self._told})
            self._see_to_keeper(now)

    def _see_to_keeper(self, now: float) -> None:
        if self._keeper is not None and self._keeper.poll() is None:
            return
        self._keeper = None
        if now < self._next_start or not locks.is_free(self._settings.state / "keeper.lock"):
            return
        self._next_start = now + KEEPER_START_S
        environment = settings.as_environment(self._settings)
        self._keeper = processes.start("propensia.keeper", environment)


def _forever(turn: Callable[[], None], pause_s: float) -> None:
    """Call ``turn`` every ``pause_s``, without end, whatever it raises."""
    failed = ""
    while True:
        try:
            turn()
            failed = ""
        except Exception as error:  # the thread must outlive whatever the machine does
            if failed != (failed := repr(error)):  # once, not twice a second
                log.exception("tick failed")
        time.sleep(pause_s)
