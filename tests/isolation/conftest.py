"""The world in one account and in two; made once per worker."""

import pytest

from tests.isolation.world import LAYOUTS, world


@pytest.fixture(scope="session", params=range(len(LAYOUTS)), ids=["one account", "two accounts"])
def both(request):
    """The world in each layout of accounts, one after the other."""
    return world(request.param)
