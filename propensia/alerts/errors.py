"""Why a message was not delivered.

It never says where to, nor what came back.
"""

from __future__ import annotations


class NotDelivered(Exception):
    """A message was not taken. The text is short, and holds neither address nor secret;
    ``final``: it never will be."""

    def __init__(self, problem: str, *, final: bool = False) -> None:
        super().__init__(problem)
        self.final = final
