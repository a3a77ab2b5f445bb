"""What people and workflows are told about releases."""
