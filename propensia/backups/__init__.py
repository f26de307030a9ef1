"""A copy of everything that the program owns, and the way back: one zip file, whole or absent.

It never stops the service while it copies, and never writes anything of a zip that is not, to the
last byte, what its own manifest says.
"""

from propensia.backups.copying import backup
from propensia.backups.manifest import BackupError, Manifest
from propensia.backups.restoring import Restored, restore

__all__ = ["BackupError", "Manifest", "Restored", "backup", "restore"]
