"""The whole promotion on the local cloud, start to end, with the very commands that people and workflows use.

Three releases go the same way: built once, deployed to preprod, tested there, promoted to production as the same bytes.
The first is healthy and is confirmed. The second is broken, and the canary fails it in the dark, before any user could
meet it. The third is healthy while nobody but the canary looks and fails its users at 10 % of the traffic. Production
is rolled back automatically both times, and verified. While production looks at one release, preprod tests the next.

Ends with a summary for people and `.localcloud/demo.json` for machines.
"""

import json
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from localcloud import habits, paths
from localcloud.administrator import put_missing
from localcloud.engine import install
from localcloud.environment import environment
from localcloud.errors import LocalCloudError
from localcloud.process import control
from localcloud.process.locks import alone
from localcloud.process.state import CloudState
from localcloud.rehearsal.broken_releases import Breakage, broken_clone, head
from localcloud.rehearsal.commands import Commands, EndedError
from localcloud.rehearsal.screen import Screen, Step, console
from localcloud.rehearsal.summary import RehearsedFailure, Story, for_machines, for_people
from localcloud.rehearsal.users import Users

CLOCK: Final = "x60"
"""The five minutes of a watch are five seconds here; every report gives both times."""
BROKEN_RATE: Final = "0.1"
"""Share of failures that the duels in the dark find, for a quick rehearsal; `release` itself finds 1 %."""
WORKERS: Final = "6"
"""Questions in flight; `release` itself has 24, each with an environment of its own, which would be too many here."""
WEIGHTED_REQUESTS: Final = "60"
"""Requests in the first minute at 10 % of the traffic; `release` itself sends 120."""
FOLDER: Final = paths.HOME / "demo"
SUMMARY: Final = paths.HOME / "demo.json"
DONE, ROLLED_BACK = 0, 4
ENVIRONMENTS: Final = ("preprod", "prod")
_LANES: Final = 16
"""More than there are commands at a time: what waits for something takes a lane too."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A release of the rehearsal, and what must become of it."""

    name: str
    story: str
    breakage: Breakage | None = None
    caught: str = ""
    """The state of the ledger in which the canary must fail it; empty for the release that is confirmed."""
    users_per_second: float = 0.0
    """Requests of users while it is promoted. Of those at 10 %, two must meet the new version within five seconds."""

    @property
    def source(self) -> Path:
        """The clone that holds its commit."""
        return FOLDER / self.name.replace(" ", "-") if self.breakage else paths.ROOT

    @property
    def build(self) -> Path:
        """The folder of its packages."""
        return FOLDER / f"{self.name.replace(' ', '-')}-build"


RELEASES: Final = (
    Planned(name="release 1", story="healthy"),
    Planned(
        name="release 2",
        story="broken: its /health answers 500",
        breakage=Breakage.HEALTH_500,
        caught="DARK",
        users_per_second=5,
    ),
    Planned(
        name="release 3",
        story="broken: it fails the users whom it serves",
        breakage=Breakage.ERRORS_AFTER_LIVE,
        caught="CANARY",
        users_per_second=20,
    ),
)
_MUST: Final = {
    "": "it must be confirmed",
    "DARK": "it must fail in the dark",
    "CANARY": "it must fail at 10 % of the traffic",
}

_ANOTHER_RUNS: Final = LocalCloudError(
    "another demo runs in this clone", next_step="wait for it, or end it with Ctrl-C where it runs"
)


