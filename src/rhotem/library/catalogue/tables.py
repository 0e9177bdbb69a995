"""Tables of the catalogue, the same in SQLite and PostgreSQL."""

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text

METADATA = MetaData()

#: ``schema``: version of the tables.
about = Table(
    "about",
    METADATA,
    Column("key", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)

#: `rhotem.library.entry.Entry`; thicknesses as JSON, their least and most apart for search.
entries = Table(
    "entries",
    METADATA,
    Column("id", String(20), primary_key=True),
    Column("title", Text, nullable=False),
    Column("formula", String(120), nullable=False),
    Column("elements", String(240), nullable=False),
    Column("zone", String(40), nullable=False),
    Column("thicknesses", Text, nullable=False),
    Column("thinnest", Float, nullable=False),
    Column("thickest", Float, nullable=False),
    Column("preset", String(80), nullable=False),
    Column("source", String(240), nullable=False),
    Column("energy", Float, nullable=False),
    Column("convergence", Float, nullable=False),
    Column("temperature", Float),
    Column("spacegroup", Integer, nullable=False),
    Column("prototype", String(120), nullable=False),
    Column("defect", Text, nullable=False),
    Column("atoms", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("checksum", String(64), nullable=False),
    Column("state", String(20), nullable=False),
    Column("created", String(40), nullable=False),
)
for _name in ("formula", "prototype", "spacegroup", "title"):
    Index(f"entries_{_name}", entries.c[_name])

#: Which entries hold an element.
elements = Table(
    "elements",
    METADATA,
    Column("symbol", String(2), primary_key=True),
    Column("entry", String(20), primary_key=True),
)

#: Contrast of a kind of column in an image at the best tabulated focus (`rhotem.library.contrast`).
contrasts = Table(
    "contrasts",
    METADATA,
    Column("entry", String(20), primary_key=True),
    Column("image", String(40), primary_key=True),
    Column("label", String(40), primary_key=True),
    Column("thickness", Float, primary_key=True),
    Column("defocus", Float, nullable=False),
    Column("contrast", Float, nullable=False),
    Column("noise", Float),
)
Index(
    "contrasts_asked",
    contrasts.c.image,
    contrasts.c.label,
    contrasts.c.thickness,
    contrasts.c.contrast,
    contrasts.c.noise,
    contrasts.c.defocus,
    contrasts.c.entry,
)

#: What tells structures apart (`rhotem.library.fingerprint`), float32.
fingerprints = Table(
    "fingerprints",
    METADATA,
    Column("entry", String(20), primary_key=True),
    Column("vector", LargeBinary, nullable=False),
)

#: How an image of an entry looks (`rhotem.library.appearance`), the mean over its thicknesses and tabulated foci.
appearances = Table(
    "appearances",
    METADATA,
    Column("entry", String(20), primary_key=True),
    Column("image", String(40), primary_key=True),
    Column("harmonics", LargeBinary, nullable=False),
)

#: Plans of campaigns as they were run.
campaigns = Table(
    "campaigns",
    METADATA,
    Column("name", String(120), primary_key=True),
    Column("plan", Text, nullable=False),
    Column("created", String(40), nullable=False),
)

#: Tasks of campaigns. ``state``: waiting, done, failed or cancelled.
tasks = Table(
    "tasks",
    METADATA,
    Column("campaign", String(120), primary_key=True),
    Column("id", String(20), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("title", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("finished", Float),
)
Index("tasks_state", tasks.c.campaign, tasks.c.state, tasks.c.number)
Index("tasks_id", tasks.c.id)
