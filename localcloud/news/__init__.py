"""The news of the local cloud: NewsAPI's answers with articles that are made up, the same for all within an hour."""
