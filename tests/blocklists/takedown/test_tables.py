"""The schema of takedown: what must never have a column has none."""

from __future__ import annotations

import blocklists.takedown.tables  # noqa: F401  joins the metadata
from blocklists.tables import metadata


def test_no_column_can_hold_what_must_not_be_stored() -> None:
    """No file, picture, path, query, address of a reporter, name or birth date has a place in the schema."""
    columns = {column.name for table in metadata.tables.values() if table.name.startswith("takedown_") for column in table.columns}
    forbidden = (
        "path",
        "url",
        "query",
        "file_content",
        "picture",
        "image",
        "screenshot",
        "client",
        "ip_address",
        "birth",
        "child",
        "class",
    )
    assert [name for name in columns if any(word == name or name.endswith(f"_{word}") for word in forbidden)] == []
