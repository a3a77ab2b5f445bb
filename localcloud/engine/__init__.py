"""The Pulumi engine: the official CLI when there is one, otherwise the CLI and plugins built from our pinned Go modules."""
