"""What others must say of packages that nobody reviews: the same publisher as before, and no known vulnerability."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from release.errors import ReleaseError, with_why
from release.gates.dependency_updates import NotProvableError, PackageFiles, locked_packages, moved_packages
from release.gates.publishers import Publisher, compared, publishers_of
from release.git.history import PathChange

T = TypeVar("T")


class PackageRecords(Protocol):
    """Where to ask (`release.clients.package_index.PackageIndex`)."""

    def provenance(self, registry: str, project: str, version: str, file: str) -> dict[str, Any] | None:
        """Return who has published a file."""
        ...

    def findings(self, packages: Collection[tuple[str, str]]) -> list[str]:
        """Return what is wrong with packages."""
        ...


def require_evidence(records: PackageRecords, changes: Sequence[PathChange], locks: Mapping[str, bytes]) -> list[str]:
    """Return what others say of an update, in sentences. `locks`: every lock of the functions after it.

    Raises:
        NotProvableError: It needs a person: another publisher, a finding, or a question without an answer.
    """
    said: dict[str, str] = {}
    looked_at = set()
    for change in changes:
        if not change.path.endswith("/uv.lock"):
            continue
        for name, before, after in moved_packages(change.old, change.new):
            told = f"{name} {before.version} -> {after.version}"
            files = told, *sorted(before.wheels.items()), *sorted(after.wheels.items())
            if files not in looked_at:  # two functions mostly have the same files
                looked_at.add(files)
                said[told] = compared(told, _published(records, name, before), _published(records, name, after))
    packages = {(name, one.version) for lock in locks.values() for name, one in locked_packages(lock)}
    found = _asked(lambda: records.findings(packages))
    if found:
        more = f" (and {len(found) - 3} more)" if len(found) > len(found[:3]) else ""
        raise NotProvableError(f"pip-audit has found {'; '.join(found[:3])}{more}")
    return [*said.values(), f"pip-audit has no finding in {len(packages)} packages"]


def _published(records: PackageRecords, name: str, package: PackageFiles) -> dict[str, frozenset[Publisher]]:
    found = {}
    for file, sha256 in package.wheels.items():
        document = _asked(lambda file=file: records.provenance(package.registry, name, package.version, file))
        try:
            found[file] = publishers_of(document, sha256)
        except NotProvableError as problem:
            raise NotProvableError(f"{file} {problem}") from None
    return found


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except ReleaseError as error:  # no answer is none that lets anything through
        raise NotProvableError(with_why(error)) from None
