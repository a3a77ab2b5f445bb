"""The cloud in memory, as most tests of the releaser begin with it."""

from pathlib import Path

import pytest

from tests.unit.release.release_world import World

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Mark every test of this folder slow that signs: a server in a thread makes certificates for it."""
    for item in items:
        if item.path.parent == HERE and "sigstore" in item.fixturenames:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch)


@pytest.fixture
def confirmed(world):
    """Release 1, confirmed."""
    return world.confirm(1)
