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
    text,
)

METADATA = MetaData()
REVISION = "0001"
"""The last of the ``migrations``."""
ID = String(40)

# One row per answer. ``rules``: the fingerprint of the contract; ``notes``: JSON, [[parameter,
# code, value that was used], …].
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
    # Where few answers have a reference, the others cost nothing.
    Index(
        "answers_by_reference",
        "reference",
        "id",
        sqlite_where=text("reference IS NOT NULL"),
        postgresql_where=text("reference IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

# The texts that were received: JSON, a list in the order of the contract's parameters. Kept for a
# shorter time than the answers.
inputs = Table(
    "inputs",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("texts", Text, nullable=False),
    sqlite_with_rowid=False,
)

# One row per request that could not be scored. ``faults``: JSON, [[parameter, code], …].
refusals = Table(
    "refusals",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("caller", String(255), nullable=False),
    Column("faults", Text, nullable=False),
    sqlite_with_rowid=False,
)

# What came of an answer, as far as it is known now. ``date``: YYYY-MM-DD; ``first_paid``: of the
# first payment that nothing later denies, as long as it is known as paid.
outcomes = Table(
    "outcomes",
    METADATA,
    Column("answer", ID, primary_key=True),
    Column("paid", Boolean, nullable=False),
    Column("cents", BigInteger),
    Column("date", String(10), nullable=False),
    Column("first_paid", String(10)),
    Column("source", String(255), nullable=False),
    Column("event", ID, nullable=False),
)

# Every outcome that was ``told``, when first and how many ``times``, and what became of it
# (``state``, as ``store.outcomes`` says): the answer that it is about is ``matched``. ``until``:
# the first id of the day after ``date``.
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
    Column("until", String(11), nullable=False),
    Column("told", BigInteger, nullable=False),
    Column("times", Integer, nullable=False),
    Column("matched", ID),
    Column("state", String(16), nullable=False),
    Index("outcome_events_by_state", "state", "answer"),
    # Whoever erases somebody looks here, and holds up all others meanwhile.
    Index(
        "outcome_events_by_answer",
        "answer",
        "state",
        sqlite_where=text("answer IS NOT NULL"),
        postgresql_where=text("answer IS NOT NULL"),
    ),
    Index("outcome_events_by_reference", "reference", "answer", "state"),
    Index("outcome_events_by_match", "matched"),
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
    Column("noted", BigInteger, nullable=False),  # in how many a value was assumed
)
scores = Table(
    "score_windows",
    METADATA,
    Column("hour", BigInteger, primary_key=True),
    Column("version", String(12), primary_key=True),
    Column("bin", Integer, primary_key=True),
    Column("count", BigInteger, nullable=False),
)

# What was told beside answers (``note``), why requests were refused (``fault``), and how many were
# (``refusal``, without parameter and code); by whom, since when.
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
    # Since when, of all times.
    Index("quality_windows_by_cause", "caller", "kind", "parameter", "code", "first"),
)

# Whom the store has to forget: an id, or the keyed hash of a reference, and since when. What the
# journal still holds of them must not come back.
erased = Table(
    "erased",
    METADATA,
    Column("key", ID, primary_key=True),
    Column("at", BigInteger, nullable=False),
)

# When it was last looked for what is too old, and since when the clock has not jumped: one row.
looks = Table(
    "looks",
    METADATA,
    Column("name", String(16), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
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
    Index("measurements_by_kind", "kind", "version", "at"),
)

# What somebody had to be told, a row for each time that it began, and the messages that tell it.
# ``text``: in Spanish. Times: ``told`` and ``seen`` the last ones, ``ended`` 0 while it goes on,
# so that the same thing can go on only once, whoever sees it. A message is ``waiting`` until
# ``due``, then ``sent`` or ``failed``.
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
    Column("english", Text, nullable=False),
    Column("told", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("ended", BigInteger, nullable=False),
    Index("alerts_once", "ended", "kind", "subject", "version", unique=True),
)
outbox = Table(
    "outbox",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("channel", String(16), nullable=False),
    Column("payload", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("problem", Text, nullable=False),
    Index("outbox_by_state", "state", "due"),
)

SCORE_BINS = 20
"""Of equal width in [0, 1]; the last holds 1."""
