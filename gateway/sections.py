"""How a section of the configuration file is declared and checked: the base class, the value types, the messages.

Each package declares its own sections with these parts (`gateway/written.py`, `blocklists/settings.py`, `admin/settings.py`)
and calls `check`, which gives every mistake at once, each with its file, line and path. Any package may import this module.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import ErrorDetails

from gateway.errors import InvalidName, Mistake
from gateway.settings import LINK, Endpoint, Network
from gateway.wire.name import key_from_text
from gateway.yamlfile import Document, Keys, text_of_scalar


class Section(BaseModel):
    """Base of every section as written: unknown keys are mistakes, nothing is coerced, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True, populate_by_name=False)


def key(default: Any, vi: str, en: str, example: str, **limits: Any) -> Any:  # Any: pydantic's Field has no narrower type
    """Declare one key: its default (`...` when it must be written), its help in both languages, and an example of its value in YAML."""
    return Field(default, description=en, json_schema_extra={"vi": vi, "example": example}, **limits)


def _duration(value: object) -> float:
    """Read seconds: a number, or a number with s, m, h or d behind it (`24h`)."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]+)?)\s*(ms|s|m|h|d)", value) if isinstance(value, str) else None
        if match is None:
            raise ValueError("must be a time such as 30s, 15m, 24h or 7d")
        seconds = float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]]
    if not 0 <= seconds <= 10 * 366 * 86_400:
        raise ValueError("must be a time between 0 and ten years")
    return seconds


def _size(value: object) -> int:
    """Read bytes: a number, or a number with KiB, MiB or GiB behind it."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return int(value)
    match = re.fullmatch(r"([0-9]{1,9})\s*(KiB|MiB|GiB|K|M|G)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a size such as 512KiB or 64MiB")
    return int(match[1]) * {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[match[2][0]]


def _network(value: object) -> Network:
    text = text_of_scalar(value)
    try:
        return ip_network(str(text), strict=False) if isinstance(text, str) else _refuse()
    except ValueError:
        raise ValueError(f"{_short(text)} is not a network such as 192.168.1.0/24 or fd00::/64") from None


def _asker(value: object) -> Network | str:
    return LINK if text_of_scalar(value) == LINK else _network(value)


def _address(value: object) -> str:
    text = text_of_scalar(value)
    try:
        return str(ip_address(text)) if isinstance(text, str) else _refuse()
    except ValueError:
        raise ValueError(f"{_short(text)} is not an IP address such as 192.168.1.2") from None


def _contact(value: object) -> str:
    text = text_of_scalar(value)
    if isinstance(text, str) and re.fullmatch(r"tel:\+?[0-9][0-9.()-]{1,30}|mailto:[^@\s\"\\]{1,64}@[^@\s\"\\]{1,190}", text):
        return text
    raise ValueError(f"{_short(text)} is not a contact such as tel:0123456789 or mailto:it@school.example")


def _name(value: object) -> str:
    """Read a domain name; kept as text, without the final dot."""
    text = text_of_scalar(value)
    if not isinstance(text, str):
        raise ValueError("must be a domain name")
    try:
        key_from_text(text)
    except InvalidName as error:
        raise ValueError(f"{_short(text)} is {error}") from None
    return text.rstrip(".").lower()


def _endpoint(value: object) -> Endpoint:
    text = text_of_scalar(value)
    match = re.fullmatch(r"\[([^\[\]]+)\]:([0-9]{1,5})|([^\[\]:]+):([0-9]{1,5})", text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'{_short(text)} is not an address with a port such as "127.0.0.1:5300" or "[::1]:5300"')
    host, port = match[1] or match[3], int(match[2] or match[4])
    try:
        address = ip_address(host)
    except ValueError:
        raise ValueError(f"{_short(host)} is not an IP address; listen addresses are numbers, such as 127.0.0.1 or 0.0.0.0") from None
    if port > 65_535:
        raise ValueError(f"port {port} is above 65535")
    return Endpoint(str(address), port)


def _refuse() -> Any:  # Any: never returns
    raise ValueError


Text = Annotated[str, BeforeValidator(text_of_scalar), Field(max_length=4096)]
Identifier = Annotated[str, BeforeValidator(text_of_scalar), Field(pattern=r"^[\w.:+-]{1,64}$")]
Seconds = Annotated[float, PlainValidator(_duration)]
Size = Annotated[int, PlainValidator(_size)]
NetworkText = Annotated[Any, PlainValidator(_network)]  # Any: IPv4Network | IPv6Network, made by the validator
AskerText = Annotated[Any, PlainValidator(_asker)]  # Any: a network, or LINK
AddressText = Annotated[str, PlainValidator(_address)]
ContactText = Annotated[str, PlainValidator(_contact)]
NameText = Annotated[str, PlainValidator(_name)]
EndpointText = Annotated[Endpoint, PlainValidator(_endpoint)]
Port = Annotated[int, Field(ge=0, le=65_535)]

SectionType = TypeVar("SectionType", bound=BaseModel)


def check(model: type[SectionType], value: object, document: Document, keys: Keys = ()) -> tuple[SectionType | None, list[Mistake]]:
    """Validate one section found at `keys`. Returns the section, or None with every mistake in it."""
    try:
        return model.model_validate(without_empty(value)), []
    except ValidationError as error:
        return None, [_mistake(model, details, document, keys) for details in error.errors(include_url=False)]


def without_empty(value: object) -> object:
    """Drop keys that have nothing behind the colon: they mean the default."""
    if isinstance(value, dict):
        return {name: without_empty(inner) for name, inner in value.items() if inner is not None}
    return [without_empty(inner) for inner in value] if isinstance(value, list) else value


def nearest(word: str, known: list[str]) -> str:
    """Name the known word closest to a misspelt one, or list the known ones."""
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]}?"
    return f"known here: {', '.join(sorted(known))}" if known else ""


