"""What happens to production in the matrices: one process each, over a world in which a release was confirmed."""

from collections.abc import Callable
from dataclasses import dataclass

from components.service.functions import KEYS
from release.errors import ReleaseError
from release.rollout.promote import promote
from release.rollout.rollback import rollback
from tests.unit.release.release_world import World

GOOD, FIRST, NEW = "a good release", "a first release", "a release with a new function"


def fails_dark(function, alias, event):
    return {"statusCode": 500, "body": "null"} if function == "dashboard" and event["rawPath"] == "/health" else None


def fails_its_users(function, alias, event):
    """Only through `live`, so that the judge in the dark cannot see it."""
    return RuntimeError("only live") if alias == "live" and event.get("rawPath") != "/health" else None


def fails_as_schedule(function, alias, event):
    return RuntimeError("only live") if alias == "live" and function == "ingestion" else None


BROKEN = {
    "fails in the dark": fails_dark,
    "fails as schedule": fails_as_schedule,
    "fails its users": fails_its_users,
}


@dataclass
class Scenario:
    """A world before one process begins, and what that process does."""

    world: World
    work: Callable
    release: str
    """Manifest digest of the release that is on its way."""
    stable: str = ""
    """Manifest digest of the release that was confirmed before; empty: none."""
    good: bool = True
    before: object = None

    def begin(self):
        """Put the world back to where it stood, and return a fresh run's context."""
        self.world.restore(self.before)
        return self.world.context()

    def run(self, context) -> str:
        """Do it, and return how it ended: a state, or the name of the rule that refused."""
        return ended(lambda: self.work(context))


def ended(work) -> str:
    """The name of how a command ended. Anything but an error that people can read is a bug."""
    try:
        return str(work().state)
    except ReleaseError as error:
        report = getattr(error, "report", None)
        return str((report and report.state) or getattr(error, "rule", None) or f"error: {error.what}")


def make(name, world) -> Scenario:
    """The scenario called `name`."""
    if name.startswith("a first release"):
        manifest = world.offer(3)
        if "fails" in name:
            world.broken[manifest.digest] = fails_as_schedule
        return _kept(
            world, lambda context: promote(context, manifest.digest), manifest.digest, good="fails" not in name
        )
    stable = world.offer(1, functions=("ingestion", "dashboard") if name == NEW else KEYS).digest
    promote(world.context(), stable)
    if name == "a rollback to the previous release":
        newer = world.offer(2).digest
        promote(world.context(), newer)
        return _kept(world, lambda context: rollback(context, "previous", "customers complain"), stable, newer)
    manifest = world.offer(3)
    good = name in {GOOD, NEW}
    if not good:
        world.broken[manifest.digest] = BROKEN[name.removeprefix("a release that ")]
    return _kept(world, lambda context: promote(context, manifest.digest), manifest.digest, stable, good=good)


def _kept(world, work, digest, stable="", *, good=True):
    return Scenario(world, work, digest, stable, good, world.save())


NAMES = [
    GOOD,
    NEW,
    "a release that fails in the dark",
    "a release that fails as schedule",
    FIRST,
    "a first release that fails",
    "a rollback to the previous release",
]
