"""The same counts in a Redis, for several machines that share one limit.

It must never make a caller wait for a Redis that is away, and never write down its address, which
may hold a password.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from propensia.access.sliding import PARTS, Taken
from propensia.settings import SettingsError

if TYPE_CHECKING:
    from redis import Redis

log = logging.getLogger(__name__)

PREFIX = "propensia:limit:"
TIMEOUT_S = 0.1
PAUSE_S = 2.0
"""How long a Redis that did not answer is left alone."""

# As in ``sliding``: a count for each part, the newest PARTS of them, on the clock of Redis (µs).
# A part that lies in the future was counted before that clock was set back, and is forgotten.
SCRIPT = """
local limit, part, parts = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local current = math.floor(now / part)
local counts, total = {}, 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local index = tonumber(all[i])
  if index <= current - parts or index > current then
    redis.call('HDEL', KEYS[1], all[i])
  else
    counts[index] = tonumber(all[i + 1])
    total = total + counts[index]
  end
end
if total < limit then
  redis.call('HINCRBY', KEYS[1], string.format('%.0f', current), 1)
  redis.call('PEXPIRE', KEYS[1], math.ceil(part * parts / 1000))
  return {limit - total - 1, 0}
end
local over = total - limit + 1
local index = current - parts
repeat
  index = index + 1
  over = over - (counts[index] or 0)
until over <= 0
return {-1, (index + parts) * part - now}
"""


class RedisCounts:
    """Counts in one Redis. Safe for threads."""

    def __init__(self, client: Redis) -> None:
        self.problem: str | None = None
        self._client = client
        self._script = client.register_script(SCRIPT)
        self._noting = threading.Lock()

    @classmethod
    def of(cls, url: str) -> RedisCounts | None:
        """The counts that the setting ``redis_url`` asks for; ``None`` where it is empty.

        Nothing is asked yet: a Redis that is away must not keep the service from starting. Raises
        ``SettingsError`` for an address that is none, and where the library is not installed.
        """
        if not url:
            return None
        try:
            import redis  # optional: only where several machines share one limit
        except ImportError as error:
            raise SettingsError(
                "el ajuste 'redis_url' necesita la biblioteca redis: pip install propensia[redis]"
            ) from error
        try:
            client = redis.Redis.from_url(
                url,
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
                retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
            )
        except ValueError:
            raise SettingsError(
                "el ajuste 'redis_url' no es una dirección como redis://servidor:6379/0"
            ) from None
        return cls(client)

    def answers(self) -> bool:
        """Whether Redis answers, and lets us in, at this moment."""
        try:
            return bool(self._client.ping())
        except Exception:  # of redis-py or of sockets: away, for whatever reason
            return False

    def take(self, id: bytes, limit: int, window_s: int) -> Taken | None:
        """Count one request, unless it is one too many; ``None`` while Redis is away."""
        if self.problem is not None:
            return None
        part_us = window_s * 1_000_000 // (PARTS - 1)
        try:
            left, wait_us = self._asked(id, [limit, part_us, PARTS])
        except Exception as error:  # of redis-py, of sockets, or a script that Redis refuses
            self._away(error)
            return None
        return Taken(left >= 0, limit, window_s, max(left, 0), max(wait_us, 0) / 1e6)

    def _asked(self, id: bytes, arguments: list[int]) -> tuple[int, int]:
        left, wait_us = self._script(keys=[f"{PREFIX}{id.hex()}"], args=arguments)
        return int(left), int(wait_us)

    def _away(self, error: Exception) -> None:
        with self._noting:
            if self.problem is not None:
                return
            self.problem = "límites: Redis no responde; cada máquina cuenta por su lado"
        log.error("limits: Redis is away, this machine counts alone: %s", type(error).__name__)
        threading.Thread(target=self._wait, name="redis", daemon=True).start()

    def _wait(self) -> None:
        """Ask again until Redis answers: no caller waits for a name that nobody resolves."""
        while True:
            time.sleep(PAUSE_S)
            if not self.answers():
                continue
            self.problem = None
            log.warning("limits: Redis answers again")
            return