def _mistake(model: type[BaseModel], details: ErrorDetails, document: Document, keys: Keys) -> Mistake:
    loc = tuple(part for part in details["loc"] if part != "[key]")
    where = document.place((*keys, *loc))
    kind = details["type"]
    if kind == "extra_forbidden":
        parent = model_at(model, loc[:-1])
        known = list(key_names(parent)) if parent else []
        return Mistake(where, f"unknown key {_short(loc[-1])}", nearest(str(loc[-1]), known))
    return Mistake(where, _sentence(kind, details))


_PLAIN = {
    "bool_type": "must be true or false",
    "dict_type": "must be a section (key: value)",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "missing": "this key is needed here",
    "model_type": "must be a section (key: value)",
    "string_type": "must be text",
    "tuple_type": "must be a list",
}


def _sentence(kind: str, details: ErrorDetails) -> str:
    if kind in _PLAIN:
        return _PLAIN[kind]
    context: dict[str, Any] = details.get("ctx", {})  # Any: pydantic's context holds values of each error's own kind
    if kind == "literal_error":
        return f"must be {context['expected'].replace(chr(39), '')}, not {_short(details['input'])}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "string_pattern_mismatch":
        return f"{_short(details['input'])} is not an id: letters, digits and . : + - _, 64 at most"
    bounds = {"greater_than_equal": "at least", "less_than_equal": "at most", "greater_than": "more than", "less_than": "less than"}
    if kind in bounds:
        return f"must be {bounds[kind]} {next(iter(context.values()))}"
    return details["msg"][:1].lower() + details["msg"][1:]


def _short(value: object) -> str:
    """Quote what a person wrote, shortened, with anything unprintable escaped."""
    text = str(text_of_scalar(value))
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"'{text}'" if text.isprintable() else ascii(text)


def model_at(model: type[BaseModel], loc: Keys) -> type[BaseModel] | None:
    """Find the section a key path leads to; None when the path leads to a plain value."""
    found: object = model
    for part in loc:
        if isinstance(part, str) and isinstance(found, type) and issubclass(found, BaseModel):
            field = next((f for name, f in found.model_fields.items() if (f.alias or name) == part), None)
            found = _inner(field.annotation) if field else None
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _inner(annotation: object) -> object:
    """Strip Optional, Annotated and containers from an annotation down to the section inside."""
    origin = get_origin(annotation)
    if origin is None:
        return annotation
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if origin in (Union, types.UnionType):
        sections = [inner for inner in map(_inner, arguments) if isinstance(inner, type) and issubclass(inner, BaseModel)]
        return sections[0] if sections else None
    if origin is dict:
        return _inner(arguments[1])
    return _inner(arguments[0]) if arguments else None


def key_names(model: type[BaseModel]) -> Iterator[str]:
    """Name the keys of a section as they are written."""
    for name, field in model.model_fields.items():
        yield field.alias or name


@dataclass(frozen=True, slots=True)
class KeyHelp:
    """One line of the configuration reference."""

    path: str
    vi: str
    en: str
    default: str
    example: str


def reference(model: type[BaseModel], prefix: str = "") -> Iterator[KeyHelp]:
    """Walk a section and everything in it, giving the help of each key in the order it is declared."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        extra: Mapping[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}  # Any: JSON values
        inner = _inner(field.annotation)
        many = "[]" if "list[" in str(field.annotation) else ""
        default = "" if field.is_required() else _written(field.default)
        yield KeyHelp(path, str(extra.get("vi", "")), field.description or "", default, str(extra.get("example", "")))
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from reference(inner, f"{path}{many}.")


def _written(value: object) -> str:
    """Write a default the way the file would."""
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, BaseModel):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
