"""The Pulumi engine: the official CLI when there is one, otherwise built from our pinned Go modules."""
