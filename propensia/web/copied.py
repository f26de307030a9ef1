"""What a person takes from the result page to another program: address, command line, formulas.

It must never hold a key: whoever copies puts in their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

KEY: Final = "CLAVE"
"""Stands in a formula for the key in the address, which Excel has nowhere else to send."""

KEY_LENGTH: Final = 56
HEADER_FILE: Final = "cabecera.txt"
"""Where curl finds the key: on the command line other users of the machine would see it."""

_EXCEL_LITERAL: Final = 255
_EXCEL_URL: Final = 2048
# Not left alone between double quotes by all of sh, cmd, PowerShell and curl's own globbing.
_UNSAFE_IN_QUOTES: Final = re.compile(r"[^A-Za-z0-9\-._~:/?#@&=+,;()*%]")


def boxes(
    url: str, pairs: list[tuple[str, str]], language: str, words: Mapping[str, str], guarded: bool
) -> list[dict[str, Any]]:
    """Label, text and hint of each box, the reader's own Excel first.

    ``url``: the absolute address of the scoring route. ``pairs``: what was sent. ``words``: the
    texts of pages. ``guarded``: a key is asked for, and what is copied has a place for it.
    """
    plain = _address(url, pairs)
    bare = _address(url, [*pairs, ("formato", "texto")])
    parts = _with_key(bare) if guarded else [bare]
    length = sum(map(len, parts)) + (KEY_LENGTH - len(KEY) if guarded else 0)
    excel = words["excel_hint"]
    if length > _EXCEL_URL:
        excel = words["excel_too_long"].format(n=_EXCEL_URL)
    elif guarded:
        excel = words["excel_key_hint"].format(key=KEY) + " " + excel
    curl = curl_line(plain, guarded)
    hints = [words["curl_key_hint"].format(file=HEADER_FILE)] if guarded else []
    hints += [words["curl_hint"]] if "%" in curl else []
    formulas = [
        ("excel_es", excel_formula("SERVICIOWEB", *parts), excel),
        ("excel_en", excel_formula("WEBSERVICE", *parts), excel),
    ]
    found = [("url", plain, ""), ("curl", curl, " ".join(hints))]
    found += formulas if language == "es" else formulas[::-1]
    return [
        {"id": f"copia-{key}", "label": words[f"{key}_label"], "text": text, "hint": hint}
        for key, text, hint in found
    ]


def excel_formula(function: str, *parts: str) -> str:
    """The formula that fetches the address of these parts; ``function`` is WEBSERVICE or
    SERVICIOWEB.

    Excel takes at most 255 characters between two quotes, so a long address is joined from
    pieces. Each part begins one, so that a part may be replaced by something longer.
    """
    pieces = []
    for part in parts:
        pieces.append("")
        for char in part:
            written = '""' if char == '"' else char
            if len(pieces[-1]) + len(written) > _EXCEL_LITERAL:
                pieces.append("")
            pieces[-1] += written
    return f"={function}(" + "&".join(f'"{piece}"' for piece in pieces) + ")"


def curl_line(url: str, guarded: bool = False) -> str:
    """The command that fetches the URL, the same for sh, cmd and PowerShell.

    What one of them would expand between double quotes is percent-encoded; in a batch file
    (not at the prompt) each % still has to be doubled by hand. ``guarded``: with the key that a
    file holds, in quotes because PowerShell has a meaning of its own for ``@``.
    """
    safe = _UNSAFE_IN_QUOTES.sub(lambda m: quote(m[0], safe="", errors="replace"), url)
    header = f'-H "@{HEADER_FILE}" ' if guarded else ""
    return f'curl {header}"{safe}"'


def _address(url: str, pairs: list[tuple[str, str]]) -> str:
    query = urlencode(pairs, errors="replace")
    return urlunsplit(urlsplit(url)._replace(query=query, fragment=""))


def _with_key(address: str) -> list[str]:
    """The address in three parts, the second being the place of the key."""
    path, mark, query = address.partition("?")
    front, _, route = path.rpartition("/")
    return [f"{front}/c/", KEY, f"/{route}{mark}{query}"]
