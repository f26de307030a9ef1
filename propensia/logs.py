"""Where log lines go: standard error, each event told apart from all others.

It must never let the text of a message begin a line, or steer the terminal that shows it.
"""

from __future__ import annotations

import logging


class _Apart(logging.Formatter):
    """Every line but the first begins with blanks, and nothing but printable text is left.

    A name with a line end in it could else forge an event (OWASP ASVS 5, 16.4.1).
    """

    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record).splitlines()
        return "\n    ".join(
            "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
            for line in lines
        )


def to_stderr(level: int, form: str) -> None:
    """Send events from ``level`` on to standard error, in the form of ``logging.Formatter``.

    Where the program that runs us has set up the root logger, that counts.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Apart(form))
    logging.basicConfig(level=level, handlers=[handler])
