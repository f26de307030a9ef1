"""``propensia sign``: leaves a signature beside a file, or makes a key to sign with.

It never overwrites a key, nor anything that is not a signature of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from propensia import files, inbox, reception, settings, signing
from propensia.admission.refusal import Refusal, shown
from propensia.registry import now
from propensia.settings import Settings, SettingsError
from propensia.signing import SignatureError
from propensia.terminal import Exit


def run(file: Path | None, key: Path, variable: str | None, why: str) -> Exit:
    """Sign ``file`` with the private key ``key``, or make that key when there is no file.

    ``variable``: the environment variable with the passphrase; ``None`` asks for it. Raises
    ``SettingsError`` and ``OSError``.
    """
    try:
        if file is None:
            return _make(key, variable, settings.load())
        return _sign(file, key, variable, why, settings.load())
    except SignatureError as error:
        return _refused(f"no se ha hecho nada: {error.detail}")
    except Refusal as refusal:
        return _refused(f"no se ha hecho nada: {refusal.text('es')}")
    except click.Abort:
        return _refused("no se ha hecho nada: falta la frase de paso (o --passphrase VARIABLE)")


def _sign(file: Path, key: Path, variable: str | None, why: str, chosen: Settings) -> Exit:
    unsigned = replace(chosen, signatures="off")  # whatever signature lies there already
    dropped = reception.read_dropped(inbox.look_at(file), unsigned)
    path = file.with_name(file.name + inbox.SIGNATURE_SUFFIX)
    again = path.exists()
    if again and not signing.read(path).startswith(signing.FIRST_LINE.encode()):
        return _refused(f"{path} no es una firma de Propensia; muévalo, que no se sobrescribe")
    data = files.read(key, signing.KEY_LIMIT_BYTES)
    asks = signing.is_encrypted(data)
    phrase = _passphrase(variable, lambda: _ask(f"Frase de paso de {key}")) if asks else ""
    private = signing.private_key(data, phrase)
    signature = signing.sign(
        private, dropped.data, dropped.sidecar, signed=now(), why=why or shown(file.name)
    )
    files.write(path, signature)
    with_it = "sin ficha" if dropped.sidecar is None else "con su ficha"
    click.echo(f"Firmado {shown(file.name)}, {with_it}; clave {signing.parse(signature)[0].key}")
    click.echo(f"Firma: {path}{', en lugar de la anterior' if again else ''}")
    return Exit.DONE


def _make(key: Path, variable: str | None, chosen: Settings) -> Exit:
    public = key.with_suffix(signing.TRUSTED)
    if key.suffix != ".pem":
        return _refused(f"{key}: el nombre de la clave privada debe acabar en .pem")
    for path in (key, public):
        if path.exists():
            return _refused(f"{path} ya existe, y una clave no se sobrescribe")
    phrase = _passphrase(variable, _ask_twice)
    made = signing.new_key(key, public, phrase)
    click.echo(f"Clave {made}")
    click.echo(f"Privada: {key}, {'cifrada' if phrase else 'sin cifrar'}; no la dé a nadie")
    click.echo(f"Pública: {public}; cópiela en el servidor, en {chosen.signature_keys}")
    return Exit.DONE


def _passphrase(variable: str | None, ask: Callable[[], str]) -> str:
    if variable is None:
        return ask()
    text = settings.variable(variable)
    if text is None:
        raise SettingsError(f"no existe la variable de entorno {variable}")
    return text


def _ask(question: str) -> str:
    return str(click.prompt(question, hide_input=True, default="", show_default=False))


def _ask_twice() -> str:
    phrase = _ask("Frase de paso (vacía: sin cifrar)")
    if phrase != _ask("Otra vez"):
        raise SignatureError("las dos frases no son iguales", "the two passphrases differ")
    return phrase


def _refused(sentence: str) -> Exit:
    click.echo(sentence, err=True)
    return Exit.REFUSED
