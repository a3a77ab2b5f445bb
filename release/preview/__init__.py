"""Previews without credentials: what a change of the program or of its settings would do to a stack, for reviewers."""
