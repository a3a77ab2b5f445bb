"""The distributions in a package: what each is, under which licence, and that its wheel is one for the runtime."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_string
from email.message import Message
from pathlib import Path
from typing import Final

from packaging.tags import InvalidTag, Tag, compatible_tags, cpython_tags, parse_tag
from packaging.utils import canonicalize_name

from release.build.licenses import ALLOWED, License, is_allowed, license_of
from release.build.package_checks import ARCHITECTURE, PYTHON_PLATFORM, RUNTIME, PackageError

_MAJOR, _MINOR = (int(part) for part in RUNTIME.removeprefix("python").split("."))
_ABI = f"cp{_MAJOR}{_MINOR}"
# manylinux2014 is glibc 2.17; who asks for an older one is content with it.
_PLATFORMS = [f"manylinux_2_{minor}_{ARCHITECTURE}" for minor in range(17, 4, -1)]
_PLATFORMS += [f"manylinux{name}_{ARCHITECTURE}" for name in ("2014", "2010", "1")]
LOADABLE: Final = frozenset(
    [*cpython_tags((_MAJOR, _MINOR), [_ABI], _PLATFORMS), *compatible_tags((_MAJOR, _MINOR), _ABI, _PLATFORMS)]
)
"""Tags of wheels that load on Lambda's runtime."""
_TEXT = re.compile(r"(licen[cs]e|copying|notice)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """One dependency as it lies in a package."""

    name: str
    """Canonical: lower case, hyphens."""
    version: str
    license: License
    texts: tuple[str, ...]
    """Paths of licence texts and notices in the package. The wheel brought them; empty when it brought none."""
    tags: frozenset[Tag]


def installed(function: str, tree: Path) -> list[Distribution]:
    """The distributions in an installed tree, sorted by name.

    Raises:
        PackageError: a wheel is not one for the runtime, or a licence is unknown or not allowed; by name.
    """
    found = [_distribution(function, tree, folder) for folder in tree.glob("*.dist-info")]
    return sorted(found, key=lambda one: one.name)


def _distribution(function: str, tree: Path, folder: Path) -> Distribution:
    metadata = message_from_string((folder / "METADATA").read_text(encoding="utf-8"))
    name, version = canonicalize_name(metadata["Name"]), metadata["Version"]
    what = f"{function}: {name} {version}"
    texts = [path for path in folder.rglob("*") if path.is_file() and _is_text(path.relative_to(folder))]
    return Distribution(
        name=name,
        version=version,
        license=_license(what, name, metadata),
        texts=tuple(sorted(path.relative_to(tree).as_posix() for path in texts)),
        tags=_tags(what, message_from_string((folder / "WHEEL").read_text(encoding="utf-8"))),
    )


def _is_text(path: Path) -> bool:
    """Whether it is a licence text: newer wheels keep them in a folder, older ones beside the metadata."""
    return path.parts[0] == "licenses" or (len(path.parts) == 1 and bool(_TEXT.match(path.name)))


def _tags(what: str, wheel: Message) -> frozenset[Tag]:
    written = wheel.get_all("Tag", [])
    try:
        tags = frozenset[Tag]().union(*(parse_tag(tag) for tag in written))
    except InvalidTag:
        tags = frozenset[Tag]()
    if not tags & LOADABLE:
        raise PackageError(
            f"{what} comes from a wheel that is not one for {RUNTIME} on {ARCHITECTURE}.",
            why=f"Its tags: {', '.join(written) or 'none'}. None of them is among those of {_ABI}, {PYTHON_PLATFORM}.",
            next_step=f"Choose a version with a wheel for py3, abi3 or {_ABI}, and any or {PYTHON_PLATFORM}.",
        )
    return tags


def _license(what: str, name: str, metadata: Message) -> License:
    licence = license_of(name, metadata)
    if licence is None:
        said = [
            f"{field}: {value.strip().splitlines()[0]}"
            for field in ("License-Expression", "License", "Classifier")
            for value in metadata.get_all(field, [])
            if value.strip() and (field != "Classifier" or value.startswith("License ::"))
        ]
        raise PackageError(
            f"{what} does not say clearly which licence it has.",
            why=f"Its metadata say: {'; '.join(said) or 'nothing'}.",
            next_step="Read the licence in its wheel. Where it is one that is allowed, say so in "
            "release/build/licenses.py; else choose another package.",
        )
    if not is_allowed(licence.expression):
        raise PackageError(
            f"{what} has the licence {licence.expression}, which is not allowed in a package.",
            why=f"Allowed are {', '.join(sorted(ALLOWED))} (release/build/licenses.py).",
            next_step="Choose another package, or decide with whoever answers for licences to allow this one there.",
        )
    return licence
