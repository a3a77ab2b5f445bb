"""Misbehaviour on request: rules that make single API calls of the local cloud fail as AWS and GitHub fail."""
