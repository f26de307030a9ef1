"""The settings, each once: name, type, default and help in one table.

Values come from ``propensia.toml``, then from the environment (``PROPENSIA_NAME``), which wins.
An unknown key is an error that names the nearest one; nothing else reads the environment.
"""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# What a person must write for each type of setting.
KINDS = {
    int: "un número entero",
    float: "un número",
    bool: "sí o no",
    str: "un texto",
    type(Path()): "una carpeta",
}
YES_OR_NO = {"1": True, "true": True, "si": True, "sí": True, "yes": True}
YES_OR_NO |= {"0": False, "false": False, "no": False}
SERVERS = ("granian", "gunicorn", "waitress")
SIGNATURES = ("off", "required")
UNKNOWN_MODELS = ("refuse", "sandbox")
JOURNALS = ("required", "optional", "off")
ADDRESSES = {"alert_webhook": ("http", "https"), "smtp_url": ("smtp", "smtps")}
MOST_BANDS = 26
"""A letter each."""
PREFIX = "PROPENSIA_"
FILE = "propensia.toml"


class SettingsError(Exception):
    """A setting is unknown or has a wrong value; the text says which, and what it takes."""


def _setting(
    default: Any,
    help: str,
    least: float | None = None,
    most: float | None = None,
    *,
    secret: bool = False,
) -> Any:
    told = {"help": help, "least": least, "most": most, "secret": secret}
    return field(default=default, metadata=told, repr=not secret)


# ruff: noqa: RUF009 - the calls below only describe fields, and their defaults are immutable
@dataclass(frozen=True, slots=True)
class Settings:
    """One value per row of the table; make it with ``load``."""

    models: Path = _setting(Path("models"), "Carpeta donde los analistas dejan los PKL")
    state: Path = _setting(Path("var"), "Carpeta local con todo lo que es del programa")
    contract: str = _setting("cobranza", "Contrato: un nombre incluido o la ruta de un TOML")
    host: str = _setting("127.0.0.1", "Dirección en la que escucha")
    port: int = _setting(5000, "Puerto en el que escucha", 0, 65535)
    server: str = _setting("granian", f"Servidor: {', '.join(SERVERS)}")
    workers: int = _setting(0, "Procesos que responden; 0: los que convienen a la máquina", 0)
    poll_seconds: float = _setting(
        0.0, "Cada cuánto se mira la carpeta; 0: 1 s, o 5 s en una unidad de red", 0
    )
    stable_polls: int = _setting(3, "Miradas sin cambios antes de comprobar un fichero", 1)
    max_file_mb: int = _setting(200, "Tamaño máximo de un PKL", 1)
    max_unpacked_mb: int = _setting(1024, "Tamaño máximo de un PKL ya descomprimido", 1)
    admission_seconds: int = _setting(60, "Tiempo máximo para comprobar un PKL", 1)
    admission_memory_mb: int = _setting(4096, "Memoria máxima para comprobar un PKL", 256)
    signatures: str = _setting("off", f"Firma de los PKL: {', '.join(SIGNATURES)}")
    signature_keys: Path = _setting(
        Path("keys"), "Carpeta de las claves públicas de confianza, a partir de la de state"
    )
    unknown_models: str = _setting(
        "refuse", f"Familias que no se saben leer: {', '.join(UNKNOWN_MODELS)}"
    )
    keep_versions: int = _setting(24, "Versiones que se guardan, además de activa y anterior", 0)
    header_timeout_s: float = _setting(10.0, "Tiempo máximo para recibir una cabecera", 1)
    demonstration: bool = _setting(True, "Crear un modelo de demostración si no hay ninguno")
    insecure: bool = _setting(
        False, "Sin claves, puntuar y mirar también desde fuera de esta máquina"
    )
    open_networks: str = _setting(
        "", "Redes que llaman a /prediccion sin clave, por ejemplo 10.1.0.0/16, 10.2.0.7"
    )
    trusted_proxies: str = _setting("", "Redes de los proxies cuyo X-Forwarded-For se cree")
    four_eyes: bool = _setting(
        False, "Nada se publica solo; lo nuevo lo aprueba alguien que no lo dejó"
    )
    session_hours: float = _setting(8.0, "Horas que dura una sesión del navegador", 0.1, 168)
    tls_certificate: str = _setting("", "Certificado (PEM) para servir https; vacío: http")
    tls_key: str = _setting("", "Clave privada (PEM) de ese certificado", secret=True)
    jwt_keys: str = _setting("", "Clave pública (PEM) o JWKS de un proveedor de identidad")
    jwt_algorithms: str = _setting("RS256,ES256,EdDSA", "Algoritmos de los tokens que valen")
    jwt_audience: str = _setting("", "Audiencia (aud) que debe llevar un token")
    jwt_issuer: str = _setting("", "Emisor (iss) que debe llevar un token; vacío: cualquiera")
    jwt_role: str = _setting("role", "Nombre del dato de un token que dice el papel")
    rate_limit: str = _setting("100/s", "Peticiones por clave o red: N/s, N/min, N/h u off")
    rate_limit_get: str = _setting("off", "Lo mismo, para GET /prediccion")
    redis_url: str = _setting("", "Redis donde se cuenta entre varias máquinas", secret=True)
    max_batch_size: int = _setting(100, "Filas por petición de lote", 1, 10_000)
    queue_seconds: float = _setting(2.0, "Espera máxima de una petición antes de un 503", 0.05)
    request_log_days: int = _setting(
        30, "Días que se guarda el registro de peticiones; 0: no se lleva", 0
    )
    journal: str = _setting("required", f"Diario de lo respondido: {', '.join(JOURNALS)}")
    journal_sync_s: float = _setting(
        1.0, "Segundos que el diario puede tardar en llegar al disco; 0: antes de responder", 0, 60
    )
    journal_file_mb: int = _setting(64, "Tamaño de cada fichero del diario", 1, 1024)
    database_url: str = _setting(
        "", "Base de datos (PostgreSQL); vacío: SQLite en la de state", secret=True
    )
    keep_inputs_days: int = _setting(30, "Días que se guardan los valores recibidos", 0)
    keep_answers_days: int = _setting(183, "Días que se guardan las respuestas", 1)
    outcome_days: int = _setting(90, "Días tras los que una respuesta sin pago es un impago", 1)
    monitor_hours: float = _setting(6.0, "Cada cuántas horas se calcula la vigilancia", 0.1)
    monitor_days: int = _setting(30, "Días de respuestas que mira la vigilancia", 1)
    alert_webhook: str = _setting(
        "", "URL a la que se envían las alertas; vacío: a ninguna", secret=True
    )
    alert_secret: str = _setting("", "Secreto con el que se firman esos envíos", secret=True)
    alert_email: str = _setting(
        "", "Direcciones de correo para las alertas, con comas", secret=True
    )
    smtp_url: str = _setting(
        "", "Servidor de correo, por ejemplo smtp://usuario:clave@host:587", secret=True
    )
    alert_hours: float = _setting(24.0, "Horas hasta que una alerta igual se repite; 0: nunca", 0)
    alert_drift: float = _setting(0.25, "Deriva (PSI) desde la que se avisa", 0)
    alert_auc: float = _setting(0.6, "AUC por debajo de la que se avisa", 0, 1)
    alert_model_days: int = _setting(45, "Edad del modelo desde la que se avisa", 1)
    score_bands: str = _setting(
        "0.25,0.5,0.75", "Límites de las bandas de una cartera, de menor a mayor; A es la más alta"
    )
    max_portfolio_mb: int = _setting(
        50, "Tamaño máximo de una cartera que se sube; 0: no se sube ninguna", 0, 1024
    )
    portfolio_hours: float = _setting(24.0, "Horas que se guarda una cartera subida", 0.1, 168)


