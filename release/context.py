"""What every command works with: one environment, its clients, its ledger."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from components.naming import Names, names, state_place
from release.artifacts.program import unpacked
from release.artifacts.store import PromotionStore, ReleaseStore, bucket_of
from release.artifacts.tools import KeptTools
from release.clients.aws import Aws
from release.clients.github import GitHub
from release.clients.package_index import PackageIndex
from release.clients.rest import LOOPBACK
from release.clock import Clock
from release.console import Console
from release.errors import ReleaseError
from release.ledger.lease import Lease
from release.ledger.ledger import Ledger, this_run
from release.ledger.lifecycle import UNCHANGED, Run, State
from release.ledger.objects import ObjectStore
from release.pulumi.locks import StackLocks
from release.pulumi.stack import Stack
from release.rules import RefusalRule
from release.settings import ReleaseSettings, changed
from release.traffic.aliases import Traffic
from release.traffic.bake import Bake
from release.traffic.failsafe import Failsafe


@dataclass(kw_only=True)
class Context:
    """One command on one environment. Making it opens no connection."""

    stack: str
    repo: Path
    """A folder inside the clone whose commits are released."""
    console: Console
    settings: ReleaseSettings
    suffix: str = ""
    """The setting `nameSuffix` of the stack files."""
    attestations: bool = False
    """The setting `attestations` of production: releases are signed for, and only such ones are taken."""
    clock: Clock = field(default_factory=Clock.from_environment)
    run: Run = field(default_factory=this_run)
    aws: Aws = field(default_factory=Aws)

    def __post_init__(self) -> None:
        bucket_of(self.stack, self.suffix)  # an unknown stack is refused before anything else happens

    @cached_property
    def names(self) -> Names:
        """Physical names of the environment."""
        return names(self.stack, self.suffix)

    @cached_property
    def objects(self) -> ObjectStore:
        """The environment's own bucket."""
        return ObjectStore(bucket_of(self.stack, self.suffix), self.aws.s3)

    @cached_property
    def promotions(self) -> PromotionStore:
        """What preprod offers. A role that may only read objects is told 403 for one that is not there."""
        bucket = bucket_of("preprod", self.suffix)
        return PromotionStore(ObjectStore(bucket, self.aws.s3, denied_is_missing=self.stack != "preprod"))

    @cached_property
    def releases(self) -> ReleaseStore:
        """What this environment has stored."""
        return ReleaseStore(self.objects)

    @cached_property
    def tools(self) -> KeptTools:
        """What a rollback runs with, where nothing but AWS answers."""
        return KeptTools(self.objects, self.console)

    @cached_property
    def ledger(self) -> Ledger:
        """The environment's ledger, written as this run."""
        return Ledger(self.objects, self.stack, self.run, self.clock)

    @cached_property
    def lease(self) -> Lease:
        """The environment's lease."""
        return Lease(self.objects, self.stack, self.run, self.clock)

    @cached_property
    def locks(self) -> StackLocks:
        """The locks in Pulumi's state of the environment's stack."""
        objects = ObjectStore(state_place(self.stack, self.suffix)[0], self.aws.s3)
        return StackLocks(objects, self.stack, self.suffix, self.lease, self.console)

    @cached_property
    def traffic(self) -> Traffic:
        """The environment's aliases."""
        return Traffic(self.stack, self.aws.aliases, self.lease.check)

    @cached_property
    def failsafe(self) -> Failsafe:
        """The schedules that take traffic back when nobody else does."""
        return Failsafe(self.stack, self.aws.scheduler, self.aws.account, self.lease.check)

    @cached_property
    def bake(self) -> Bake:
        """What takes traffic back when an alarm rings after the confirmation."""
        return Bake(self.stack, self.aws.events, self.aws.scheduler, self.aws.account, self.lease.check)

    @cached_property
    def github(self) -> GitHub | None:
        """The repository on GitHub; `None` where this run has no token for it, or does not know its name."""
        return GitHub.from_environment(os.environ)

    @cached_property
    def package_index(self) -> PackageIndex:
        """What others know of published packages."""
        return PackageIndex.from_environment()

    @cached_property
    def rehearsed(self) -> bool:
        """Whether this is the local cloud: its ledger lies on loopback, and nothing there is a production release."""
        return urlsplit(self.aws.s3.meta.endpoint_url).hostname in LOOPBACK

    @property
    def changed(self) -> dict[str, str]:
        """Variables by which a production release is judged otherwise than by the tables (`release.settings`)."""
        return {} if self.rehearsed else changed(os.environ)

    @contextmanager
    def leased(self, what: str, *, later_job: bool = False) -> Generator[None]:
        """Hold the lease for the time of a `with` block. It is taken over from a run that GitHub calls ended.

        `later_job`: this run finishes what another job of its CI run may have left.
        """

        def ended(run: Run) -> bool:
            return self.lease.is_ours(run, later_job=later_job) or self._has_ended(run)

        self.lease.take(what, self.settings, self.console.line, ended, above=self.ledger.view().fence)
        self.ledger.fence = self.lease.fence
        try:
            self._end_dead_attempt()
            yield
        finally:
            self.ledger.fence = 0
            try:
                self.lease.give_back()
            except ReleaseError as error:  # how the release has ended counts, not this
                self.console.warn(f"the lease could not be given back: {error}; {error.next_step or 'release reap'}")

    def _has_ended(self, run: Run) -> bool:
        """Return whether GitHub calls a run ended; a run that GitHub could not be asked about is not."""
        try:
            return self.github is not None and self.github.run_has_ended(run.id)
        except ReleaseError:
            return False

    def _end_dead_attempt(self) -> None:
        """Write that the attempt is over of a run that had changed nothing when it lost the lease."""
        attempt = self.ledger.view().attempt
        if attempt is None or attempt.state not in UNCHANGED:
            return
        dead, reason = attempt.run.id, f"run {attempt.run.id} died before it changed anything"
        rule = RefusalRule.RUN_DIED.label
        self.ledger.append(State.REFUSED, release=attempt.release, reason=reason, rule=rule, ended_run=dead)

    @contextmanager
    def program(self, packed: bytes) -> Generator[Stack]:
        """The stack, driven by the program in an archive."""
        self.tools.bring_engine(self.repo)
        with unpacked(packed, self.repo / ".release" / "envs", self.console, kept=self.tools) as folder:
            yield Stack(self.stack, folder, self.console, self.suffix, locks=self.locks)
