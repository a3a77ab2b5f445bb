"""The news of the local cloud: answers like NewsAPI with articles that are made up, the same for everybody in an hour."""
