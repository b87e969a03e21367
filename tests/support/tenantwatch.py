"""Watches every statement of a test: one that touches a tenant's table must name the tenant, or say that it is about every tenant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Column, Table, event
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ClauseElement, Delete, Select, Update, visitors

from blocklists.database import Database


@contextmanager
def tenants_watched(database: Database) -> Iterator[list[str]]:
    """Collects the statements that forgot their tenant; empty when all is well."""
    forgotten: list[str] = []

    def watch(connection: Connection, statement: Any, *rest: Any) -> None:
        if isinstance(statement, Select | Update | Delete) and not statement.get_execution_options().get("every_tenant"):
            forgotten.extend(f"{table}: {statement}" for table in tables_without_tenant(statement))

    engines = [database.reader.sync_engine, database.writer.sync_engine]
    for engine in engines:
        event.listen(engine, "before_execute", watch)
    try:
        yield forgotten
    finally:
        for engine in engines:
            event.remove(engine, "before_execute", watch)


def tables_without_tenant(statement: ClauseElement) -> list[str]:
    """The tenant tables of a statement whose tenant column stands in no condition. Tables joined to one that names its tenant are rows of
    the same tenant by their keys."""
    tables = {element for element in visitors.iterate(statement) if isinstance(element, Table) and _tenant_of(element) is not None}
    named: set[Any] = set()
    for condition in _conditions(statement):
        named |= {element for element in visitors.iterate(condition) if isinstance(element, Column)}
    unnamed = [table.name for table in tables if _tenant_of(table) not in named]
    return sorted(unnamed) if len(unnamed) == len(tables) else []


def _conditions(statement: Any) -> list[Any]:
    found = [statement.whereclause] if statement.whereclause is not None else []
    for element in visitors.iterate(statement):
        if element is not statement and isinstance(element, Select | Update | Delete) and element.whereclause is not None:
            found.append(element.whereclause)
    return found


def _tenant_of(table: Table) -> Any:
    return next((column for column in table.columns if column.info.get("tenant")), None)
