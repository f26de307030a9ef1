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
# gzip and shuffle; anything else could be a plug-in, or hide a size.
_FILTERS = {1, 2}
# Keras 3, and Keras 2.12; both name a group after the class of the layer and a counter.
_LAYER_GROUPS = ("layers", "_layer_checkpoint_dependencies")


@dataclass(frozen=True, slots=True)
class Archive:
    """The parts of a saved Keras model: its version, its configuration, its weights by class.

    ``weights`` maps the snake-case class of the layers to the weights of each such layer that
    has any, in the order of the layers. ``weights_file`` is the HDF5 file that they lie in; no
    link in it leads out of it.
    """

    version: str
    config: dict[str, object]
    weights: dict[str, list[list[np.ndarray]]]
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


def _weights(content: bytes) -> dict[str, list[list[np.ndarray]]]:
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            _check_links(file)
            present = [name for name in _LAYER_GROUPS if name in list(file)]
            if not present:
                raise _damaged("los pesos de Keras", "the Keras weights")
            layers = _group(file, present[0])
            return _by_class(layers)
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
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


def _by_class(layers: h5py.Group) -> dict[str, list[list[np.ndarray]]]:
    # dense, dense_1, dense_2 … dense_10: the counter tells the order, the text does not.
    found: dict[str, list[tuple[int, list[np.ndarray]]]] = {}
    left = _MOST_WEIGHTS
    for name in layers:
        group = _group(layers, name)
        if "vars" not in list(group):
            continue
        variables = _variables(_group(group, "vars"), left)
        left -= sum(variable.size for variable in variables)
        if variables:
            parts = re.fullmatch(r"(.*?)(?:_(\d{1,6}))?", name)
            if parts is None:
                raise _damaged("los pesos de Keras", "the Keras weights")
            found.setdefault(parts[1], []).append((int(parts[2] or 0), variables))
    return {
        name: [variables for _, variables in sorted(listed, key=lambda item: item[0])]
        for name, listed in found.items()
    }


def _variables(group: h5py.Group, most: int) -> list[np.ndarray]:
    variables = []
    for number in range(len(group)):
        dataset = group[str(number)]
        if not isinstance(dataset, h5py.Dataset):
            raise _unexpected(str(number))
        # A chunk is read whole, even where it is larger than what it holds.
        most -= max(dataset.size or 0, math.prod(dataset.chunks or (0,)))
        if most < 0:
            raise Refusal("demasiado_grande", _WEIGHTS)
        variables.append(_values(dataset))
    return variables


def _values(dataset: h5py.Dataset) -> np.ndarray:
    """The numbers of a dataset that lies wholly inside this file; its size is already known."""
    settings = dataset.id.get_create_plist()
    filters = {settings.get_filter(index)[0] for index in range(settings.get_nfilters())}
    if dataset.external or dataset.is_virtual or not filters <= _FILTERS:
        raise _unexpected(f"{_WEIGHTS}:{dataset.name}")
    if dataset.dtype.kind != "f" or dataset.dtype.itemsize > 8:
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
