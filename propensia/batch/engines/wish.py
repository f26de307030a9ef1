"""Which engine scores the blocks of a run: processes of this machine, or a cluster of Dask.

It decides by what was typed; a cluster's library is loaded only where one is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

from propensia.access.networks import is_loopback
from propensia.batch.engines import pool
from propensia.batch.errors import WrongUse
from propensia.batch.run import Pieces
from propensia.batch.worker.scoring import Task

LOCAL, DASK = NAMES = ("local", "dask")

# Host and port of the addresses that Dask gives; one of IPv6 is in brackets.
_address = re.compile(
    r"(tcp|tls)://(?:\[([0-9A-Fa-f:.%]+)\]|([^\[\]:/@\s]+)):([0-9]{1,5})"
).fullmatch


@dataclass(frozen=True, slots=True)
class EngineWish:
    """What was typed of it. ``workers``: processes of this machine, or blocks at a time on a
    cluster; ``None`` is all. ``scheduler``: the address of a cluster's; without one, ``dask``
    makes a cluster on this machine for the run. ``insecure``: it may be reached without TLS."""

    name: str = LOCAL
    workers: int | None = None
    scheduler: str | None = None
    insecure: bool = False

    def refuse(self) -> None:
        """Raise ``WrongUse`` for options that do not go together, for what is no address, and
        for one where anybody on the way could read the portfolio and have workers run code."""
        if self.scheduler is None:
            if self.insecure:
                raise WrongUse("--insecure va con --scheduler")
            return
        if self.name != DASK:
            raise WrongUse("--scheduler va con --engine dask")
        found = _address(self.scheduler)
        if found is None:
            raise WrongUse(
                "--scheduler: una dirección tls://MÁQUINA:PUERTO o tcp://MÁQUINA:PUERTO"
            )
        if found[1] == "tcp" and not self.insecure and not is_loopback(found[2] or found[3]):
            raise WrongUse(
                "--scheduler: por tcp:// cualquiera en la red podría leer la cartera y mandar a "
                "los procesos que puntúan. Use tls:// con certificados, o --insecure si la red "
                "ya lo impide"
            )

    def pieces(self, task: Task) -> Pieces:
        """What turns blocks into pieces, in their order. Raises ``WrongUse`` where its library is
        missing."""
        if self.name == LOCAL:
            return partial(pool.pieces, task, workers=self.workers or pool.cores())
        try:
            # Here, because only who has a cluster installs it, and it takes half a second.
            from propensia.batch.engines import cluster
        except ModuleNotFoundError as error:
            raise WrongUse(
                "--engine dask: falta la biblioteca; instale propensia con su extra «cluster»"
            ) from error
        return partial(cluster.pieces, task, where=cluster.Where(self.scheduler, self.workers))