class Demo:
    """One rehearsal: its steps, in the order in which they are shown, and what they answered."""

    def __init__(self, screen: Screen, commands: Commands, state: CloudState) -> None:
        self.screen, self.commands, self.state = screen, commands, state
        self.done: list[dict[str, Any]] = []
        self.failures: list[RehearsedFailure] = []
        self._secrets = threading.Lock()
        self.foundations = {
            stack: screen.step(stack, "foundation: buckets, identities, GitHub environments") for stack in ENVIRONMENTS
        }
        self.steps = {release: _steps_of(screen, release) for release in RELEASES}
        self.agree = screen.step("prod", "program, state and cloud agree")
        self.ledgers = {stack: screen.step(stack, "what its ledger says") for stack in ENVIRONMENTS}
        self.history = screen.step("prod", "when the broken releases were caught")

    def run(
        self,
        step: Step,
        *command: str,
        folder: Path = paths.ROOT,
        expected: int = DONE,
        result: Callable[[Any], str] = lambda _: "",
    ) -> Any:
        """Run the command of a step; return the JSON document that it prints, if it prints one.

        Args:
            step: The step.
            command: The command.
            folder: Where it runs.
            expected: The exit code by which the step is done.
            result: Says in words what the document tells.

        Raises:
            LocalCloudError: The command ended with another code.
        """
        self.screen.begin(step)
        try:
            finished = self.commands.run(step.slug, command, folder, lambda line: self.screen.tell(step, line))
        except EndedError:
            self.screen.end(step, failed=True, result="ended")
            raise
        title = f"{step.place}: {step.title}"
        seconds = round(finished.seconds, 1)
        self.done.append(
            {"title": title, "command": list(command), "exit_code": finished.exit_code, "seconds": seconds}
        )
        if finished.exit_code != expected:
            self.screen.end(step, failed=True)
            raise LocalCloudError(
                f"{title}: ended with exit code {finished.exit_code} instead of {expected} after {seconds} s. "
                f"The end of its log, {finished.log}:\n\n{finished.tail}\n",
                next_step=f"read that log and the ones beside it; by hand: (cd {folder} && "
                f"{paths.ROOT / '.venv/bin/localcloud'} run -- {shlex.join(command)})",
            )
        document = finished.document if "--json" in command else None
        self.screen.end(step, result=result(document))
        return document

    def lay_foundation(self, stack: str, *after: Future[Any]) -> None:
        """Make the foundation of an environment, as an administrator does, and fill its secrets."""
        _await(after)
        foundation = ("pulumi", "up", "--yes", "--skip-preview", "--stack", f"{stack}-foundation")
        self.run(self.foundations[stack], *foundation)
        with self._secrets:  # a value that is there stays, so nobody may look and put at the same time
            put_missing(self.state)

    def build(self, release: Planned, *after: Future[Any]) -> None:
        """Build the packages of a release once."""
        _await(after)
        sha = broken_clone(paths.ROOT, release.breakage, release.source) if release.breakage else head(paths.ROOT)
        command = ("release", "build", "--sha", sha, "--out", str(release.build))
        self.run(self.steps[release]["build"], *command, folder=release.source)

    def to_preprod(self, release: Planned, *after: Future[Any]) -> str:
        """Deploy a release to preprod, test it there, record the validation; return the manifest digest."""
        _await(after)
        steps = self.steps[release]
        deploy = ("release", "deploy", "--stack", "preprod", "--build", str(release.build), "--json")
        digest = self.run(steps["deploy"], *deploy, folder=release.source)["manifest"]
        validate = ("release", "validate", "--stack", "preprod", "--digest", digest, "--json")
        self.run(steps["test"], *validate, folder=release.source, result=lambda _: steps["test"].counted)
        return digest

    def to_production(self, release: Planned, digest: Future[str], *after: Future[Any]) -> Any:
        """Promote the bytes that preprod has validated, while users look at production; return the report."""
        _await(after)
        chosen, file = ("--stack", "prod", "--digest", digest.result()), str(release.build.with_suffix(".plan"))
        plan = ("release", "plan", *chosen, "--out", file, "--json")
        planned = self.run(self.steps[release]["plan"], *plan, folder=release.source, result=_planned)
        approved = ("--approval", planned["approval"], "--plan", file)
        promote = ("release", "promote", *chosen, *approved, "--json")
        step = self.steps[release]["promote"]
        if not release.caught:
            confirmed = "confirmed: the bytes of preprod, asked in the dark, watched at 100 %"
            return self.run(step, *promote, folder=release.source, result=lambda _: confirmed)
        with Users(after[0].result()["dashboard_url"], release.users_per_second) as users:
            document = self.run(step, *promote, folder=release.source, expected=ROLLED_BACK, result=_rolled_back)
        self.failures.append(
            RehearsedFailure(
                name=release.name,
                story=release.story,
                report=document["report"],
                requests=users.requests,
                failed_requests=users.failed,
            )
        )
        return {**after[0].result(), "failed": document}

    def look_back(self, lanes: ThreadPoolExecutor) -> Story:
        """See that all agree, and what the ledgers say of it."""
        status = [
            lanes.submit(self.run, step, "release", "status", "--stack", stack, "--json")
            for stack, step in self.ledgers.items()
        ]
        history = lanes.submit(self.run, self.history, "release", "history", "--stack", "prod", "--json")
        unchanged = ("pulumi", "preview", "--refresh", "--expect-no-changes", "--stack", "prod")
        self._all([lanes.submit(self.run, self.agree, *unchanged), *status, history])
        for release, failure in zip([each for each in RELEASES if each.caught], self.failures, strict=True):
            failure.caught = _caught(history.result()["entries"], failure.report["from"]["manifest"])
            if failure.caught != release.caught:
                raise LocalCloudError(
                    f"the canary caught {release.name} in the state {failure.caught}, not {release.caught}",
                    next_step=f"read {self.commands.log(self.steps[release]['promote'].slug)}",
                )
        in_the_dark = self.failures[0]
        if in_the_dark.failed_requests:
            raise LocalCloudError(
                f"{in_the_dark.failed_requests} of {in_the_dark.requests} requests of users failed while "
                f"{in_the_dark.name} was in the dark, where no user can meet it",
                next_step=f"read {paths.LOGS / 'lambdas.log'}",
            )
        confirmed = {stack: each.result()["confirmed"] for stack, each in zip(ENVIRONMENTS, status, strict=True)}
        return Story(
            seconds=self.screen.seconds,
            clock=self.state.clock,
            confirmed=confirmed,
            failures=self.failures,
            tests=dict(self.steps[RELEASES[0]]["test"].tests),
            steps=self.done,
        )

    def rehearse(self) -> Story:
        """Run all steps: one after the other in each environment, the environments beside each other."""
        with ThreadPoolExecutor(_LANES) as lanes:
            preprod = lanes.submit(self.lay_foundation, "preprod")
            # Production's is needed last: until then it would only slow down what everything else waits for.
            promoted: Future[Any] = lanes.submit(self.lay_foundation, "prod", preprod)
            everything: list[Future[Any]] = [preprod, promoted]
            built: Future[Any] | None = None
            before: Future[Any] = preprod
            for release in RELEASES:
                built = lanes.submit(self.build, release, *([built] if built else []))
                before = tested = lanes.submit(self.to_preprod, release, built, before)
                promoted = lanes.submit(self.to_production, release, tested, promoted)
                everything += [built, tested, promoted]
            self._all(everything)
            return self.look_back(lanes)

    def _all(self, futures: list[Future[Any]]) -> None:
        """Wait for all; when one fails, or a person interrupts, end what the others do and raise the first error."""
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            if not all(future.done() and not future.exception() for future in futures):
                self.commands.end()
        errors = [error for future in futures if (error := future.exception())]
        if errors:
            raise next((error for error in errors if not isinstance(error, EndedError)), errors[0])


