"""What can be proven about an update of a function's dependencies by looking at the files alone. Pure.

An update is harmless as far as this module goes when the same packages, from the same registry, moved forward within
their major version, and nothing else in the files says anything new. Whatever it cannot prove it refuses:

- a package that is new or gone: new code by new people is what an attack through a dependency looks like, also deep in
  the tree, so a person looks at it;
- a major version, a version that goes back, a pre-release, and for 0.x a minor version (semver.org, 4: "anything may
  change at any time");
- other bytes under the version that was there before;
- a package file that comes from another host, has no hash, or is not the file of that package and version.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

PATTERN: Final = re.compile(r"lambdas/[a-z][a-z0-9-]*/(uv\.lock|pyproject\.toml)")
_MOVING: Final = frozenset({"version", "sdist", "wheels", "dependencies"})
_OWN_SOURCE: Final = "virtual"


class NotProvableError(Exception):
    """Something in an update that a person has to look at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageFiles:
    """A package in a lock: index, version, and the SHA-256 of each of its wheels by the name of the file."""

    registry: str
    version: str
    wheels: Mapping[str, str]


def moved_packages(old: bytes, new: bytes) -> list[tuple[str, PackageFiles, PackageFiles]]:
    """Return the packages whose version differs between two locks that `moves` lets through, before and after."""
    before, after = (_by_name(tomllib.loads(lock.decode())["package"]) for lock in (old, new))
    both = sorted(before.keys() & after.keys())
    return [
        (name, _wheels(before[name]), _wheels(after[name]))
        for name in both
        if before[name].get("version") != after[name].get("version")
    ]


