"""What others know of published packages: the integrity API of an index (PEP 740), and the vulnerabilities of OSV.

No file has provenance and nothing is known to be wrong, until a test says otherwise. It is here that the releaser asks:
no package index and no OSV is reached from a rehearsal.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from localcloud.environment import INTEGRITY, OSV
from localcloud.github.errors import not_found
from localcloud.github.routing import OWN, JsonBody

EXAMPLE = "sampleproject-4.0.0.tar.gz"
_MEDIA_TYPE = "application/vnd.pypi.integrity.v1+json"

routes = APIRouter()


@dataclass
class KnownPackages:
    """What tests have said."""

    provenance: dict[str, Any] = field(default_factory=lambda: {EXAMPLE: {"attestation_bundles": []}})
    """By the name of the file. The first is the one by which the releaser sees that there is provenance at all."""
    vulnerabilities: dict[str, list[Any]] = field(default_factory=dict)
    """By name and version (`six 1.17.1`), as OSV describes them."""


async def _known(request: Request) -> KnownPackages:
    return request.app.state.packages


Known = Annotated[KnownPackages, Depends(_known)]


@routes.put(f"{OWN}/provenance/{{file}}", status_code=204)
async def _say_provenance(file: str, said: JsonBody, known: Known) -> None:
    known.provenance[file] = said


@routes.put(f"{OWN}/vulnerabilities/{{name}}/{{version}}", status_code=204)
async def _say_vulnerability(name: str, version: str, said: JsonBody, known: Known) -> None:
    known.vulnerabilities.setdefault(f"{name} {version}", []).append(said)


@routes.get(f"{INTEGRITY}/{{project}}/{{version}}/{{file}}/provenance")
async def _provenance(file: str, known: Known) -> JSONResponse:
    if file not in known.provenance:
        raise not_found()
    return JSONResponse(known.provenance[file], media_type=_MEDIA_TYPE)


@routes.post(OSV)
async def _query(request: Request, known: Known) -> dict[str, Any]:
    """Answer as OSV: an empty object where nothing is known. Its clients send JSON without saying so."""
    asked = await request.json()
    found = known.vulnerabilities.get(f"{asked['package']['name']} {asked['version']}", [])
    return {"vulns": found} if found else {}
