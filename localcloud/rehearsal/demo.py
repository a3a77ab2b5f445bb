"""The whole promotion on the local cloud, start to end, with the very commands that people and workflows use.

Builds the checked-out commit once, deploys it to preprod, tests it there, promotes the same bytes to production and
confirms them; then promotes a release that is broken on purpose, sees the canary fail and production go back, and looks
at the cloud once more. Ends with a summary for people and `.localcloud/demo.json` for machines.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from localcloud import paths
from localcloud.administrator import put_missing
from localcloud.engine import install
from localcloud.environment import environment, make_passphrase
from localcloud.errors import LocalCloudError
from localcloud.process import control
from localcloud.rehearsal.broken_releases import Breakage, broken_clone, head

CLOCK = "x60"
"""The five minutes of the watch window are five seconds here; every report gives both times."""
SAMPLE = "100"
"""Requests that the judge sends to each candidate in the dark, for a quick rehearsal; `release` itself sends 800."""
WEIGHTED_REQUESTS = "60"
"""The same at a tenth of the traffic; `release` itself sends 120."""
FOLDER: Final = paths.HOME / "demo"
SUMMARY: Final = paths.HOME / "demo.json"
DONE, ROLLED_BACK = 0, 4
PROGRESS_SECONDS = 2.0

console = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass
class Demo:
    """The commands of one rehearsal, the time each took, and what they answered."""

    variables: dict[str, str]
    steps: list[dict[str, Any]] = field(default_factory=list)
    number: int = 0

    def run(self, title: str, *command: str, folder: Path = paths.ROOT, expected: int = DONE) -> Any:
        """Run one command, its progress going straight to the terminal; return the JSON document that it prints."""
        self.number += 1
        console.print(f"\n[bold]{self.number}. {title}[/]\n[dim]$ {' '.join(command)}[/]")
        started = time.monotonic()
        machine = "--json" in command
        process = subprocess.run(
            command, cwd=folder, env=self.variables, stdout=subprocess.PIPE if machine else None, text=True, check=False
        )
        self._ended(title, command, started, process.returncode, expected=expected)
        console.print(f"[green]done[/] in {time.monotonic() - started:.1f} s")
        return json.loads(process.stdout) if machine else None

    def together(self, title: str, *commands: tuple[Path, tuple[str, ...]]) -> None:
        """Run commands that do not need each other at the same time; each one's output goes to a log of its own."""
        self.number += 1
        console.print(f"\n[bold]{self.number}. {title}[/]")
        started = time.monotonic()
        running = []
        for position, (folder, command) in enumerate(commands):
            log = paths.LOGS / f"demo-{self.number}-{position}.log"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command, cwd=folder, env=self.variables, stdout=output, stderr=subprocess.STDOUT
                )
            console.print(f"[dim]$ {' '.join(command)}   (output: {log})[/]")
            running.append((command, log, process))
        said = started
        while any(process.poll() is None for _, _, process in running):
            time.sleep(0.1)
            if time.monotonic() - said > PROGRESS_SECONDS:
                said = time.monotonic()
                for command, log, process in running:
                    if process.poll() is None:
                        console.print(f"  {command[-1]}: {last_line(log)}", markup=False)
        for command, log, process in running:
            self._ended(" ".join(command[:3]), command, started, process.returncode, output=str(log))
        console.print(f"[green]done[/] in {time.monotonic() - started:.1f} s")

    def _ended(
        self,
        title: str,
        command: tuple[str, ...],
        started: float,
        exit_code: int,
        *,
        expected: int = DONE,
        output: str = "the lines above",
    ) -> None:
        seconds = time.monotonic() - started
        self.steps.append(
            {"title": title, "command": list(command), "exit_code": exit_code, "seconds": round(seconds, 1)}
        )
        if exit_code != expected:
            raise LocalCloudError(
                f"step {self.number} ({title}) ended with exit code {exit_code} instead of {expected} "
                f"after {seconds:.0f} s; what it said is in {output}",
                next_step=f"read also the logs in {paths.LOGS}; by hand: localcloud run -- {' '.join(command)}",
            )

    def unchanged(self, stack: str) -> None:
        """See that the program, its state and the cloud agree."""
        self.run(
            f"{stack}: program, state and cloud agree",
            *("pulumi", "preview", "--refresh", "--expect-no-changes", "--stack", stack),
        )

    def to_preprod(self, title: str, source: Path, target: Path) -> str:
        """Deploy a build to preprod and test it there; return the manifest digest."""
        deployed = self.run(
            f"deploy {title} to preprod",
            *("release", "deploy", "--stack", "preprod", "--build", str(target), "--json"),
            folder=source,
        )
        digest = deployed["manifest"]
        self.run(
            f"test {title} in preprod and record the validation",
            *("release", "validate", "--stack", "preprod", "--digest", digest, "--json"),
            folder=source,
        )
        return digest


