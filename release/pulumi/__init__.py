"""Pulumi stacks: the engine, the backend, settings, states, and what an update would change."""
