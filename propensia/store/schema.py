"""The tables of the store, as they are now; ``migrations`` bring an older database here.

No column holds a reference of a caller, only its keyed hash. Times are milliseconds since 1970 in
UTC, hours are the first of their milliseconds; ids are in the order of time.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

METADATA = MetaData()
ID = String(40)

# One row per answer. ``rules``: the fingerprint of the contract; ``notes``: JSON, [[parameter,
# code], …].
answers = Table(
    "answers",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("version", String(12), nullable=False),
    Column("publication", Integer, nullable=False),
    Column("model", String(255), nullable=False),
    Column("rules", String(16), nullable=False),
    Column("caller", String(255), nullable=False),
    Column("reference", String(32)),
    Column("probability", Double, nullable=False),
    Column("threshold", Double, nullable=False),
    Column("positive", Boolean, nullable=False),
    Column("notes", Text, nullable=False),
    # Few answers have a reference, and only those are looked for by it.
    Index("answers_by_reference", "reference", "id"),
)

# The texts that were received: JSON, a list in the order of the contract's parameters. Kept for a
# shorter time than the answers.
inputs = Table(
    "inputs",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("texts", Text, nullable=False),
)

# What came of an answer, as far as it is known now. ``date``: YYYY-MM-DD.
outcomes = Table(
    "outcomes",
    METADATA,
    Column("answer", ID, primary_key=True),
    Column("paid", Boolean, nullable=False),
    Column("cents", BigInteger),
    Column("date", String(10), nullable=False),
    Column("source", String(255), nullable=False),
    Column("event", ID, nullable=False),
)

# Every outcome that was told, and what became of it (``state``).
events = Table(
    "outcome_events",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("answer", ID),
    Column("reference", String(32)),
    Column("paid", Boolean, nullable=False),
    Column("cents", BigInteger),
    Column("date", String(10), nullable=False),
    Column("source", String(255), nullable=False),
    Column("state", String(16), nullable=False),
    Index("outcome_events_by_state", "state"),
)

# Sums of each hour, so that no page has to read answers.
windows = Table(
    "windows",
    METADATA,
    Column("hour", BigInteger, primary_key=True),
    Column("version", String(12), primary_key=True),
    Column("caller", String(255), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("positive", BigInteger, nullable=False),
    Column("probability", Double, nullable=False),
    Column("noted", BigInteger, nullable=False),
)
scores = Table(
    "score_windows",
    METADATA,
    Column("hour", BigInteger, primary_key=True),
    Column("version", String(12), primary_key=True),
    Column("bin", Integer, primary_key=True),
    Column("count", BigInteger, nullable=False),
)

# What was assumed (``note``) or refused (``fault``), by whom, since when.
quality = Table(
    "quality_windows",
    METADATA,
    Column("hour", BigInteger, primary_key=True),
    Column("caller", String(255), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("parameter", String(64), primary_key=True),
    Column("code", String(64), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
)

# How far each file of the journal was shipped.
positions = Table(
    "positions",
    METADATA,
    Column("file", String(64), primary_key=True),
    Column("place", BigInteger, nullable=False),
)

# What the monitoring found: a number, its interval if it has one, and JSON for the rest.
measurements = Table(
    "measurements",
    METADATA,
    Column("at", BigInteger, primary_key=True),
    Column("version", String(12), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("subject", String(64), primary_key=True),
    Column("value", Double),
    Column("low", Double),
    Column("high", Double),
    Column("detail", Text, nullable=False),
)

# What somebody had to be told, and the messages that tell it, until they are delivered.
alerts = Table(
    "alerts",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("version", String(12), nullable=False),
    Column("value", Double),
    Column("limit", Double),
    Column("text", Text, nullable=False),
)
outbox = Table(
    "outbox",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("alert", ID, nullable=False),
    Column("channel", String(16), nullable=False),
    Column("payload", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("sent", BigInteger),
    Column("problem", Text, nullable=False),
    Index("outbox_by_sent", "sent", "due"),
)

SCORE_BINS = 20
"""Of equal width in [0, 1]; the last holds 1."""

HOUR_MS = 3_600_000
