"""What happened to which release, and what may follow."""
