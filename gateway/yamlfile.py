"""Strict reading of the YAML files people write: the configuration, orders, the shipped catalogue. Any package may import this module.

Plain scalars follow the YAML 1.2 core schema (§10.3.2), so `off`, `no`, `on` and `21:00` are text. Numbers keep the text they
were written with, because ids and tokens are text even when they look like numbers (`007`). Duplicate keys, anchors, aliases,
merge keys and tags are mistakes: each of them lets a file say something else than its reader sees. Every value's line is kept for messages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from gateway.errors import Mistake, SettingsError

Keys = tuple[str | int, ...]
MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 40
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser gives the same events, ten times faster

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


class WrittenInt(int):
    """An integer that remembers how it was written."""

    text: str


class WrittenFloat(float):
    """A number with a fraction or an exponent that remembers how it was written."""

    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: plain dicts, lists and scalars, and the line (from 1) of every key path."""

    path: Path | None
    value: Any  # Any: whatever the file holds; the caller validates it
    lines: Mapping[Keys, int] = field(default_factory=dict)

    def place(self, keys: Keys) -> str:
        """Say where `keys` stands: `lachan.yaml:12: profiles[0].band`; the nearest parent's line serves for a missing key."""
        line = next((self.lines[keys[:end]] for end in range(len(keys), -1, -1) if keys[:end] in self.lines), 1)
        where = f"{self.path.name if self.path else 'text'}:{line}"
        return f"{where}: {dotted(keys)}" if keys else where


def dotted(keys: Keys) -> str:
    """Write a key path as a person does: `profiles[0].allow[2]`."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else (f".{key}" if text else str(key))
    return text


def text_of_scalar(value: object) -> object:
    """Give back the text of a number as it was written; any other value is returned unchanged."""
    return value.text if isinstance(value, WrittenInt | WrittenFloat) else value


def read(path: Path) -> Document:
    """Read and parse a file. Raises SettingsError with every mistake found, each with its line."""
    return parse(read_text(path), path)


def read_text(path: Path) -> str:
    """The text of a file. Raises SettingsError when there is none, or it is no text."""
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        is_refused = isinstance(error, PermissionError)
        remedy = "run it with sudo, or as the user of the gateway" if is_refused else "name the file with -c FILE"
        raise SettingsError([Mistake(str(path), f"this file {reason}", remedy)]) from error
    if len(data) > MAX_BYTES:
        raise SettingsError([Mistake(str(path), f"this file is larger than {MAX_BYTES // 1024 // 1024} MiB")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError([Mistake(f"{path.name}:{line}", "this line is not UTF-8", "save the file as UTF-8")]) from error


def parse(text: str, path: Path | None = None) -> Document:
    """Parse one YAML document. Raises SettingsError with every mistake found, each with its line."""
    name = path.name if path else "text"
    try:
        mistakes = _forbidden_events(text, name)
        if mistakes:
            raise SettingsError(mistakes)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise SettingsError([Mistake(f"{name}:{line}", f"not YAML: {error.problem or error.context}")]) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SettingsError([Mistake(name, f"not YAML: {' '.join(str(error).split())[:200]}")]) from error
    builder = _Builder(name)
    value = builder.build(node, ()) if node is not None else None
    if builder.mistakes:
        raise SettingsError(builder.mistakes)
    return Document(path, value, builder.lines)


def _forbidden_events(text: str, name: str) -> list[Mistake]:
    """Find anchors, aliases, tags and second documents, which compose() would resolve silently."""
    mistakes: list[Mistake] = []
    documents = depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        where = f"{name}:{_line(event)}"
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise SettingsError([Mistake(where, f"lists and sections are nested deeper than {MAX_DEPTH}")])
        if documents > 1:
            raise SettingsError([*mistakes, Mistake(where, "a second document starts here", "keep one document in a file")])
        anchor = getattr(event, "anchor", None)
        if anchor:
            kind = f"alias *{anchor}" if isinstance(event, AliasEvent) else f"anchor &{anchor}"
            mistakes.append(Mistake(where, f"{kind} is not allowed", "write the value out"))
        tag = getattr(event, "tag", None)
        if tag:
            mistakes.append(Mistake(where, f"tag {tag} is not allowed", "write the value without it"))
    return mistakes


def _line(part: yaml.Event | Node) -> int:
    return part.start_mark.line + 1 if part.start_mark else 1


class _Builder:
    """Turns composed nodes into plain values, collecting lines and mistakes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[Keys, int] = {}
        self.mistakes: list[Mistake] = []

    def build(self, node: Node, keys: Keys) -> Any:  # Any: the value has whatever shape the file gives it
        self.lines.setdefault(keys, _line(node))
        if isinstance(node, ScalarNode):
            return _resolve(node)
        if isinstance(node, SequenceNode):
            return [self.build(child, (*keys, index)) for index, child in enumerate(node.value)]
        assert isinstance(node, MappingNode)
        return self._mapping(node, keys)

    def _mapping(self, node: MappingNode, keys: Keys) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = _line(key_node)
            if not isinstance(key_node, ScalarNode):
                self._mistake(line, keys, "a key must be a word, not a list or a section")
                continue
            key = str(key_node.value)
            if key in values:
                first = self.lines[(*keys, key)]
                self._mistake(line, (*keys, key), f"this key is written twice, first on line {first}", "keep one of them")
                continue
            if key == "<<" and not key_node.style:
                self._mistake(line, keys, "merge keys (<<) are not allowed", "write the values out")
                continue
            self.lines[(*keys, key)] = line
            values[key] = self.build(value_node, (*keys, key))
        return values

    def _mistake(self, line: int, keys: Keys, message: str, remedy: str = "") -> None:
        self.mistakes.append(Mistake(f"{self.name}:{line}: {dotted(keys)}" if keys else f"{self.name}:{line}", message, remedy))


def _resolve(node: ScalarNode) -> str | int | float | bool | None:
    """Give a scalar its YAML 1.2 core value; quoted and block scalars are text."""
    text = str(node.value)
    if node.style:
        return text
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    number: WrittenInt | WrittenFloat | None = None
    if len(text) > 40:
        return text
    if _INT.fullmatch(text):
        number = WrittenInt(text, 10)
    elif _OCTAL.fullmatch(text):
        number = WrittenInt(text[2:], 8)
    elif _HEX.fullmatch(text):
        number = WrittenInt(text[2:], 16)
    elif _FLOAT.fullmatch(text):
        number = WrittenFloat(text)
    if number is None:
        return text
    number.text = text
    return number
