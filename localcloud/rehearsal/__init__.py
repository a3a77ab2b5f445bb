"""Rehearsals on the local cloud: the demo, and the releases that are broken on purpose for it and for the tests."""
