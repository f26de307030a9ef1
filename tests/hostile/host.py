"""A good model file with room for a stranger: the hostile part hides where nobody looks."""

from __future__ import annotations

import functools
import io
import pickle

import models_for_tests
from admission_files import text

_ROOM = "room for a stranger"


@functools.cache
def _host() -> bytes:
    model = models_for_tests.logistic()
    model.random_state = _ROOM
    # Protocol 2 has no frames, so that a part may be replaced by one of another length.
    file = io.BytesIO()
    pickle.dump(model, file, 2)
    return file.getvalue()


def around(opcodes: bytes) -> bytes:
    """A fitted logistic regression whose ``random_state`` is what the opcodes give."""
    host = _host()
    assert host.count(text(_ROOM)) == 1
    return host.replace(text(_ROOM), opcodes)
