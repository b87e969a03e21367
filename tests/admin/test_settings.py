"""Settings of the control plane: where the database lies, what stays secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from admin.settings import AdminFile, AdminSettings, check_admin, mask_password
from gateway.configuration import check_gateway
from gateway.errors import Mistake
from gateway.sections import KeyHelp, check, model_at, reference
from gateway.settings import Endpoint
from gateway.yamlfile import parse

KEYS = list(reference(AdminFile))


def read(text: str, folder: Path) -> tuple[AdminSettings | None, list[Mistake]]:
    """Check a text as if it were a file in `folder`."""
    document = parse(text, folder / "lachan.yaml")
    gateway, mistakes = check_gateway(document)
    assert gateway is not None, mistakes
    return check_admin(document, gateway)


def test_no_section_means_no_control_plane(tmp_path: Path) -> None:
    """The data plane runs alone."""
    assert read("{}", tmp_path) == (None, [])


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        ("", "sqlite+aiosqlite:///{folder}/var/lachan.db"),
        ('database: "sqlite+aiosqlite:///data/a.db"', "sqlite+aiosqlite:///{folder}/data/a.db"),
        ('database: "sqlite+aiosqlite:////srv/a.db"', "sqlite+aiosqlite:////srv/a.db"),
        ('database: "postgresql+asyncpg://u:p@db.example/lachan"', "postgresql+asyncpg://u:p@db.example/lachan"),
        ("database_file: secret", "postgresql+asyncpg://u:p@db.example/lachan"),
    ],
)
def test_database_is_found_beside_the_file(database: str, expected: str, tmp_path: Path) -> None:
    """A relative SQLite file starts at the configuration file; a password may lie in a file of its own."""
    (tmp_path / "secret").write_text("postgresql+asyncpg://u:p@db.example/lachan\n")
    found, mistakes = read(f'admin:\n  listen: "127.0.0.1:8080"\n  {database}\n', tmp_path)
    assert found is not None, mistakes
    assert expected.format(folder=tmp_path) == found.database
    assert tmp_path / "var" / "control.sock" == found.control_socket


def test_password_of_the_database_is_never_shown(tmp_path: Path) -> None:
    """What is printed has stars where the password was."""
    found, _ = read('admin: {listen: "127.0.0.1:8080", database: "postgresql+asyncpg://u:s3cr3t@db.example/a"}', tmp_path)
    assert found is not None
    assert found.shown_database == "postgresql+asyncpg://u:***@db.example/a"
    assert mask_password("sqlite+aiosqlite:////srv/a.db") == "sqlite+aiosqlite:////srv/a.db"


def test_everything_a_person_can_write_arrives(tmp_path: Path) -> None:
    """Address for people, certificate, front ends and the explaining page."""
    (tmp_path / "cert.pem").touch()
    (tmp_path / "key.pem").touch()
    found, mistakes = read(
        """
admin:
  listen: "127.0.0.1:8443"
  url: "https://lachan.example.vn/"
  tls: {certificate: cert.pem, key: key.pem}
  trusted_proxies: [127.0.0.1/32]
block_page: {listen: "127.0.0.1:8081"}
""",
        tmp_path,
    )
    assert found is not None, mistakes
    assert found.url == "https://lachan.example.vn"
    assert found.tls is not None and tmp_path / "key.pem" == found.tls.key
    assert [str(network) for network in found.trusted_proxies] == ["127.0.0.1/32"]
    assert Endpoint("127.0.0.1", 8081) == found.block_page


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("admin: {listen: here}", "admin.listen"),
        ("admin: {}", "admin.listen"),
        ('admin: {listen: "127.0.0.1:1", database: "mysql://a"}', "admin.database"),
        ('admin: {listen: "127.0.0.1:1", database_file: none}', "admin.database_file"),
        ('admin: {listen: "127.0.0.1:1", url: "lachan.example"}', "admin.url"),
        ('admin: {listen: "127.0.0.1:1", tls: {certificate: none, key: none}}', "admin.tls.certificate"),
        ('admin: {listen: "127.0.0.1:1", lisen: 1}', "admin.lisen"),
        ('block_page: {listen: "127.0.0.1:1"}', "block_page"),
    ],
)
def test_wrong_section_is_refused_at_its_place(text: str, expected: str, tmp_path: Path) -> None:
    """Each mistake carries the path of the key."""
    found, mistakes = read(text, tmp_path)
    assert None is found
    assert expected in [mistake.path.partition(": ")[2] for mistake in mistakes]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_key_has_help_and_an_example_that_is_accepted(key: KeyHelp) -> None:
    """Nobody has to guess what a key means."""
    assert key.vi.endswith(".") and key.en.endswith(".") and key.example
    parts = key.path.replace("[]", "").split(".")
    model = model_at(AdminFile, tuple(parts[:-1]))
    assert model is not None
    document = parse(f"{parts[-1]}: {key.example}")
    _, mistakes = check(model, document.value, document)
    assert not [mistake for mistake in mistakes if mistake.message != "this key is needed here"]
