"""What others know of published packages: who has published a file (the index), and what is wrong with one (OSV).

Nothing here believes that a question without an answer means "nothing": whoever asks is told that there was none.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from release.clients.rest import is_safe
from release.errors import ReleaseError
from release.text import one_line
from release.uv_settings import sources_only

INTEGRITY: Final = "RELEASE_INTEGRITY_URL"
OSV: Final = "RELEASE_OSV_URL"
"""Variables with other addresses than the public ones and those of the locks: a rehearsal's."""
_OSV: Final = "https://api.osv.dev/v1/query"
CONTROL: Final = ("sampleproject", "4.0.0", "sampleproject-4.0.0.tar.gz")
"""A file that has provenance: the example in the index's documentation. A mirror without any answers 404 for all."""
_MEDIA_TYPE: Final = "application/vnd.pypi.integrity.v1+json"
_LIMIT: Final = httpx.Timeout(15.0, connect=5.0)
_LONGEST: Final = 4_000_000
_AUDIT_S: Final = 300.0
_OK, _NOT_FOUND, _SERVER_ERROR = 200, 404, 500


class PackageIndexError(ReleaseError):
    """A question about packages that was not answered, or not readably."""


class _BrokenError(Exception):
    """An answer that may be another one a moment later."""


class _Vulnerability(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    fix_versions: list[str] = []


class _Audited(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    version: str = ""
    vulns: list[_Vulnerability] = []
    skip_reason: str = ""


class _Audit(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    dependencies: list[_Audited]


@dataclass(frozen=True)
class PackageIndex:
    """The index and OSV, as the environment names them. Making it opens no connection."""

    environment: Mapping[str, str]
    transport: httpx.BaseTransport | None = None
    wait_s: float = 0.5
    """Before a question is asked again, at first."""
    _known: dict[str, bool] = field(default_factory=dict)
    """Whether an index has provenance at all, by its address."""

    @classmethod
    def from_environment(cls) -> PackageIndex:
        """Return those that this process is told of."""
        return cls(os.environ)

    def provenance(self, registry: str, project: str, version: str, file: str) -> dict[str, Any] | None:
        """Return the provenance of a file as PEP 740 has it; `None` where the index has none.

        `registry` is the index as a lock names it; its integrity API lies on the same host.

        Raises:
            PackageIndexError: There is no answer, or none that can be read; or the index has provenance of no file.
        """
        base = self._safe(INTEGRITY, urljoin(registry, "/integrity"))
        found = self._asked(base, project, version, file)
        if found is None and not self._has_provenance(base):
            raise PackageIndexError(
                f"the provenance of {file} could not be asked",
                why=f"{urlsplit(base).hostname} has none of {CONTROL[2]} either, which has it",
                next_step="let the job reach the integrity API of the index that the lock names",
            )
        return found

    def _has_provenance(self, base: str) -> bool:
        if base not in self._known:
            self._known[base] = self._asked(base, *CONTROL) is not None
        return self._known[base]

    def _asked(self, base: str, project: str, version: str, file: str) -> dict[str, Any] | None:
        what = f"the provenance of {file}"
        path = "/".join(quote(part, safe="") for part in (project, version, file))
        address = f"{base}/{path}/provenance"

        def ask() -> httpx.Response:
            with httpx.Client(timeout=_LIMIT, transport=self.transport, headers={"Accept": _MEDIA_TYPE}) as client:
                answer = client.get(address)
            if answer.status_code >= _SERVER_ERROR:
                raise _BrokenError(f"HTTP {answer.status_code}")
            return answer

        again = retry_if_exception_type((_BrokenError, httpx.TransportError))
        wait = wait_random_exponential(multiplier=self.wait_s, max=4)
        try:
            answer = Retrying(retry=again, stop=stop_after_attempt(3), wait=wait, reraise=True)(ask)
        except (_BrokenError, httpx.HTTPError) as error:
            raise PackageIndexError(f"{what} could not be asked", why=f"{type(error).__name__}: {error}") from None
        if answer.status_code == _NOT_FOUND:
            return None
        if answer.status_code != _OK or len(answer.content) > _LONGEST:
            raise PackageIndexError(f"{what} could not be asked", why=f"HTTP {answer.status_code}")
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise PackageIndexError(f"{what} cannot be read", why="it is no JSON object")
        return document

    def findings(self, packages: Collection[tuple[str, str]]) -> list[str]:
        """Return what is known to be wrong with packages (name, version), in sentences.

        `pip-audit` asks OSV. It installs nothing, resolves nothing and starts no pip.

        Raises:
            PackageIndexError: Not every package was looked at.
        """
        versions: dict[str, list[str]] = {}
        for name, version in sorted(set(packages)):
            versions.setdefault(name, []).append(version)
        # It takes each name once; two functions may have two versions of it.
        most = max(map(len, versions.values()), default=0)
        runs = [{(name, found[at]) for name, found in versions.items() if at < len(found)} for at in range(most)]
        return [finding for wanted in runs for finding in self._audit(wanted)]

    def _audit(self, wanted: set[tuple[str, str]]) -> list[str]:
        with tempfile.TemporaryDirectory(prefix="audit-") as folder:
            listed = Path(folder, "requirements.txt")
            listed.write_text("".join(f"{name}=={version}\n" for name, version in sorted(wanted)), encoding="utf-8")
            command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv", "--strict"]
            command += ["--osv-url", self._safe(OSV, _OSV), "--format", "json", "--progress-spinner", "off"]
            command += ["--disable-pip", "--no-deps", "--cache-dir", f"{folder}/cache", "--desc", "off"]
            command += ["--requirement", str(listed)]
            try:
                done = subprocess.run(
                    command,
                    cwd=folder,
                    env=sources_only(self.environment),
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=_AUDIT_S,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise PackageIndexError("pip-audit has not ended", why=type(error).__name__) from None
        return _read(done, wanted)

    def _safe(self, variable: str, public: str) -> str:
        """The address that a variable names, or the public one."""
        address = (self.environment.get(variable) or public).rstrip("/")
        if not is_safe(address):
            raise PackageIndexError(f"{address} is not safe to ask", why="anybody on the way could change the answer")
        return address


def _read(done: subprocess.CompletedProcess[bytes], wanted: set[tuple[str, str]]) -> list[str]:
    """What pip-audit has found; a package that it does not tell of, and an advisory that it skips, is no answer."""
    complaints = done.stderr.decode(errors="replace")
    try:
        audit = _Audit.model_validate_json(done.stdout)
    except ValidationError:
        last = next((line for line in reversed(complaints.splitlines()) if line.strip()), "it says nothing")
        raise PackageIndexError("pip-audit has no result", why=one_line(last, 200)) from None
    skipped = [one.skip_reason for one in audit.dependencies if one.skip_reason]
    missing = wanted - {(one.name, one.version) for one in audit.dependencies}
    if missing or skipped:
        told = ", ".join(f"{name} {version}" for name, version in sorted(missing)) or one_line(skipped[0], 200)
        raise PackageIndexError("pip-audit has not looked at every package", why=told)
    found = [
        f"{flaw.id} in {one.name} {one.version}"
        + (f" (fixed in {', '.join(flaw.fix_versions)})" if flaw.fix_versions else "")
        for one in audit.dependencies
        for flaw in one.vulns
    ]
    # An advisory that it cannot read it skips, and says so.
    if not found and (done.returncode or re.search(r"(?m)^WARNING:pip_audit\._service", complaints)):
        raise PackageIndexError("pip-audit is not sure", why=one_line(complaints, 200))
    return found
