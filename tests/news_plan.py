"""How the requests to the news service fit into NewsAPI's developer plan, with one key for both environments."""

RELEASE_REQUESTS = 12
"""Of one release with the two default tags: validation asks 9 times, the canary 3 times (tests/rehearsal)."""
RELEASES = 3
"""That fit into one window beside the schedules of both environments."""
