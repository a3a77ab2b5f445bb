"""IAM documents as pure functions that return dicts: read them, test them, evaluate them without a cloud."""
