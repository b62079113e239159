"""`organization` and `users` as we make them where the host application has none.

Where it has them they look different, and only their ids are relied upon.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from reconciler.store.tables.base import metadata, optional, required, stamps

organization = Table(
    "organization", metadata, Column("id", Text, primary_key=True), required("name"), *stamps()
)

users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    required("email"),
    *optional("name"),
    *stamps(),
    Index("users_email_key", "email", unique=True),
)