def load(environment: Mapping[str, str] | None = None, file: Path | None = None) -> Settings:
    """The settings of this process.

    ``environment`` defaults to the real one, ``file`` to ``propensia.toml`` in the working
    folder (absent is fine). Relative folders are made absolute against the working folder,
    that of the keys against the state folder.
    Raises ``SettingsError``.
    """
    environment = os.environ if environment is None else environment
    path = file or Path(FILE)
    values = _from_file(path) if path.exists() else {}
    values |= _from_environment(environment)
    loaded = Settings(**values)
    if loaded.server not in SERVERS:
        raise SettingsError(f"el ajuste 'server' debe ser uno de: {', '.join(SERVERS)}")
    if loaded.signatures not in SIGNATURES:
        raise SettingsError(f"el ajuste 'signatures' debe ser uno de: {', '.join(SIGNATURES)}")
    if loaded.unknown_models not in UNKNOWN_MODELS:
        named = ", ".join(UNKNOWN_MODELS)
        raise SettingsError(f"el ajuste 'unknown_models' debe ser uno de: {named}")
    if loaded.journal not in JOURNALS:
        raise SettingsError(f"el ajuste 'journal' debe ser uno de: {', '.join(JOURNALS)}")
    _check_addresses(loaded)
    score_bands(loaded)
    return _absolute(loaded)


