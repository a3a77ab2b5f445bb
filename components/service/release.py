"""What the functions of a service stack serve: decided from the release handed over, or from the stack's own record.

Pure functions over plain data; no Pulumi. The rule that makes a plain `pulumi up` safe lives here: without a release
handed over, `live` is put on the recorded stable versions and a candidate gets no traffic.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

TRAFFIC: Final = (0, 10, 100)
"""Percent of `live` that a release can be given."""
CANARY_WEIGHT: Final = 0.1
"""Share of the calls of a function's URL that the new version answers at traffic 10."""

_SHA = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"[1-9][0-9]*")
_HANDLER = re.compile(r"[A-Za-z_][\w.]*\.[A-Za-z_]\w*")
_FUNCTION = re.compile(r"[a-z][a-z0-9-]*")
_ANY = re.compile(r".+", re.DOTALL)
_SHA256_BYTES = 32


class ReleaseInputError(ValueError):
    """A hand-over or a record that the program refuses to act on."""


class Live(StrEnum):
    """Where `live` of one function points."""

    ABSENT = "absent"
    """There is no `live`: no version of this function was ever confirmed."""
    STABLE = "stable"
    WEIGHTED = "weighted"
    """Stable, and `CANARY_WEIGHT` of the calls go to the new version; only for functions with a URL."""
    NEW = "new"


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """Where the code of one function lies; `code_sha256` is Lambda's CodeSha256 (base64)."""

    bucket: str
    key: str
    version_id: str
    code_sha256: str
    handler: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """One build: `manifest` (a digest) is its identity, `sha` its human name."""

    sha: str
    manifest: str
    functions: Mapping[str, Package]

    def as_output(self) -> dict[str, Any]:
        """The form that the hand-over and the record share."""
        packages = {key: asdict(package) for key, package in sorted(self.functions.items())}
        return {"sha": self.sha, "manifest": self.manifest, "functions": packages}


@dataclass(frozen=True, kw_only=True, slots=True)
class HandOver:
    """What the releaser asks of one `up`: a release, the versions that are good, and the traffic in percent."""

    release: Release
    stable: Mapping[str, str]
    traffic: int
    confirmed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedRelease:
    """What the stack remembers of its last complete `up`."""

    release: Release
    stable: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionPlan:
    """Code and traffic of one function."""

    package: Package
    live: Live
    stable: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServicePlan:
    """What one `up` makes of a release; `stable` is what the record will hold unless the release is confirmed."""

    release: Release
    stable: Mapping[str, str]
    confirmed: bool
    functions: Mapping[str, FunctionPlan]


def parse_hand_over(text: str) -> HandOver | None:
    """Parse the setting `release`; None when nothing was handed over. Raises `ReleaseInputError`."""
    if not text.strip():
        return None
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise _refused("hand-over", f"is not JSON ({error})") from None
    fields = _fields(data, "hand-over", ("release", "stable", "traffic", "confirmed"))
    traffic, confirmed = fields["traffic"], fields["confirmed"]
    if type(traffic) is not int or traffic not in TRAFFIC:
        raise _refused("hand-over: traffic", f"is {traffic!r}, allowed is 0, 10 or 100 (percent)")
    if type(confirmed) is not bool:
        raise _refused("hand-over: confirmed", f"is {confirmed!r}, allowed is true or false")
    if confirmed and traffic != max(TRAFFIC):
        raise _refused("hand-over: confirmed", f"is true at traffic {traffic}; only a release at 100 can be confirmed")
    return HandOver(
        release=_release(fields["release"], "hand-over"),
        stable=_versions(fields["stable"], "hand-over"),
        traffic=traffic,
        confirmed=confirmed,
    )


def parse_record(outputs: Mapping[str, Any]) -> RecordedRelease | None:
    """Parse the outputs of the stack's record; None when it has none yet. Raises `ReleaseInputError`."""
    if not outputs.get("release") and not outputs.get("stable"):
        return None
    fields = _fields(outputs, "record", ("release", "stable"))
    return RecordedRelease(release=_release(fields["release"], "record"), stable=_versions(fields["stable"], "record"))


def decide(
    hand_over: HandOver | None,
    record: RecordedRelease | None,
    *,
    functions: Collection[str],
    with_url: Collection[str],
    functions_in_state: int,
    bucket: str,
) -> ServicePlan | None:
    """Decide code and traffic of every function; None means that there is no release yet and no functions are made.

    `functions` are the keys of the program's table, `with_url` those of them that people call, `functions_in_state`
    counts the functions that the stack has now, `bucket` is the only one that packages may come from. Raises
    `ReleaseInputError` rather than drop a function or guess.
    """
    if hand_over is not None:
        return _handed_over(hand_over, functions, with_url, bucket)
    if record is not None:
        return _recorded(record, functions, bucket)
    if functions_in_state:
        raise ReleaseInputError(
            f"the stack has {functions_in_state} functions but no record of the release that they run: its last `up` "
            "failed before it was complete. Going on would delete them. Hand a release over: `release resume`, or "
            "`release rollback --to DIGEST --reason TEXT`, or deploy again with `release deploy` or `release promote`"
        )
    return None


