"""Looks after an environment while nobody does: what is wrong stands in one issue, which closes itself."""