def _check_addresses(loaded: Settings) -> None:
    """That alerts have somewhere to go, for nobody would miss them. The text shows no address: it
    may hold a password."""
    for name, schemes in ADDRESSES.items():
        text = getattr(loaded, name)
        try:
            found = urlsplit(text)
            is_good = found.scheme in schemes and found.hostname and found.port != 0
        except ValueError:
            is_good = False
        if text and not is_good:
            forms = " o ".join(f"{scheme}://" for scheme in schemes)
            raise SettingsError(f"el ajuste {name!r} debe ser una dirección {forms}")
    if "@" in urlsplit(loaded.alert_webhook).netloc:
        raise SettingsError("el ajuste 'alert_webhook' no admite usuario ni clave: se firma")
    if loaded.alert_email and not loaded.smtp_url:
        raise SettingsError("el ajuste 'alert_email' necesita también 'smtp_url'")


def _from_file(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path.name}: no se puede leer ({error})") from error
    return {name: _typed(name, value, path.name) for name, value in table.items()}


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for key, text in environment.items():
        if key.upper().startswith(PREFIX):
            name = key[len(PREFIX) :].lower()
            values[name] = _typed(name, text, "entorno")
    return values


def _typed(name: str, value: Any, source: str) -> Any:
    known = {row.name: row for row in fields(Settings)}
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        raise SettingsError(
            f"{source}: no existe el ajuste {name!r}; ¿quería decir {nearest[0]!r}?"
        )
    row = known[name]
    try:
        typed = value if value == row.default == "" else _convert(type(row.default), value)
    except (TypeError, ValueError, OverflowError) as error:
        wanted = KINDS[type(row.default)]
        raise SettingsError(f"{source}: el ajuste {name!r} debe ser {wanted}") from error
    least, most = row.metadata["least"], row.metadata["most"]
    if least is not None and typed < least:
        raise SettingsError(f"{source}: el ajuste {name!r} debe ser al menos {least}")
    if most is not None and typed > most:
        raise SettingsError(f"{source}: el ajuste {name!r} debe ser como mucho {most}")
    return typed


def _convert(kind: type, value: Any) -> Any:
    """``value`` as that kind of setting. Raises ``TypeError``, ``ValueError`` and such."""
    if kind is bool:
        typed = YES_OR_NO.get(str(value).strip().lower())
        if typed is None:
            raise ValueError("neither yes nor no")
        return typed
    if kind in (int, float):
        return _number(kind, value)
    # An empty folder would be the working folder, and nobody means that.
    if not isinstance(value, str) or not value:
        raise ValueError("empty, or not a text")
    return kind(value)


def _number(kind: type, value: Any) -> Any:
    takes = (str, int) if kind is int else (str, int, float)
    if isinstance(value, bool) or not isinstance(value, takes):
        raise ValueError("another type")  # int() would cut 3.7 down to 3
    number = kind(value)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _absolute(loaded: Settings) -> Settings:
    values = {row.name: getattr(loaded, row.name) for row in fields(Settings)}
    values["models"] = Path(values["models"]).absolute()
    values["state"] = Path(values["state"]).absolute()
    values["signature_keys"] = values["state"] / values["signature_keys"]
    return Settings(**values)


def score_bands(settings: Settings) -> tuple[float, ...]:
    """The limits between the bands of a portfolio's chances, ascending, each in (0, 1).

    Raises ``SettingsError``.
    """
    try:
        limits = tuple(float(text) for text in settings.score_bands.split(","))
    except ValueError:
        limits = ()
    ends = (0.0, *limits, 1.0)
    if not 1 <= len(limits) <= MOST_BANDS - 1 or not all(a < b for a, b in pairwise(ends)):
        raise SettingsError(
            f"el ajuste 'score_bands' debe llevar entre 1 y {MOST_BANDS - 1} números mayores que "
            "0 y menores que 1, de menor a mayor y con comas, por ejemplo 0.25,0.5,0.75"
        )
    return limits


def poll_interval(settings: Settings) -> float:
    """Seconds between two looks at the models folder: the setting, or 5 on a share, else 1."""
    if settings.poll_seconds > 0:
        return settings.poll_seconds
    return 5.0 if is_share(settings.models) else 1.0


def is_share(folder: Path) -> bool:
    """Whether a folder is written as one on another machine, as ``//nas/models``."""
    return str(folder).startswith(("\\\\", "//"))


def variable(name: str) -> str | None:
    """The text of an environment variable that a person named; ``None`` if it is not set."""
    return os.environ.get(name)


def for_library(name: str, value: str) -> None:
    """Set an environment variable that a library reads, unless a person has set it."""
    os.environ.setdefault(name, value)


def as_environment(settings: Settings) -> dict[str, str]:
    """The settings as environment variables, to hand them to another process unchanged."""
    return {
        f"{PREFIX}{row.name.upper()}": str(getattr(settings, row.name)) for row in fields(Settings)
    }
