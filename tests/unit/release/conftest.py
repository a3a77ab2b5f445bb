"""The cloud in memory, as most tests of the releaser begin with it."""

import pytest

from tests.unit.release.release_world import World


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch)


@pytest.fixture
def confirmed(world):
    """Release 1, confirmed."""
    return world.confirm(1)
