"""The command line of the releaser."""
