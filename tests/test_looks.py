"""What a second look says of this machine, whatever state its folders are in."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from alertlog.looks import knows_authorities
from tests.certificates import Authority


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder of authorities, empty; there is no file of them."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "certs"))
    return tmp_path / "certs"


def test_a_system_without_a_folder_of_authorities_or_with_an_empty_one_knows_none(folder: Path) -> None:
    assert not knows_authorities()
    folder.mkdir()
    assert not knows_authorities()


def test_what_is_in_the_folder_may_be_an_authority(folder: Path) -> None:
    folder.mkdir()
    (folder / "0a1b2c3d.0").touch()
    assert knows_authorities()


def test_authorities_in_a_file_are_known(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", Authority(tmp_path).ca_file)
    assert knows_authorities()


def test_a_folder_that_can_not_be_read_holds_none(folder: Path) -> None:
    folder.mkdir()
    (folder / "0a1b2c3d.0").touch()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # stops root too, which reads any folder
    try:
        assert not knows_authorities()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
