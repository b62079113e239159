"""What a migration may make, change and drop in a database that others use, too.

A host application may have its own `organization` and `users`, or may have
created the seed's five tables itself. What is there is checked and left alone;
what we make is noted in `reconciler.created_objects`, and only that is ever
dropped. Used by the migrations only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, text

from reconciler.errors import ConfigError

PROBE = "reconciler_probe"
KEPT = "reconciler_kept"
Shape: TypeAlias = dict[str, tuple[str, bool]]  # column -> type, not null

_SHAPE = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = to_regclass(:relation) AND attnum > 0 AND NOT attisdropped
"""


class Ownership:
    """Makes objects where they are absent and remembers which ones it made."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _one(self, statement: str, **values: Any) -> Any:
        return self._connection.execute(text(statement), values).scalar()

    def _run(self, statement: str) -> None:
        self._connection.exec_driver_sql(statement)

    def note(self, kind: str, name: str) -> None:
        """Remember that we made an object."""
        self._one(
            "INSERT INTO reconciler.created_objects (kind, name) VALUES (:kind, :name) RETURNING 1",
            kind=kind,
            name=name,
        )

    def forget(self, kind: str, name: str) -> None:
        """Forget that we made an object: it is gone."""
        self._connection.execute(
            text("DELETE FROM reconciler.created_objects WHERE kind = :kind AND name = :name"),
            {"kind": kind, "name": name},
        )

    def made(self, kind: str, name: str) -> bool:
        """Whether we made an object."""
        return bool(
            self._one(
                "SELECT 1 FROM reconciler.created_objects WHERE kind = :kind AND name = :name",
                kind=kind,
                name=name,
            )
        )

    def enum(self, name: str, labels: Sequence[str]) -> None:
        """Make an enum type; one that is there must have all *labels*."""
        present = (
            self._connection.execute(
                text("SELECT enumlabel FROM pg_enum WHERE enumtypid = to_regtype(:type)"),
                {"type": f'public."{name}"'},
            )
            .scalars()
            .all()
        )
        if not present:
            listed = ", ".join(f"'{label}'" for label in labels)
            self._run(f'CREATE TYPE "{name}" AS ENUM ({listed})')
            self.note("type", name)
            return
        missing = [label for label in labels if label not in present]
        if missing:
            message = f'the enum type "{name}" is there, but lacks {", ".join(missing)}'
            raise ConfigError(message, hint=f'ALTER TYPE "{name}" ADD VALUE ...')

    def table(self, name: str, ddl: str) -> None:
        """Make a table with *ddl*; one that is there must have these columns."""
        if self._one("SELECT to_regclass(:relation)", relation=f'public."{name}"') is None:
            self._run(ddl)
            self.note("table", name)
            return
        present = self.shape(f'public."{name}"')
        for column, wanted in self._shape_of(name, ddl).items():
            if present.get(column) != wanted:
                found = present[column][0] if column in present else "absent"
                message = (
                    f'table "{name}" is there, but its column "{column}" is {found} '
                    f"instead of {wanted[0]}{' NOT NULL' if wanted[1] else ''}"
                )
                raise ConfigError(message, hint="correct the table or use another database")

    def host_table(self, name: str, ddl: str) -> bool:
        """Make a table that the host application usually has; one that is there stays as it is.

        Returns whether it was made now. Raises ConfigError when the seed's foreign keys could not
        refer to the one that is there.
        """
        relation = f'public."{name}"'
        if self._one("SELECT to_regclass(:relation)", relation=relation) is None:
            self._run(ddl)
            self.note("table", name)
            return True
        kind, _ = self.shape(relation).get("id", ("absent", False))
        if not kind.startswith(("text", "character varying")):
            message = f'table "{name}" is there, but its column "id" is {kind} instead of text'
            raise ConfigError(message, hint="the five tables refer to it by a text id")
        return False

    def index(self, name: str, ddl: str) -> None:
        """Make an index unless one of that name is there."""
        if self._one("SELECT to_regclass(:relation)", relation=f'public."{name}"') is None:
            self._run(ddl)
            self.note("index", name)

    def constraint(self, table: str, name: str, definition: str) -> None:
        """Add a constraint unless the table has one of that name."""
        present = self._one(
            "SELECT 1 FROM pg_constraint WHERE conname = :name "
            "AND conrelid = to_regclass(:relation)",
            name=name,
            relation=f'public."{table}"',
        )
        if present is None:
            self._run(f'ALTER TABLE "{table}" ADD CONSTRAINT "{name}" {definition}')
            self.note(f"constraint of {table}", name)

    def shape(self, relation: str) -> Shape:
        """Read the columns of a relation."""
        rows = self._connection.execute(text(_SHAPE), {"relation": relation})
        return {row[0]: (row[1], row[2]) for row in rows}

    def _shape_of(self, name: str, ddl: str) -> Shape:
        """Find out which columns *ddl* makes, by running it in a schema that is dropped again."""
        self._run(f"CREATE SCHEMA {PROBE}")
        self._run(f"SET LOCAL search_path TO {PROBE}, public")
        self._run(ddl)
        found = self.shape(f'{PROBE}."{name}"')
        self._run("SET LOCAL search_path TO public")
        self._run(f"DROP SCHEMA {PROBE} CASCADE")
        return found

    def drop_table(self, name: str) -> None:
        """Drop a table if we made it."""
        if self.made("table", name):
            self._run(f'DROP TABLE IF EXISTS "{name}"')

    def drop_host_table(self, name: str, ddl: str) -> None:
        """Drop a host's table if we made it and nobody gave it other columns since."""
        same = self.shape(f'public."{name}"') == self._shape_of(name, ddl)
        if same and self.made("table", name):
            self._run(f'DROP TABLE "{name}"')

    def drop_index(self, name: str) -> None:
        """Drop an index if we made it."""
        if self.made("index", name):
            self._run(f'DROP INDEX IF EXISTS "{name}"')

    def drop_constraint(self, table: str, name: str) -> None:
        """Drop a constraint if we made it."""
        if self.made(f"constraint of {table}", name):
            self._run(f'ALTER TABLE IF EXISTS "{table}" DROP CONSTRAINT IF EXISTS "{name}"')

    def drop_enum(self, name: str) -> None:
        """Drop an enum type if we made it."""
        if self.made("type", name):
            self._run(f'DROP TYPE "{name}"')

    def keep_relations(self, names: Sequence[str]) -> None:
        """Put tables of ours aside, so that the next upgrade finds their rows again."""
        self._run(f"CREATE SCHEMA IF NOT EXISTS {KEPT}")
        for name in names:
            self._run(f"ALTER TABLE reconciler.{name} SET SCHEMA {KEPT}")

    def bring_back(self, name: str) -> bool:
        """Bring back a table that a downgrade put aside; False: there is none."""
        if self._one("SELECT to_regclass(:relation)", relation=f"{KEPT}.{name}") is None:
            return False
        self._run(f"ALTER TABLE {KEPT}.{name} SET SCHEMA reconciler")
        return True

    def keep_columns(
        self,
        table: str,
        columns: Mapping[str, str],
        *,
        aside: str | None = None,
        key: Sequence[str] = ("id",),
        schema: str = "public",
    ) -> None:
        """Drop *columns* of a table, but put their values aside, by *key*, as table *aside*."""
        relation = f'{schema}."{table}"'
        if not self.shape(relation):
            return  # the seed's own rollback was here
        self._run(f"CREATE SCHEMA IF NOT EXISTS {KEPT}")
        names = ", ".join(f'"{name}"' for name in (*key, *columns))
        self._run(f'CREATE TABLE {KEPT}."{aside or table}" AS SELECT {names} FROM {relation}')
        drops = ", ".join(f'DROP COLUMN "{name}"' for name in columns)
        self._run(f"ALTER TABLE {relation} {drops}")

    def add_columns(
        self,
        table: str,
        columns: Mapping[str, str],
        *,
        aside: str | None = None,
        key: Sequence[str] = ("id",),
        schema: str = "public",
    ) -> None:
        """Add *columns* (name -> definition) and the values that a downgrade put aside."""
        relation = f'{schema}."{table}"'
        kept = f'{KEPT}."{aside or table}"'
        adds = ", ".join(f'ADD COLUMN "{name}" {kind}' for name, kind in columns.items())
        self._run(f"ALTER TABLE {relation} {adds}")
        if self._one("SELECT to_regclass(:relation)", relation=kept) is None:
            return
        sets = ", ".join(f'"{name}" = k."{name}"' for name in columns)
        same = " AND ".join(f'k."{name}" = t."{name}"' for name in key)
        self._run(f"UPDATE {relation} AS t SET {sets} FROM {kept} AS k WHERE {same}")
        self._run(f"DROP TABLE {kept}")

    def drop_kept(self) -> None:
        """Drop what downgrades put aside."""
        self._run(f"DROP SCHEMA IF EXISTS {KEPT} CASCADE")
