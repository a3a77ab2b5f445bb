"""`make soak`: the production of the rehearsals, for much longer."""

from tests.rehearsal.conftest import cloud, production  # noqa: F401 -- fixtures
