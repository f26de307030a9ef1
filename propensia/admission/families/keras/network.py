"""Keras Sequential and functional models, from the archive inside the pickle, in float32.

Neither Keras nor TensorFlow is imported, and no layer or function outside the tables is guessed
at.

Conventions: inputs are rounded to float32 and everything stays in it; dropout and noise do
nothing. A network stores no class labels: its one sigmoid unit, or the second of two softmax
units, is the positive class.
"""

from __future__ import annotations

import numpy as np

from propensia.admission.families.keras import archive as archives
from propensia.admission.families.keras import graph as graphs
from propensia.admission.families.keras.model import Network
from propensia.admission.families.keras.operators import Writer
from propensia.admission.families.parts import Chance, Flow, Workshop, check_width
from propensia.admission.graph import DOUBLE, FLOAT
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal

_BYTES_IO = Global("_io", "BytesIO")
_KINDS_SHOWN = 4


def network(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """A model that ends in one sigmoid or two softmax units."""
    return compiled(archive_bytes(node), flow, shop)


def compiled(data: bytes, flow: Flow, shop: Workshop) -> Chance:
    """The chance that the network in an archive gives to the rows of a flow."""
    archive = archives.read(data)
    read = graphs.network(archive, flow.width)
    shop.libraries["keras"] = archive.version
    check_width(f"Keras {read.kind}", read.width, flow.width)
    units = _units(read)
    writer = Writer(shop.graph, read.age)
    rows = shop.graph.cast(flow.tensor, FLOAT)
    if flow.missing:
        writer.faults.append(writer.missing(rows))
    tensor = writer.network(read, rows)
    if units == 2:
        second = shop.graph.constant(np.array([1], np.int64))
        tensor = shop.graph.add("Gather", tensor, second, axis=1)
    for fault in writer.faults:
        tensor = shop.graph.add("Add", tensor, fault)
    weighted = [layer for layer in read.layers() if layer.weights]
    shop.count("layers", len(weighted))
    shop.count("parameters", sum(array.size for layer in weighted for array in layer.weights))
    return Chance(shop.graph.cast(tensor, DOUBLE), None, _label(read))


def archive_bytes(node: Node) -> bytes:
    """The bytes of the archive that a pickled model hands to Keras; they must be a zip."""
    value = node.args[0] if len(node.args) == 1 else None
    if isinstance(value, Node) and value.made_by == _BYTES_IO:
        # Pickled as (content, position, attributes), or with the content as first argument.
        held = value.state if isinstance(value.state, tuple) and value.state else value.args
        value = held[0] if held else None
    if not isinstance(value, bytes | bytearray):
        raise Refusal("fichero_incompleto", "falta el archivo de Keras", "no Keras archive in it")
    if not value.startswith(b"PK\x03\x04"):
        raise Refusal("familia_desconocida", "Keras < 2.12 (SavedModel)")
    return bytes(value)


def _units(read: Network) -> int:
    """1 for a sigmoid unit, 2 for two softmax units; any other ending is refused."""
    ending, shape = read.ending(), read.shape
    if (shape, ending) in (((1,), "sigmoid"), ((2,), "softmax")):
        return shape[0]
    width = " x ".join(map(str, shape))
    spanish, english = f"la última capa es {width} {ending}", f"the last layer is {width} {ending}"
    if ending == "linear":
        spanish += " (da logits; añada una activación sigmoid antes de guardar)"
        english += " (it gives logits; add a sigmoid activation before you save it)"
    raise Refusal(
        "no_es_clasificador_binario",
        f"{spanish}, no 1 sigmoid ni 2 softmax",
        f"{english}, neither 1 sigmoid nor 2 softmax",
    )


def _label(read: Network) -> str:
    """``Keras Sequential 27/352/1`` for dense layers alone; else the kinds of its layers."""
    layers = list(read.layers())
    plain = all(layer.kind in ("Dense", "Activation") for layer in layers)
    if read.kind == "Sequential" and plain:
        units = "/".join(str(layer.shape[-1]) for layer in layers if layer.kind == "Dense")
        if len(units) <= 60:
            return f"Keras Sequential {units}"
    kinds = list(dict.fromkeys(layer.kind for layer in layers if layer.kind != "GetItem"))
    more = "…" if len(kinds) > _KINDS_SHOWN else ""
    return f"Keras {read.kind} ({', '.join(kinds[:_KINDS_SHOWN])}{more})"


_LOADERS = (
    ("keras.src.models.sequential", "Sequential._unpickle_model"),
    ("keras.src.models.functional", "Functional._unpickle_model"),
    ("keras.saving.pickle_utils", "deserialize_model_from_bytecode"),
    ("keras.src.saving.pickle_utils", "deserialize_model_from_bytecode"),
    ("tf_keras.src.saving.pickle_utils", "deserialize_model_from_bytecode"),
)
CLASSIFIERS = dict.fromkeys(_LOADERS, network)
HELPERS = frozenset({(_BYTES_IO.module, _BYTES_IO.name)})
