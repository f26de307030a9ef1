"""The pieces that the parts of the OpenAPI document are written with.

They know nothing of any route, contract or problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Shape = dict[str, Any]


PREFERRED = "preferred-language"
"""In ``takes``: the language as a wish, of which any text may be sent; where ``idioma`` is an
option, it is checked as the others are."""


class Text(NamedTuple):
    """One text of the document in both languages; ``openapi.document`` keeps one of them."""

    es: str
    en: str


def reference(name: str, kind: str = "schemas") -> Shape:
    """The place where a component stands, as OpenAPI writes it."""
    return {"$ref": f"#/components/{kind}/{name}"}


def closed(properties: Mapping[str, Any], optional: Iterable[str] = ()) -> Shape:
    """An object with these keys and no other; all of them are there but the ``optional``."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in set(optional)],
        "additionalProperties": False,
    }


def listed(items: Shape) -> Shape:
    """A list of such items."""
    return {"type": "array", "items": items}


SHARE = {"type": "number", "minimum": 0, "maximum": 1}
"""A probability, or a threshold for one."""

JSON, HTML, PLAIN = "application/json", "text/html", "text/plain"
FORM, UPLOAD = "application/x-www-form-urlencoded", "multipart/form-data"

SCORING = Text("Puntuar", "Score")
MODELS = Text("Modelos", "Models")
STATE = Text("Estado", "State")
INFERENCE = Text("Inferencia abierta v2", "Open inference v2")
PAGES = Text("Páginas", "Pages")
MEMORY = Text("Memoria", "Memory")
TAGS = (SCORING, MODELS, MEMORY, STATE, INFERENCE, PAGES)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    ``answers``: status -> (what it is, media type -> name of a schema). ``codes``: the problems
    that only this operation has, besides those of every route of its kind. ``sends``: media type
    -> name of a schema, and ``may_be_empty`` whether nothing may be sent. ``takes``: names of
    query parameters, and ``fields`` whether those of the contract are among them. ``problem``:
    name of the schema of its problems. ``examples``: names of examples of what is sent.
    ``scored``: whether an answer carries the version that made it. ``in_parts``: whether bytes may
    follow the JSON, of which a header tells the length.
    """

    id: str
    tag: Text
    summary: Text
    answers: Mapping[int, tuple[Text, Mapping[str, str]]]
    text: Text | None = None
    codes: tuple[str, ...] = ()
    sends: Mapping[str, str] = field(default_factory=dict)
    takes: tuple[str, ...] = ()
    fields: bool = False
    problem: str = "Problema"
    may_be_empty: bool = False
    examples: tuple[str, ...] = ()
    scored: bool = False
    in_parts: bool = False
