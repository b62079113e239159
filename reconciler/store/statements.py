"""The SQL text for reading and writing rows by id; built once per table and set of columns. Pure.

Values never become part of the text, and names come from `SHAPES` or pass
through `sql.Identifier`.
"""

from __future__ import annotations

from functools import lru_cache

from psycopg import sql

from reconciler.store.shapes import SHAPES, USERS, Shape


def table_name(table: str) -> sql.Composed:
    """Quote *table* with its schema; raises KeyError for a table that isn't ours to touch."""
    return sql.SQL("{}").format(sql.Identifier(SHAPES[table].schema, table))


@lru_cache(maxsize=256)
def select_by_ids(table: str, columns: tuple[str, ...]) -> bytes:
    """Select key and *columns* of the rows whose key is in the list %(ids)s."""
    shape = SHAPES[table]
    key = sql.Identifier("t", shape.key)
    wanted = [key, *(_selected(shape, column) for column in columns)]
    joins = [
        sql.SQL(" LEFT JOIN {users} AS {alias} ON {alias}.id = t.{column}").format(
            users=table_name(USERS),
            alias=sql.Identifier(f"u_{name}"),
            column=sql.Identifier(column),
        )
        for name, column in shape.people.items()
        if name in columns
    ]
    statement = sql.SQL("SELECT {wanted} FROM {table} AS t{joins} WHERE {key} = ANY({ids})")
    return statement.format(
        key=key,
        wanted=sql.SQL(", ").join(wanted),
        table=table_name(table),
        joins=sql.SQL("").join(joins),
        ids=sql.Placeholder("ids"),
    ).as_bytes()


def _selected(shape: Shape, column: str) -> sql.Composable:
    if column in shape.people:
        return sql.SQL("lower({})").format(sql.Identifier(f"u_{column}", "email"))
    return sql.Identifier("t", column)


@lru_cache(maxsize=64)
def select_keys(table: str, column: str) -> bytes:
    """Select *column* and key of the rows whose *column* is in the list %(values)s."""
    statement = sql.SQL("SELECT {column}, {key} FROM {table} WHERE {column} = ANY({values})")
    return statement.format(
        column=sql.Identifier(column),
        key=sql.Identifier(SHAPES[table].key),
        table=table_name(table),
        values=sql.Placeholder("values"),
    ).as_bytes()


@lru_cache(maxsize=256)
def upsert(table: str, columns: tuple[str, ...], stamps: tuple[str, ...], create: bool) -> bytes:
    """Update *columns* and the times *stamps* of the row %(key)s, or insert it.

    The update comes first: an INSERT ... ON CONFLICT would demand a value for
    every NOT NULL column even of a row that exists.
    """
    shape = SHAPES[table]
    updated = tuple(stamp for stamp in stamps if stamp != shape.created)
    changed = [*columns, *updated] or [shape.key]
    assignments = [
        sql.SQL("{} = {}").format(_column(shape, name), _value(shape, name)) for name in changed
    ]
    update = sql.SQL("UPDATE {table} SET {assignments} WHERE {key} = {id}").format(
        table=table_name(table),
        assignments=sql.SQL(", ").join(assignments),
        key=sql.Identifier(shape.key),
        id=sql.Placeholder("key"),
    )
    if not create:
        return update.as_bytes()
    names = [shape.key, *(n for n in (*columns, *stamps) if n != shape.key)]
    statement = sql.SQL(
        "WITH updated AS ({update} RETURNING 1) INSERT INTO {table} ({names}) "
        "SELECT {values} WHERE NOT EXISTS (SELECT FROM updated)"
    )
    return statement.format(
        update=update,
        table=table_name(table),
        names=sql.SQL(", ").join(_column(shape, name) for name in names),
        values=sql.SQL(", ").join(_value(shape, name) for name in names),
    ).as_bytes()


def _column(shape: Shape, name: str) -> sql.Identifier:
    return sql.Identifier(shape.people.get(name, name))


def _value(shape: Shape, name: str) -> sql.Composable:
    if name == shape.key:
        return sql.Placeholder("key")
    if name in (shape.created, shape.updated):
        return sql.Placeholder("now")
    if name in shape.people:
        return user_id(f"c_{name}")
    return sql.Placeholder(f"c_{name}")


def user_id(parameter: str) -> sql.Composed:
    """Find a user by e-mail: spelt exactly so, else without regard to case."""
    statement = sql.SQL(
        "COALESCE((SELECT id FROM {users} WHERE email = {email}::text LIMIT 1), "
        "(SELECT id FROM {users} WHERE lower(email) = lower({email}::text) LIMIT 1))"
    )
    return statement.format(users=table_name(USERS), email=sql.Placeholder(parameter))


@lru_cache(maxsize=4)
def insert_user(stamps: tuple[str, ...]) -> bytes:
    """Insert the user %(id)s with %(email)s unless there is one with this e-mail."""
    names = ("id", "email", *stamps)
    values = [sql.Placeholder(name) for name in ("id", "email")]
    values += [sql.Placeholder("now") for _ in stamps]
    statement = sql.SQL(
        "INSERT INTO {users} ({names}) SELECT {values} WHERE {found} IS NULL ON CONFLICT DO NOTHING"
    )
    return statement.format(
        users=table_name(USERS),
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        values=sql.SQL(", ").join(values),
        found=user_id("email"),
    ).as_bytes()


SELECT_USER = sql.SQL("SELECT {}").format(user_id("email")).as_bytes()

SELECT_MEMBERS = b"""
SELECT m.organization_id, lower(u.email), m.role
FROM reconciler.memberships AS m JOIN public.users AS u ON u.id = m.user_id
WHERE m.organization_id = ANY(%(ids)s)
ORDER BY u.email
"""

REPLACE_MEMBERS = b"""
WITH given AS (
    SELECT COALESCE(
        (SELECT id FROM public.users AS u WHERE u.email = g.email LIMIT 1),
        (SELECT id FROM public.users AS u WHERE lower(u.email) = lower(g.email) LIMIT 1)
    ) AS user_id, g.role
    FROM unnest(%(emails)s::text[], %(roles)s::text[]) AS g(email, role)
), gone AS (
    DELETE FROM reconciler.memberships
    WHERE organization_id = %(key)s AND user_id NOT IN (SELECT user_id FROM given)
)
INSERT INTO reconciler.memberships (organization_id, user_id, role)
SELECT %(key)s, user_id, role FROM given
ON CONFLICT (organization_id, user_id) DO UPDATE SET role = EXCLUDED.role
WHERE memberships.role IS DISTINCT FROM EXCLUDED.role
"""

DELETE_MEMBERS = b"DELETE FROM reconciler.memberships WHERE organization_id = %(key)s"


@lru_cache(maxsize=16)
def delete(table: str) -> bytes:
    """Delete the row %(key)s."""
    statement = sql.SQL("DELETE FROM {table} WHERE {key} = {id}")
    return statement.format(
        table=table_name(table),
        key=sql.Identifier(SHAPES[table].key),
        id=sql.Placeholder("key"),
    ).as_bytes()