def _handed_over(
    hand_over: HandOver, functions: Collection[str], with_url: Collection[str], bucket: str
) -> ServicePlan:
    release, stable, traffic = hand_over.release, hand_over.stable, hand_over.traffic
    missing, unknown = sorted(set(functions) - set(release.functions)), sorted(set(release.functions) - set(functions))
    if missing or unknown:
        raise ReleaseInputError(
            f"the release {release.sha} does not fit this program: without a package are {missing or 'none'}, "
            f"unknown to components/service/functions.py are {unknown or 'none'}. "
            "Deploy a release with the program of its own commit"
        )
    _only_from(bucket, release)
    if traffic == TRAFFIC[1] and not with_url:
        raise ReleaseInputError("traffic 10 needs a function with a URL, and this program has none: go from 0 to 100")
    if traffic == TRAFFIC[1] and (unproven := sorted(set(with_url) - set(stable))):
        raise ReleaseInputError(
            f"traffic 10 needs a stable version to share with, and {', '.join(unproven)} has none: go from 0 to 100"
        )

    def at(key: str) -> Live:
        # A tenth of what the schedule or the topic sends would prove nothing and could lose an item: requests only.
        tenth = Live.WEIGHTED if key in with_url else Live.STABLE
        return {0: Live.STABLE, 10: tenth, 100: Live.NEW}[traffic]

    return ServicePlan(
        release=release,
        stable=stable,
        confirmed=hand_over.confirmed,
        functions={key: _function(release.functions[key], at(key), stable.get(key)) for key in functions},
    )


def _recorded(record: RecordedRelease, functions: Collection[str], bucket: str) -> ServicePlan:
    dropped = sorted(set(record.release.functions) - set(functions))
    if dropped:
        raise ReleaseInputError(
            f"the recorded release {record.release.sha} runs {', '.join(dropped)}, which this program no longer knows. "
            "A function goes away only with a release that was built without it: deploy one with `release promote`"
        )
    _only_from(bucket, record.release)
    # A function that is new in the table has no code in the recorded release: the next release brings it.
    return ServicePlan(
        release=record.release,
        stable=record.stable,
        confirmed=False,
        functions={
            key: _function(record.release.functions[key], Live.STABLE, record.stable.get(key))
            for key in functions
            if key in record.release.functions
        },
    )


def _function(package: Package, live: Live, stable: str | None) -> FunctionPlan:
    if live is not Live.NEW and stable is None:
        live = Live.ABSENT
    return FunctionPlan(package=package, live=live, stable=stable)


def _only_from(bucket: str, release: Release) -> None:
    for key, package in release.functions.items():
        if package.bucket != bucket:
            raise ReleaseInputError(
                f"the package of {key} lies in bucket {package.bucket!r}; "
                f"this stack takes code only from its own, {bucket!r}"
            )


def _release(data: Any, where: str) -> Release:
    fields = _fields(data, f"{where}: release", ("sha", "manifest", "functions"))
    packages = fields["functions"]
    if not isinstance(packages, Mapping) or not packages:
        raise _refused(f"{where}: release.functions", "holds no functions")
    return Release(
        sha=_text(fields["sha"], f"{where}: release.sha", _SHA, "40 hexadecimal digits"),
        manifest=_text(fields["manifest"], f"{where}: release.manifest", _DIGEST, "64 hexadecimal digits"),
        functions={
            key: _package(key, package, f"{where}: release.functions.{key}") for key, package in packages.items()
        },
    )


def _package(key: str, data: Any, where: str) -> Package:
    _text(key, where, _FUNCTION, "a function's name")
    fields = _fields(data, where, ("bucket", "key", "version_id", "code_sha256", "handler"))
    version_id = _text(fields["version_id"], f"{where}.version_id", _ANY, "the version of an S3 object")
    if version_id == "null":
        raise _refused(f"{where}.version_id", "is 'null': the object was put while the bucket had no versioning")
    return Package(
        bucket=_text(fields["bucket"], f"{where}.bucket", _ANY, "the name of a bucket"),
        key=_text(fields["key"], f"{where}.key", _ANY, "the key of an S3 object"),
        version_id=version_id,
        code_sha256=_base64_sha256(fields["code_sha256"], f"{where}.code_sha256"),
        handler=_text(fields["handler"], f"{where}.handler", _HANDLER, "module.function"),
    )


def _base64_sha256(value: Any, where: str) -> str:
    text = _text(value, where, _ANY, "the base64 of a sha256")
    try:
        size = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if size != _SHA256_BYTES:
        raise _refused(where, f"is {text!r}, allowed is the base64 of a sha256 (32 bytes)")
    return text


def _versions(data: Any, where: str) -> dict[str, str]:
    """Versions by function. `$LATEST` is none: it changes under whoever calls it."""
    if not isinstance(data, Mapping):
        raise _refused(f"{where}: stable", f"is {data!r}, allowed is an object of versions by function")
    return {
        _text(key, f"{where}: stable", _FUNCTION, "a function's name"): _text(
            version, f"{where}: stable.{key}", _VERSION, "the number of a published version, as text"
        )
        for key, version in data.items()
    }


def _fields(data: Any, where: str, expected: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise _refused(where, f"is {data!r}, allowed is an object with {', '.join(expected)}")
    if set(data) != set(expected):
        raise _refused(where, f"has the fields {sorted(map(str, data))}, allowed are exactly {sorted(expected)}")
    return data


def _text(value: Any, where: str, pattern: re.Pattern[str], meaning: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _refused(where, f"is {value!r}, allowed is {meaning}")
    return value


def _refused(where: str, why: str) -> ReleaseInputError:
    source = (
        "the releaser hands releases over, do not write one by hand"
        if where.startswith("hand-over")
        else (
            "the record in the state is damaged: hand a release over with `release rollback --to DIGEST --reason TEXT`"
        )
    )
    return ReleaseInputError(f"{where} {why} ({source})")
