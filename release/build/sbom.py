"""The list of what a package holds, inside the package: a CycloneDX bill of materials.

It depends on the lock and the wheels alone (no time, no serial number), so that the same commit gives the same bytes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any, Final

from packaging.tags import Tag, parse_tag
from packaging.utils import canonicalize_name

from release.build.distributions import Distribution
from release.canonical import canonical_json

BOM_FILE: Final = "bom.cdx.json"
LICENSE_TEXT: Final = "sentiment-pipeline:licence-text"
"""Property: path of a licence text or notice in the package."""


def bill_of_materials(function: str, distributions: Sequence[Distribution], lock: bytes) -> bytes:
    """The CycloneDX 1.6 document, canonical JSON; the digests of the wheels are those of the lock."""
    packages = {
        (canonicalize_name(package["name"]), package.get("version")): package.get("wheels", [])
        for package in tomllib.loads(lock.decode())["package"]
    }
    return canonical_json(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {"component": {"type": "application", "name": function, "bom-ref": function}},
            "components": [_component(one, packages.get((one.name, one.version), [])) for one in distributions],
        }
    )


def _component(one: Distribution, wheels: list[dict[str, Any]]) -> dict[str, Any]:
    purl = f"pkg:pypi/{one.name}@{one.version}"
    licence = one.license
    # The lock names all wheels of a version; the tags tell the one that was installed.
    digests = [wheel["hash"].removeprefix("sha256:") for wheel in wheels if _tags_of(wheel["url"]) == one.tags]
    return {
        "type": "library",
        "bom-ref": purl,
        "name": one.name,
        "version": one.version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": digests[0]}] if len(digests) == 1 else [],
        "licenses": [
            {
                "expression": licence.expression,
                "acknowledgement": "concluded" if licence.concluded else "declared",
            }
        ],
        "properties": [{"name": LICENSE_TEXT, "value": text} for text in one.texts],
    }


def _tags_of(url: str) -> frozenset[Tag]:
    return parse_tag("-".join(url.removesuffix(".whl").rsplit("-", 3)[1:]))
