"""``POST /modelos``: a model file that a person hands in by HTTP, judged and promoted as a dropped
one is.

It never writes the file anywhere, and never reads anything of it but its bytes.
"""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath
from typing import Any

from flask import request
from werkzeug.datastructures import FileStorage

from propensia import admission, files
from propensia.admission.sidecar import LIMIT_BYTES as SIDECAR_LIMIT_BYTES
from propensia.locks import Lock
from propensia.publishing import UPLOAD_LOCK, Hand, Publishing
from propensia.registry import RegistryError
from propensia.settings import Settings
from propensia.web.asked import Refused, error, fault, hand, language
from propensia.web.form_limits import SIGNATURE_LIMIT_BYTES

CAUSE = "subida"
MOST_PARTS = 8
FILE, SIDECAR, SIGNATURE = "fichero", "ficha", "firma"
# What is wrong with these refused files is not in the PKL.
ABOUT = {"ficha_no_valida": SIDECAR} | dict.fromkeys(admission.OF_SIGNATURE, SIGNATURE)


def take_in(desk: Publishing) -> dict[str, Any]:
    """Judge the file that a form brings and, if no rule forbids it, publish it; what became of it.

    One at a time on this machine: an admission takes a core and memory, and callers come first.
    Raises ``Refused``.
    """
    lock = Lock(desk.registry.state / UPLOAD_LOCK)
    if not lock.acquire():
        raise Refused("ocupado")
    with lock:
        name, dropped = _dropped(desk.settings)
        sender = hand()
        try:
            accepted, outcome = desk.admit(dropped, sender)
        except RegistryError as busy:  # others were writing for longer than one waits
            raise Refused("ocupado") from busy
        if not accepted:
            assert outcome is not None and outcome.refusal is not None
            refusal = outcome.refusal
            message = refusal.text(language())
            about = ABOUT.get(refusal.code, FILE)
            raise Refused("modelo_rechazado", [error(about, refusal.code, message)])
        return _taken_in(desk, name, dropped, sender, outcome)


def _taken_in(
    desk: Publishing,
    name: str,
    dropped: admission.Dropped,
    sender: Hand,
    outcome: admission.Outcome | None,
) -> dict[str, Any]:
    reason = desk.reason_to_wait(name, dropped.sha256)
    notes = [("ya_comprobada", "ya se había comprobado antes")] if outcome is None else []
    try:
        release = desk.promote(dropped, name, CAUSE, sender.name)
    except RegistryError:
        release = None  # somebody published meanwhile: theirs is the later decision
    current = release or desk.registry.current()
    is_active = current is not None and current.version == dropped.version
    if is_active and release is None:
        notes.append(("ya_activa", "ya era la versión activa; nada cambia"))
    elif not is_active:
        why = reason or "se publicó otra mientras se comprobaba"
        notes.append(("espera", f"queda como candidata: {why}"))
    checks = [] if outcome is None else outcome.checks
    return {
        "version": dropped.version,
        "modelo": dropped.model,
        "estado": "activa" if is_active else "candidata",
        "publicacion": current.number if current is not None and is_active else None,
        "comprobaciones": [
            {"nombre": found.name, "resultado": found.outcome, "mensaje": found.sentence}
            for found in checks
        ],
        "avisos": [{"codigo": code, "mensaje": text} for code, text in notes],
    }


def _dropped(chosen: Settings) -> tuple[str, admission.Dropped]:
    """The cleaned name of the file that a form brings, and the file as admission takes it. Raises
    ``Refused``."""
    if request.mimetype != "multipart/form-data":
        raise Refused(
            "tipo_no_admitido",
            [fault(FILE, "opcion_no_valida", "multipart/form-data")],
            "solo_formulario",
        )
    request.max_form_parts = MOST_PARTS
    sent = {field: _part(field) for field in (FILE, SIDECAR, SIGNATURE)}
    file = sent[FILE]
    if file is None:
        raise Refused("peticion_no_valida", [fault(FILE, "parametro_ausente", ".pkl, .joblib")])
    name = _cleaned(file.filename or "")
    data = _read(FILE, file, chosen.max_file_mb << 20)
    beside, signature = (
        None if part is None else _read(field, part, limit)
        for field, part, limit in (
            (SIDECAR, sent[SIDECAR], SIDECAR_LIMIT_BYTES),
            (SIGNATURE, sent[SIGNATURE], SIGNATURE_LIMIT_BYTES),
        )
    )
    if chosen.signatures == "off":  # as beside a dropped file: it is not looked at
        signature = None
    model = files.shown(unicodedata.normalize("NFC", PurePosixPath(name).stem))
    return name, admission.Dropped(model, data, beside, signature)


def _part(field: str) -> FileStorage | None:
    """The file of that field; ``None`` where none was chosen. Raises ``Refused``."""
    parts = [part for part in request.files.getlist(field) if part.filename]
    if len(parts) > 1:
        raise Refused("peticion_no_valida", [fault(field, "parametro_repetido")])
    if not parts and request.form.get(field):  # a text: sent without a file name
        admits = f"-F {field}=@FICHERO"
        raise Refused("peticion_no_valida", [fault(field, "opcion_no_valida", admits)])
    return parts[0] if parts else None


def _read(field: str, part: FileStorage, limit_bytes: int) -> bytes:
    """The bytes of a file, read once. Raises ``Refused`` for one over the limit."""
    data = part.stream.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        admits = f"≤ {limit_bytes >> 10} KiB"
        raise Refused("fichero_demasiado_grande", [fault(field, "fuera_de_rango", admits)])
    return data


def _cleaned(name: str) -> str:
    """The name that a program gave a file: without folders, of either system, and fit to be
    shown. It is never the name of a file here."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return files.shown(unicodedata.normalize("NFC", last))
