"""The page beside an accepted file: what it is, what was checked, and who changes class.

It shows what admission found; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from propensia import files
from propensia.admission.refusal import Refusal
from propensia.admission.sidecar import Sidecar
from propensia.registry import Registry


def render(
    data: bytes,
    manifest: Mapping[str, Any],
    checks: list[dict[str, Any]],
    read: Mapping[str, Any],
    proof: Mapping[str, Any],
    sidecar: Sidecar,
    refusal: Refusal | None,
    registry: Registry,
) -> str:
    """The report as one self-contained HTML page, in Spanish."""
    current = registry.current()
    comparison = proof.get("comparison")
    if comparison is not None and current is not None:
        comparison = comparison | {"active_version": current.version}
    environment = Environment(
        loader=PackageLoader("propensia.admission"), autoescape=True, undefined=StrictUndefined
    )
    ignored = [f"La ficha trae {key!r}, que no se usa." for key in sidecar.ignored]
    return environment.get_template("report.html").render(
        name=manifest["model"],
        sha256=files.sha256(data),
        version=manifest["version"],
        accepted=refusal is None,
        at=manifest["admitted"],
        family=manifest["family"],
        libraries=manifest["libraries"],
        facts=manifest["facts"],
        contract=manifest["contract"],
        threshold=manifest["threshold"],
        size_bytes=manifest["size_bytes"],
        checks=checks,
        parity=read.get("parity") or {},
        comparison=comparison,
        histogram=proof.get("histogram"),
        unknown=sidecar.unknown() + ignored,
    )
