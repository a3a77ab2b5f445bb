"""Signed statements about a release: how it was built, that its tests passed, how its promotion ended."""
