"""The archive inside a pickled Keras model: a zip with a configuration and an HDF5 file.

It is read in memory within fixed limits; no path in it is ever used as a path, no link in it is
ever followed, and Keras is not needed.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
import zlib
from dataclasses import dataclass

import h5py
import numpy as np

from propensia.admission.refusal import Refusal, shown

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MOST_BYTES = {_CONFIG: 4 << 20, _METADATA: 64 << 10, _WEIGHTS: 512 << 20}
_MOST_WEIGHTS = 16_000_000
_DEEPEST = 5
_MOST_GROUPS = 4_096
# gzip and shuffle; anything else could be a plug-in, or hide a size.
_FILTERS = {1, 2}
# Since Keras 2.13, and Keras 2.12; both name a group after the class of the layer and a counter.
_LAYER_GROUPS = ("layers", "_layer_checkpoint_dependencies")
# Where the state of random generators lies, which predict nothing.
_SEEDS = {"seed_generator", "random_generator", "_random_generator"}


@dataclass(frozen=True, slots=True)
class Stored:
    """The weights of a layer in its own order, or of a model: those of its layers by class.

    ``layers`` maps the snake-case class of the layers to what each such layer that has weights
    stored, in the order of the layers. ``elsewhere``: whether there are more numbers, in places
    where no layer that is known here keeps any.
    """

    variables: list[np.ndarray]
    layers: dict[str, list[Stored]]
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Archive:
    """The parts of a saved Keras model: its version, its configuration, its weights.

    ``weights_file`` is the HDF5 file that the weights lie in; no link in it leads out of it.
    """

    version: str
    config: dict[str, object]
    weights: Stored
    weights_file: bytes


def read(data: bytes) -> Archive:
    """The archive in ``data``; what is not one, or holds more than one should, is refused."""
    members = _members(data)
    metadata, config = _json(members[_METADATA]), _json(members[_CONFIG])
    version = metadata.get("keras_version")
    return Archive(
        version=shown(version) if isinstance(version, str) else "",
        config=config,
        weights=_weights(members[_WEIGHTS]),
        weights_file=members[_WEIGHTS],
    )


def _members(data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            for name in names:
                if name not in _MOST_BYTES:
                    raise _unexpected(name)
            if len(names) != len(_MOST_BYTES) or set(names) != set(_MOST_BYTES):
                raise _damaged("el archivo de Keras", "the Keras archive")
            return {name: _member(archive, name) for name in names}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        raise _damaged("el archivo de Keras", "the Keras archive") from error


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _unexpected(f"{name} (compresión {info.compress_type})")
    with archive.open(info) as member:
        content = member.read(_MOST_BYTES[name] + 1)
    if len(content) > _MOST_BYTES[name]:
        raise Refusal("demasiado_grande", name)
    return content


def _json(content: bytes) -> dict[str, object]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged("la configuración de Keras", "the Keras configuration") from error
    if not isinstance(value, dict):
        raise _damaged("la configuración de Keras", "the Keras configuration")
    return value


def _weights(content: bytes) -> Stored:
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            _check_links(file)
            if not any(name in _LAYER_GROUPS for name in list(file)):
                raise _damaged("los pesos de Keras", "the Keras weights")
            return _Weights().of_layers(file, 0)
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, OverflowError) as error:
        raise _damaged("los pesos de Keras", "the Keras weights") from error


def _check_links(file: h5py.File) -> None:
    """Refuses a link that is not to an object of this very file, wherever it is.

    Below the usual interface, whose every question ("in", "get") may already follow it. The
    parity check gives the file to Keras, which looks into more groups than this module does.
    """
    elsewhere = file.id.links.visit(
        lambda name, link: None if link.type == h5py.h5l.TYPE_HARD else name, info=True
    )
    if elsewhere is not None:
        raise _unexpected(f"{_WEIGHTS}:{elsewhere.decode('utf-8', 'replace')}")


class _Weights:
    """Reads the groups of one file, and counts what they hold before it reads it."""

    def __init__(self) -> None:
        self._left, self._groups = _MOST_WEIGHTS, _MOST_GROUPS

    def of_layers(self, group: h5py.Group, depth: int) -> Stored:
        """The weights of a model's layers; ``layers`` and ``dense``, ``dense_1`` … in it."""
        present = [name for name in _LAYER_GROUPS if name in list(group)]
        if not present:
            return Stored([], {})
        if depth > _DEEPEST:
            raise Refusal("demasiado_grande", "modelos en modelos", "models inside models")
        layers = _group(group, present[0])
        # dense, dense_1, dense_2 … dense_10: the counter tells the order, the text does not.
        found: dict[str, list[tuple[int, Stored]]] = {}
        for name in layers:
            stored = self._layer(_group(layers, name), depth + 1)
            if stored.variables or stored.layers or stored.elsewhere:
                parts = re.fullmatch(r"(.*?)(?:_(\d{1,6}))?", name)
                if parts is None:
                    raise _damaged("los pesos de Keras", "the Keras weights")
                found.setdefault(parts[1], []).append((int(parts[2] or 0), stored))
        return Stored(
            [],
            {
                name: [stored for _, stored in sorted(listed, key=lambda item: item[0])]
                for name, listed in found.items()
            },
        )

    def _layer(self, group: h5py.Group, depth: int) -> Stored:
        # A group may be linked to from many places, even from inside itself.
        self._groups -= 1
        if self._groups < 0:
            raise Refusal("demasiado_grande", _WEIGHTS)
        names = list(group)
        variables = self._variables(_group(group, "vars")) if "vars" in names else []
        others = sorted(set(names) - {"vars", *_LAYER_GROUPS} - _SEEDS)
        elsewhere = any(_holds_numbers(group[name]) for name in others)
        return Stored(variables, self.of_layers(group, depth).layers, elsewhere)

    def _variables(self, group: h5py.Group) -> list[np.ndarray]:
        variables = []
        for number in range(len(group)):
            dataset = group[str(number)]
            if not isinstance(dataset, h5py.Dataset):
                raise _unexpected(str(number))
            # A chunk is read whole, even where it is larger than what it holds.
            self._left -= max(dataset.size or 0, math.prod(dataset.chunks or (0,)), 1)
            if self._left < 0:
                raise Refusal("demasiado_grande", _WEIGHTS)
            variables.append(_values(dataset))
        return variables


