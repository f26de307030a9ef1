"""Alerts: what is wrong, told to people once, and again only when they would have forgotten it.

Nothing is sent anywhere unless a setting says where to; no message holds a value of a debtor.
"""

from propensia.alerts.delivery import deliver, try_out
from propensia.alerts.raising import raise_from
from propensia.alerts.watch import Watch

__all__ = ["Watch", "deliver", "raise_from", "try_out"]
