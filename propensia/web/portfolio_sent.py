"""The file of a portfolio as a request brings it: its name, its kind and its bytes.

It never keeps a name as a path, and never holds a file in memory.
"""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path, PurePosixPath
from typing import IO

from flask import request

from propensia import files, jobs
from propensia.web.asked import Refused, fault

MOST_PARTS = 8
UPLOAD = "multipart/form-data"
FILE = "fichero"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
RAW = {"text/csv": ".csv", XLSX: ".xlsx", "application/vnd.apache.parquet": ".parquet"}
"""Types of a body that is the file itself, and how such a file ends."""


def sent() -> tuple[str, str, IO[bytes]]:
    """The cleaned name of the file that was sent, how files of its kind end, and its bytes."""
    if request.mimetype in RAW:
        return f"cartera{RAW[request.mimetype]}", RAW[request.mimetype], request.stream
    if request.mimetype != UPLOAD:
        admits = ", ".join((UPLOAD, *RAW))
        wrong = [fault(FILE, "opcion_no_valida", admits)]
        raise Refused("tipo_no_admitido", wrong, "solo_cartera")
    request.max_form_parts = MOST_PARTS
    parts = [part for part in request.files.getlist(FILE) if part.filename]
    if len(parts) != 1:
        code = "parametro_repetido" if parts else "parametro_ausente"
        raise Refused("peticion_no_valida", [fault(FILE, code, ".csv, .xlsx, .parquet")])
    last = (parts[0].filename or "").replace("\\", "/").rpartition("/")[2]
    name = files.shown(unicodedata.normalize("NFC", last))
    suffix = PurePosixPath(name).suffix.lower()
    return name, suffix if suffix in jobs.SUFFIXES else ".csv", parts[0].stream


def write(path: Path, stream: IO[bytes], limit_bytes: int) -> None:
    """Copy what was sent into the job's folder, which nobody else may read."""
    with path.open("xb") as target:
        path.chmod(0o600)
        shutil.copyfileobj(stream, target, 1 << 20)
        size = target.tell()
    if size > limit_bytes:
        admits = f"≤ {limit_bytes >> 20} MiB"
        raise Refused("fichero_demasiado_grande", [fault(FILE, "fuera_de_rango", admits)])
    if not size:
        raise Refused("peticion_no_valida", [fault(FILE, "parametro_ausente", "> 0")])
