"""The audit log: every change of state, who made it and why, each chained to the one before.

It is only added to. It must never hold a value that was received, a key, a token or a reference.
"""

from propensia.audit.checking import Verdict, verify
from propensia.audit.log import FOLDER, NAME, Audit
from propensia.audit.records import EVENTS, FIRST, Head, Record

__all__ = ["EVENTS", "FIRST", "FOLDER", "NAME", "Audit", "Head", "Record", "Verdict", "verify"]