def last_line(log: Path) -> str:
    """Return what a command said last."""
    return next(
        (line.strip() for line in reversed(log.read_text(errors="replace").splitlines()) if line.strip()), "..."
    )


def foundation_command(name: str) -> tuple[str, ...]:
    """Return the command by which an administrator makes the foundation of an environment."""
    return ("pulumi", "up", "--yes", "--skip-preview", "--stack", f"{name}-foundation")


def build_command(sha: str, target: Path) -> tuple[str, ...]:
    """Return the command that builds a commit of the repository that it runs in."""
    return ("release", "build", "--sha", sha, "--out", str(target))


def main() -> None:
    """Run the rehearsal; exit code 0 only when every step, the expected failure included, ended as it must."""
    started = time.monotonic()
    try:
        _rehearse(started)
    except LocalCloudError as error:
        console.print("\n[red]error:[/]", end=" ")
        console.print(str(error), markup=False)  # a message may hold brackets
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("\ninterrupted; the local cloud still runs (`localcloud status`), `make demo` begins again")
        sys.exit(130)


def _rehearse(started: float) -> None:
    sha = head(paths.ROOT)
    os.environ.setdefault("LOCALCLOUD_CLOCK", CLOCK)
    install.ensure(lambda line: console.print(line, markup=False))
    control.stop()  # a rehearsal begins with an empty cloud and no builds
    shutil.rmtree(FOLDER, ignore_errors=True)
    make_passphrase()
    state = control.start()
    console.print(
        f"the local cloud runs, clock {state.clock}; building commit {sha[:12]} (uncommitted changes are not in it)"
    )
    demo = Demo(
        variables={"RELEASE_SAMPLE": SAMPLE, "RELEASE_WEIGHTED_REQUESTS": WEIGHTED_REQUESTS} | environment(state)
    )

    source = FOLDER / "broken-source"
    broken_sha = broken_clone(paths.ROOT, Breakage.SCHEDULE_FAILS_LIVE, source)
    demo.together(
        "lay the foundations (buckets, identities, GitHub environments) and build two releases, one of them broken",
        (paths.ROOT, foundation_command("preprod")),
        (paths.ROOT, foundation_command("prod")),
        (paths.ROOT, build_command(sha, FOLDER / "sound")),
        (source, build_command(broken_sha, FOLDER / "broken")),
    )
    put_missing(state)
    sound = demo.to_preprod("the release", paths.ROOT, FOLDER / "sound")
    first = demo.run(
        "promote the same bytes to production", "release", "promote", "--stack", "prod", "--digest", sound, "--json"
    )

    broken = demo.to_preprod("the broken release", source, FOLDER / "broken")
    failed = demo.run(
        "promote the broken release: the canary must fail and production go back by itself",
        *("release", "promote", "--stack", "prod", "--digest", broken, "--json"),
        folder=source,
        expected=ROLLED_BACK,
    )
    demo.unchanged("prod")
    status = {
        stack: demo.run(f"what {stack} says of itself", "release", "status", "--stack", stack, "--json")
        for stack in ("preprod", "prod")
    }
    _summarise(demo, status, first, failed, time.monotonic() - started)


def _summarise(demo: Demo, status: dict[str, Any], first: Any, failed: Any, seconds: float) -> None:
    rollback = failed["report"]
    summary = {
        "seconds": round(seconds, 1),
        "clock": demo.variables["LOCALCLOUD_CLOCK"],
        "stacks": {stack: {"confirmed": answer["confirmed"]} for stack, answer in status.items()},
        "rollback": {
            key: rollback[key] for key in ("from", "to", "verified", "detected_s", "traffic_restored_s", "converged_s")
        },
        "steps": demo.steps,
    }
    scratch = SUMMARY.with_suffix(".tmp")
    scratch.write_text(json.dumps(summary, indent=1) + "\n")
    scratch.replace(SUMMARY)
    confirmed = status["prod"]["confirmed"]
    lines = (
        f"Commit {confirmed['sha'][:12]} was built once and tested in preprod; production runs the same bytes.",
        "A release broken on purpose passed preprod; in production the canary failed it after "
        f"{rollback['detected_s']:.1f} s.",
        f"Traffic was back after {rollback['traffic_restored_s']:.1f} s, the whole stack after "
        f"{rollback['converged_s']:.1f} s; verified by reading the cloud: {rollback['verified']}.",
        f"Look: localcloud run -- release history --stack prod, and {first['dashboard_url']}health",
        f"For machines: {SUMMARY}; logs: {paths.LOGS}; end it with: localcloud stop",
    )
    console.print(f"\n[bold]What happened[/] ({seconds:.0f} s)")
    for number, line in enumerate(lines, start=1):
        console.print(f"{number}. {line}", markup=False)


if __name__ == "__main__":
    main()