def locked_packages(lock: bytes) -> list[tuple[str, PackageFiles]]:
    """Return every package of a registry in a lock, with its name; one may stand there in two versions.

    Raises:
        NotProvableError: The lock cannot be read.
    """
    try:
        packages = tomllib.loads(lock.decode())["package"]
        return [(one["name"], _wheels(one)) for one in packages if "registry" in one["source"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotProvableError(f"a lock cannot be read: {type(error).__name__}") from None


def _wheels(package: Mapping[str, Any]) -> PackageFiles:
    digests = {_file_name(file): file["hash"].removeprefix("sha256:") for file in package.get("wheels", ())}
    return PackageFiles(registry=package["source"]["registry"], version=package["version"], wheels=digests)


def moves(path: str, old: bytes, new: bytes) -> list[str]:
    """Which packages moved from which version to which in a file that `PATTERN` matches, as `name old -> new`.

    Raises:
        NotProvableError: The update holds anything but versions that move forward within their major.
    """
    if not PATTERN.fullmatch(path):
        raise NotProvableError(f"{path} is no list of a function's dependencies")
    try:
        before, after = tomllib.loads(old.decode()), tomllib.loads(new.decode())
        return _lock(before, after) if path.endswith("/uv.lock") else _project(before, after)
    except NotProvableError as reason:
        raise NotProvableError(f"{path}: {reason}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # what packaging raises are ValueErrors
        raise NotProvableError(f"{path} cannot be read: {type(error).__name__}: {error}") from None


def step(name: str, old: str, new: str) -> str:
    """`name old -> new`, for a version that moves forward within its major.

    Raises:
        NotProvableError: It does not.
    """
    before, after = Version(old), Version(new)
    told = f"{name} {old} -> {new}"
    if after <= before:
        raise NotProvableError(f"{told} goes back")
    if after.is_prerelease or after.local:
        raise NotProvableError(f"{told} is no final release")
    if (before.epoch, _major(before)) != (after.epoch, _major(after)):
        raise NotProvableError(f"{told} is a major step")
    return told


def _major(version: Version) -> tuple[int, ...]:
    """The version up to its first number that is not 0: what may only change with a break."""
    leading: list[int] = []
    for number in version.release:
        leading.append(number)
        if number:
            break
    return tuple(leading)


def _lock(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    # `revision` is that of the file's format, and rises with the uv that writes it.
    changed = _differing(old, new, {"package", "revision"})
    if changed:
        raise NotProvableError(f"{', '.join(changed)} changed")
    before, after = _by_name(old["package"]), _by_name(new["package"])
    if before.keys() != after.keys():
        added, gone = sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())
        told = [f"new: {', '.join(added)}"] * bool(added) + [f"gone: {', '.join(gone)}"] * bool(gone)
        raise NotProvableError(f"the set of packages changed ({'; '.join(told)})")
    hosts = {_host(file["url"]) for package in before.values() for file in _files(package)}
    found = []
    for name, package in after.items():
        was = before[name]
        if package == was:
            continue
        if _OWN_SOURCE in was["source"]:
            _own(was, package)
            continue
        found.append(_moved(name, was, package, hosts))
    return found


def _by_name(packages: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {package["name"]: package for package in packages}
    if len(found) != len(packages):
        raise NotProvableError("a package stands there twice")
    return found


def _own(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """The function itself: only what it asks of a package may differ, and pyproject.toml says whether that is fine."""
    wanted = [{**package, "metadata": _unpinned(package.get("metadata", {}))} for package in (old, new)]
    if wanted[0] != wanted[1]:
        raise NotProvableError(f"what {old['name']} depends on changed")


def _unpinned(metadata: dict[str, Any]) -> dict[str, Any]:
    wanted = [{key: one[key] for key in one if key != "specifier"} for one in metadata.get("requires-dist", ())]
    return {**metadata, "requires-dist": wanted}


def _moved(name: str, old: Mapping[str, Any], new: Mapping[str, Any], hosts: set[str]) -> str:
    changed = _differing(old, new, _MOVING)
    if changed:
        raise NotProvableError(f"{', '.join(changed)} of {name} changed")
    if "registry" not in new["source"]:
        raise NotProvableError(f"{name} comes from no registry")
    if new["version"] == old["version"]:
        raise NotProvableError(f"{name} {old['version']} changed and kept its version")
    told = step(name, old["version"], new["version"])
    for file in _files(new):
        if _host(file["url"]) not in hosts:
            raise NotProvableError(f"{told} comes from {_host(file['url'])}")
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]):
            raise NotProvableError(f"{told} has no hash")
    named = [parse_wheel_filename(_file_name(file))[:2] for file in new.get("wheels", ())]
    named += [parse_sdist_filename(_file_name(new["sdist"]))] if "sdist" in new else []
    if set(named) != {(canonicalize_name(name), Version(new["version"]))}:
        raise NotProvableError(f"{told} has no files, or those of another package or version")
    return told


def _files(package: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _file_name(file: Mapping[str, Any]) -> str:
    return urlsplit(file["url"]).path.rpartition("/")[2]


def _project(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    changed = _differing(old, new, {"project"}) + _differing(old["project"], new["project"], {"dependencies"})
    if changed:
        raise NotProvableError(f"{', '.join(changed)} changed")
    before = [Requirement(one) for one in old["project"].get("dependencies", ())]
    after = [Requirement(one) for one in new["project"].get("dependencies", ())]
    if [_unpinned_requirement(one) for one in before] != [_unpinned_requirement(one) for one in after]:
        raise NotProvableError("more than the versions of its dependencies changed")
    found = []
    for was, now in zip(before, after, strict=True):
        pins = [sorted((one.operator, one.version) for one in wanted.specifier) for wanted in (was, now)]
        if [operator for operator, _ in pins[0]] != [operator for operator, _ in pins[1]]:
            raise NotProvableError(f"{was} -> {now} is more than another version")
        for (operator, version_before), (_, version_after) in zip(*pins, strict=True):
            if version_before != version_after:
                found.append(step(f"{now.name}{operator}", version_before, version_after))
    return found


def _unpinned_requirement(wanted: Requirement) -> tuple[Any, ...]:
    return canonicalize_name(wanted.name), frozenset(wanted.extras), wanted.url, str(wanted.marker or "")


def _differing(old: Mapping[str, Any], new: Mapping[str, Any], but: frozenset[str] | set[str]) -> list[str]:
    return sorted(key for key in {*old, *new} - but if key not in old or key not in new or old[key] != new[key])
