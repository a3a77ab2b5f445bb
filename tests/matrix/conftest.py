"""The matrices share the cloud in memory of the unit tests."""

import sys

from tests.cloud import ROOT

sys.path.insert(0, str(ROOT / "tests" / "unit" / "release"))
