import pytest

from tests.build.repositories import Repository


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "repository")


@pytest.fixture
def lines():
    """What the build told people, line by line."""
    return []


@pytest.fixture
def out(tmp_path):
    return tmp_path / "dist" / "packages"
