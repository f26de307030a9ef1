"""``propensia serve``: prepare a first model, say the address to try, and run a server.

It composes; the server modules do the rest.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import click

from propensia import contract as contracts
from propensia import processes, settings
from propensia.access import Access, limits
from propensia.access.keys import AccessError
from propensia.access.networks import is_loopback
from propensia.access.tokens import algorithms
from propensia.contract import Contract
from propensia.registry import Registry
from propensia.settings import Settings, SettingsError
from propensia.web import certificates, servers
from propensia.web.form_limits import limit_bytes, portfolio_limit_bytes
from propensia.web.listen import Listen, ServerError
from propensia.web.routes import Bodies

OPENS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""To listen there is to listen at every address of this machine; one that a browser here opens."""


def serve(given: Mapping[str, Any]) -> None:
    """Serve until Ctrl-C; ``given`` are settings that the command line overrides."""
    chosen = replace(settings.load(), **given)
    contract = contracts.load(chosen.contract)
    registry = Registry(chosen.state)
    registry.prepare()
    access = _access(chosen)
    certificate = certificates.chosen_files(chosen)
    _check_provider(chosen)
    limits.check(chosen)
    # The workers load their settings themselves: hand ours over the one way they know.
    os.environ.update(settings.as_environment(chosen))
    try:
        _first_model(registry)
        workers = chosen.workers or servers.default_workers(chosen.server, processes.free_memory())
        listen = Listen(
            chosen.host,
            chosen.port,
            workers,
            header_timeout_s=chosen.header_timeout_s,
            bodies=Bodies(
                chosen.max_batch_size, limit_bytes(chosen), portfolio_limit_bytes(chosen)
            ),
            certificate=certificate,
        )
        _announce(chosen, access, contract, registry, workers)
        processes.give_back_memory()  # from now on this process only supervises
        servers.run(chosen.server, "propensia.web.app:create_app", listen)
    except ServerError as error:
        raise SettingsError(str(error)) from error


def _access(chosen: Settings) -> Access:
    """Who may ask. Raises ``SettingsError`` where that cannot be known, or where other machines
    could ask and nobody has a key."""
    try:
        access = Access(chosen)
    except AccessError as error:
        raise SettingsError(f"no se arranca: {error}") from error
    if is_loopback(chosen.host) or chosen.insecure or access.is_closed:
        return access
    raise SettingsError(
        f"{chosen.host} se alcanza desde otras máquinas y no hay ninguna clave. Cree una con "
        "«propensia keys create NOMBRE --role admin», o arranque con --insecure si la red ya "
        "protege el servicio. / Other machines reach this address and there is no key: make one "
        "with 'propensia keys create NAME --role admin', or start with --insecure."
    )


def _check_provider(chosen: Settings) -> None:
    """Let another process look at the keys of tokens: this one will only supervise, and stay
    small. Raises ``SettingsError`` where they cannot be used."""
    named = ",".join(sorted(algorithms(chosen)))
    if chosen.jwt_keys and processes.show("propensia.access.provider", chosen.jwt_keys, named):
        raise SettingsError("el ajuste 'jwt_keys' no sirve; la causa está más arriba")


def _first_model(registry: Registry) -> None:
    """Let another process see to a first model: this one will only supervise, and stay small."""
    if registry.current_number() == 0 and processes.show("propensia.keeper", "first") != 0:
        raise SettingsError("no se pudo preparar un primer modelo; la causa está más arriba")


def _announce(
    chosen: Settings, access: Access, contract: Contract, registry: Registry, workers: int
) -> None:
    base = _address(chosen, OPENS.get(chosen.host, chosen.host))
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
    if chosen.host in OPENS:
        outside = _address(chosen, socket.gethostname())
        click.echo(f"Desde fuera: {outside}/, o por otro nombre de esta máquina")
    click.echo(f"Claves:      {_keys_sentence(access)}")
    if not is_loopback(chosen.host) and not access.is_closed:
        click.echo(
            "Atención:    escucha también fuera de esta máquina y no pide claves; "
            "póngalo detrás de un proxy o de un cortafuegos.",
            err=True,
        )


def _address(chosen: Settings, host: str) -> str:
    name = f"[{host}]" if ":" in host else host  # RFC 3986, 3.2.2
    return f"http{'s' if chosen.tls_certificate else ''}://{name}:{chosen.port}"


def _keys_sentence(access: Access) -> str:
    if not access.is_closed:
        return "no se piden; haga una con «propensia keys create» antes de poner un proxy delante"
    count = access.keys.count_good(time.time())
    tokens = ", y los tokens del proveedor de identidad" if access.tokens is not None else ""
    good = "1 vale" if count == 1 else f"{count} valen"
    return f"se piden, en la cabecera X-API-Key; {good}{tokens}"
