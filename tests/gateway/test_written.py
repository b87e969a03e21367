"""The data plane's sections as written: the example of every key is a value the key accepts."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from gateway.sections import KeyHelp, check, model_at, reference
from gateway.written import GatewayFile
from gateway.yamlfile import parse

KEYS = list(reference(GatewayFile))


@pytest.mark.parametrize("key", KEYS, ids=[key.path for key in KEYS])
def test_key_has_help_in_both_languages_and_an_example(key: KeyHelp) -> None:
    """Nobody has to guess what a key means."""
    assert key.vi.endswith(".") and key.en.endswith(".") and key.example, key.path
    assert key.vi != key.en


@pytest.mark.parametrize("key", [key for key in KEYS if "." not in key.path], ids=lambda key: key.path)
def test_example_of_a_section_is_accepted(key: KeyHelp) -> None:
    """What the reference shows can be copied into a file."""
    document = parse(f"{key.path}: {key.example}")
    section, mistakes = check(GatewayFile, document.value, document)
    assert section is not None, mistakes


@pytest.mark.parametrize("key", [key for key in KEYS if "." in key.path], ids=lambda key: key.path)
def test_example_of_a_key_is_accepted(key: KeyHelp) -> None:
    """An example may miss its neighbours, but is never wrong itself."""
    parts = key.path.replace("[]", "").split(".")
    model = model_at(GatewayFile, tuple(parts[:-1]))
    assert model is not None and issubclass(model, BaseModel)
    document = parse(f"{parts[-1]}: {key.example}")
    _, mistakes = check(model, document.value, document)
    assert not [mistake for mistake in mistakes if mistake.message != "this key is needed here"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dns: {workers: 0}", "must be auto or a number from 1 to 64"),
        ("dns: {workers: yes}", "must be auto or a number from 1 to 64"),
        ("upstreams: {timeout: 0}", "must be more than 0"),
        ("upstreams: {servers: [5]}", "must be text such as udp://192.168.1.1"),
        ("upstreams: {servers: 5}", "must be a list"),
        ("block: {mode: sinkhole}", "must be zero, nxdomain, nodata, refused or page, not 'sinkhole'"),
        ("cache: {client_ttl_max: 0}", "must be at least 1"),
    ],
)
def test_wrong_value_is_one_plain_sentence(text: str, message: str) -> None:
    """A value outside its range says what would be right."""
    document = parse(text)
    _, mistakes = check(GatewayFile, document.value, document)
    assert [message] == [mistake.message for mistake in mistakes]
