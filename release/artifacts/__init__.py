"""What a release consists of, and where it lies."""