def _holds_numbers(item: object) -> bool:
    """Whether there is a dataset in a group, or it is one itself."""
    if isinstance(item, h5py.Group):
        return item.visititems(lambda _, inner: True if _is_data(inner) else None) is not None
    return True


def _is_data(item: object) -> bool:
    return isinstance(item, h5py.Dataset)


def _values(dataset: h5py.Dataset) -> np.ndarray:
    """The numbers of a dataset that lies wholly inside this file; its size is already known."""
    settings = dataset.id.get_create_plist()
    filters = {settings.get_filter(index)[0] for index in range(settings.get_nfilters())}
    if dataset.external or dataset.is_virtual or not filters <= _FILTERS:
        raise _unexpected(f"{_WEIGHTS}:{dataset.name}")
    if dataset.dtype.kind not in "fi" or dataset.dtype.itemsize > 8:
        raise _unexpected(f"{_WEIGHTS}:{dataset.name} ({dataset.dtype})")
    return np.asarray(dataset[()])


def _group(parent: h5py.Group, name: str) -> h5py.Group:
    child = parent[name]
    if not isinstance(child, h5py.Group):
        raise _unexpected(f"{_WEIGHTS}:{name}")
    return child


def _unexpected(name: str) -> Refusal:
    text = shown(name)
    return Refusal(
        "contenido_no_permitido",
        f"{text} en el archivo de Keras",
        f"{text} in the Keras archive",
    )


def _damaged(spanish: str, english: str) -> Refusal:
    return Refusal("fichero_incompleto", f"{spanish} está dañado", f"{english} is damaged")
