"""The commands about data and training; each is imported only when it runs.

They read what was typed and hand it on; they compute nothing.
"""

from __future__ import annotations

import click

COMMANDS: tuple[click.Command, ...] = ()