def _await(futures: tuple[Future[Any], ...]) -> None:
    for future in futures:
        future.result()


def _steps_of(screen: Screen, release: Planned) -> dict[str, Step]:
    return {
        "build": screen.step("build", f"{release.name} ({release.story})"),
        "deploy": screen.step("preprod", f"deploy {release.name}"),
        "test": screen.step("preprod", f"test {release.name}, record the validation"),
        "plan": screen.step("prod", f"plan {release.name}, for its approval"),
        "promote": screen.step("prod", f"promote {release.name}: {_MUST[release.caught]}"),
    }


def _planned(document: Any) -> str:
    return f"{len(document['plan']['changes'])} resources change; production is held to exactly that"


def _rolled_back(document: Any) -> str:
    report = document["report"]
    verified = "verified" if report["verified"] else "NOT verified"
    return f"rolled back automatically, {verified}, because of {report['reason']}"


def _caught(entries: list[Any], digest: str) -> str:
    """Return the state of a release before its rollback began; `entries` of the ledger, the newest first."""
    states = [entry["state"] for entry in entries if (entry.get("release") or {}).get("digest") == digest]
    return states[states.index("ROLLING_BACK") + 1]


def main() -> None:
    """Run the rehearsal; exit code 0 only when every step, the two expected failures included, ended as it must."""
    shown = console()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        # Each demo begins by emptying the cloud of the other.
        with alone(paths.HOME / "demo.lock", _ANOTHER_RUNS):
            _run(shown)
    except LocalCloudError as error:
        shown.print("\n[red]error:[/]", end=" ")
        shown.print(str(error), markup=False, soft_wrap=True)  # a message may hold brackets
        sys.exit(1)
    except (KeyboardInterrupt, EndedError):
        state = CloudState.load()
        cloud = "still runs (end it with `localcloud stop`)" if state and state.running else "does not run"
        shown.print(f"\ninterrupted: all commands are ended, the local cloud {cloud}; `make demo` begins anew")
        sys.exit(130)


def _run(shown: Console) -> None:
    sha = head(paths.ROOT)
    screen = Screen(shown)
    os.environ.setdefault("LOCALCLOUD_CLOCK", CLOCK)
    os.environ.setdefault(habits.VARIABLE, habits.REHEARSED)
    SUMMARY.unlink(missing_ok=True)  # what is there tells of this run, or nothing
    install.ensure(lambda line: shown.print(line, markup=False))
    shown.print(f"commit {sha[:12]} (without uncommitted changes); every command has its log in")
    shown.print(str(paths.LOGS), markup=False, soft_wrap=True)
    start = screen.step("cloud", "start the local cloud, empty")
    with screen.shown():
        screen.begin(start)
        try:
            state = _empty_cloud()
        except BaseException:
            screen.end(start, failed=True)
            raise
        screen.end(start)
        rehearsed = {
            "RELEASE_BROKEN_RATE": BROKEN_RATE,
            "RELEASE_WORKERS": WORKERS,
            "RELEASE_WEIGHTED_REQUESTS": WEIGHTED_REQUESTS,
            "RELEASE_BAKE_S": "0",  # the next release of the story begins at once
        }
        commands = Commands(rehearsed | environment(state), paths.LOGS)
        story = Demo(screen, commands, state).rehearse()
    scratch = SUMMARY.with_suffix(".tmp")
    scratch.write_text(json.dumps(for_machines(story), indent=1) + "\n")
    scratch.replace(SUMMARY)
    for part in for_people(story):
        shown.print(part)
    for line in ("localcloud run -- release history --stack prod", "localcloud stop"):
        shown.print(f"  {line}", markup=False)
    shown.print(f"For machines: {SUMMARY}", markup=False, soft_wrap=True)


def _empty_cloud() -> CloudState:
    control.stop()  # a rehearsal begins with an empty cloud and no builds
    shutil.rmtree(FOLDER, ignore_errors=True)
    for log in paths.LOGS.glob("demo-*.log"):
        log.unlink()
    return control.start()


if __name__ == "__main__":
    main()
