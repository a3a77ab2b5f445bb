"""IAM decided: what a call needs, what the documents say about it, and whose token stands for which role."""
