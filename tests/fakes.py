"""Small stand-ins for the parts around the one that a test is about.

Whatever is under test is the real thing; only its surroundings are made here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from werkzeug.test import Client

from propensia import files, settings
from propensia.access.roles import Caller
from propensia.admission.compiler import compile_model
from propensia.contract import Contract
from propensia.recording import Recorder
from propensia.registry import Registry
from propensia.scorer import Scorer
from propensia.serving import Serving
from propensia.web.door import CALLER
from propensia.web.prediccion import HotRoute, Scoring
from tests import compiled_models, tiny_models

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def client_of_model(registry: Registry, contract: Contract, model: object) -> Client:
    """The hot route before a model that went the way of a dropped file: dumped, read, compiled."""
    node = compiled_models.node_of(model)
    made = compile_model(node, contract.column_names, contract.positive, contract.negative)
    return client_of_onnx(registry, contract, made.onnx, kind=made.kind)


def client_of_onnx(registry: Registry, contract: Contract, onnx: bytes, **changes: Any) -> Client:
    """The hot route before a version that holds ``onnx``; ``changes`` go into its manifest."""
    zeros = Scorer(onnx, files.sha256(onnx)).one([0.0] * len(contract.columns))
    version = tiny_models.add(registry, contract, onnx, [zeros], **changes)
    registry.publish(version, cause="prueba", who="prueba")
    serving = Serving(contract, registry)
    serving.tick()
    assert serving.bundle is not None, serving.problem
    return Client(let_in(HotRoute(_nothing_else, scoring_of(serving), lambda: None)))


def scoring_of(serving: Serving) -> Scoring:
    """Scores without a journal."""
    chosen = replace(settings.load({}), journal="off", state=serving.registry.state)
    return Scoring(serving, Recorder(chosen, serving.contract))


def let_in(app: WSGIApplication) -> WSGIApplication:
    """``app`` as behind the door, which has found out who asks."""

    def inside(environ: Any, start: Any) -> Any:
        environ[CALLER] = Caller("prueba", "caller", "key")
        return app(environ, start)

    return inside


def _nothing_else(environ: Any, start: Any) -> list[bytes]:
    raise AssertionError("the hot route answers this itself")
