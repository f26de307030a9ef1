"""The page beside an accepted file: what it is, what was checked, and who changes class.

It shows what admission found; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from propensia.admission.ladder import Finding
from propensia.admission.refusal import Refusal
from propensia.admission.results import Proof
from propensia.admission.sidecar import Sidecar
from propensia.decision import Decision
from propensia.registry import Release

SHOWN = (
    "version",
    "sha256",
    "libraries",
    "facts",
    "contract",
    "size_bytes",
    "parity",
    "layers",
)


def render(
    manifest: Mapping[str, Any],
    rule: Decision,
    checks: Sequence[Finding],
    proof: Proof,
    sidecar: Sidecar,
    refusal: Refusal | None,
    current: Release | None,
) -> str:
    """The report as one self-contained HTML page, in Spanish."""
    # Here, not above: the keeper idles for weeks, and need not hold templates meanwhile.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    comparison = None
    if proof.comparison and current is not None:
        comparison = proof.comparison | {"active_version": current.version}
    environment = Environment(
        loader=PackageLoader("propensia.admission"), autoescape=True, undefined=StrictUndefined
    )
    ignored = [f"La ficha trae {key!r}, que no se usa." for key in sidecar.ignored]
    return environment.get_template("report.html").render(
        **{name: manifest[name] for name in SHOWN},
        threshold=rule.threshold,
        name=manifest["model"],
        family=manifest["family"] or None,
        at=manifest["admitted"],
        accepted=refusal is None,
        checks=checks,
        comparison=comparison,
        histogram=proof.histogram or None,
        unknown=sidecar.unknown(own_threshold=manifest["threshold"] is not None) + ignored,
    )
