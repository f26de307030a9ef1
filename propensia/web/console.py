"""``propensia serve``: prepare a first model, say the address to try, and run a server.

It composes; the server modules do the rest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import click

from propensia import contract as contracts
from propensia import processes, settings
from propensia.access import Access
from propensia.contract import Contract
from propensia.registry import Registry
from propensia.settings import Settings, SettingsError
from propensia.web import servers
from propensia.web.listen import Listen, ServerError, is_loopback


def serve(given: Mapping[str, Any]) -> None:
    """Serve until Ctrl-C; ``given`` are settings that the command line overrides."""
    chosen = replace(settings.load(), **given)
    contract = contracts.load(chosen.contract)
    registry = Registry(chosen.state)
    registry.prepare()
    _refuse_strangers(chosen)
    # The workers load their settings themselves: hand ours over the one way they know.
    os.environ.update(settings.as_environment(chosen))
    try:
        _first_model(registry)
        workers = chosen.workers or servers.default_workers(chosen.server, processes.free_memory())
        listen = Listen(
            chosen.host, chosen.port, workers, header_timeout_s=chosen.header_timeout_s
        )
        _announce(chosen, contract, registry, workers)
        processes.give_back_memory()  # from now on this process only supervises
        servers.run(chosen.server, "propensia.web.app:create_app", listen)
    except ServerError as error:
        raise SettingsError(str(error)) from error


def _refuse_strangers(chosen: Settings) -> None:
    """Raise ``SettingsError`` where other machines could ask and nobody has a key."""
    if is_loopback(chosen.host) or chosen.insecure or Access(chosen).is_closed:
        return
    raise SettingsError(
        f"{chosen.host} se alcanza desde otras máquinas y no hay ninguna clave. Cree una con "
        "«propensia keys create NOMBRE --role admin», o arranque con --insecure si la red ya "
        "protege el servicio. / Other machines reach this address and there is no key: make one "
        "with 'propensia keys create NAME --role admin', or start with --insecure."
    )


def _first_model(registry: Registry) -> None:
    """Let another process see to a first model: this one will only supervise, and stay small."""
    if registry.current_number() == 0 and processes.show("propensia.keeper", "first") != 0:
        raise SettingsError("no se pudo preparar un primer modelo; la causa está más arriba")


def _announce(chosen: Settings, contract: Contract, registry: Registry, workers: int) -> None:
    base = f"http://{chosen.host}:{chosen.port}"
    query = urlencode(contract.example())
    current = registry.current()
    waiting = "todavía ninguno; se comprueban los ficheros de la carpeta"
    model = f"{current.model} ({current.version})" if current else waiting
    click.echo(f"Modelo:      {model}")
    click.echo(f"Carpeta:     {chosen.models}  (deje aquí el PKL de cada mes)")
    click.echo(
        f"Servidor:    {chosen.server}, {workers} {'procesos' if workers > 1 else 'proceso'}"
    )
    click.echo(f"Formulario:  {base}/")
    click.echo(f"Pruebe:      {base}/prediccion?{query}")
    if not is_loopback(chosen.host) and not Access(chosen).is_closed:
        click.echo(
            "Atención:    escucha también fuera de esta máquina y no pide claves; "
            "póngalo detrás de un proxy o de un cortafuegos.",
            err=True,
        )
