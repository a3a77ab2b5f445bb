"""How many examples a generated test tries: a few in `make check`, all of them everywhere else."""

from hypothesis import HealthCheck, settings

FEW = 15


def register_profiles() -> None:
    """Register `full`, which is the default, and `check`; neither has a deadline."""
    # How long an example takes says something of the machine: slow ones are no failure.
    settings.register_profile("full", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("check", settings.get_profile("full"), max_examples=FEW)
    settings.load_profile("full")


def examples(count: int) -> int:
    """Return `count`, or a few in `make check`."""
    return min(count, FEW) if settings.get_current_profile_name() == "check" else count
