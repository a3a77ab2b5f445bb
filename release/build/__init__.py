"""Builds the packages of one commit: the same bytes on every machine."""
