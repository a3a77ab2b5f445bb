"""Measures which share of today's locked wheels has provenance on the index (PEP 740): `bench/publishers.py`.

Prints a table in Markdown of every uv.lock of the functions and of the root one. It asks the index that they name about
some hundred files, two a second, and fails at the first question without an answer: a share of what could be asked is
no share. It has not been run yet: this machine reaches no integrity API, so the share is not measured.
"""

import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.machine import described  # noqa: E402
from release.clients.package_index import PackageIndex  # noqa: E402
from release.gates.dependency_updates import locked_packages  # noqa: E402
from release.gates.publishers import publishers_of  # noqa: E402

PAUSE_S = 0.5


def main() -> None:
    index, known = PackageIndex.from_environment(), {}
    locks = [*sorted(ROOT.glob("lambdas/*/uv.lock")), ROOT / "uv.lock"]
    print(f"{described()}\nasked on {datetime.now(UTC):%Y-%m-%d}.\n")
    print("| lock | packages | with provenance for every wheel | wheels | with provenance | kinds of publishers |")
    print("| --- | --- | --- | --- | --- | --- |")
    for lock in locks:
        packages = locked_packages(lock.read_bytes())
        whole, wheels, attested, kinds = 0, 0, 0, Counter[str]()
        for name, package in packages:
            for file, sha256 in package.wheels.items():
                if file not in known:
                    time.sleep(PAUSE_S)
                    known[file] = publishers_of(index.provenance(package.registry, name, package.version, file), sha256)
                kinds.update(dict(one.fields)["kind"] for one in known[file])
            found = [bool(known[file]) for file in package.wheels]
            wheels, attested, whole = wheels + len(found), attested + sum(found), whole + (bool(found) and all(found))
        share = f"{attested} ({attested / wheels:.0%})" if wheels else "0"
        told = ", ".join(f"{kind} {number}" for kind, number in kinds.most_common()) or "none"
        print(f"| {lock.relative_to(ROOT)} | {len(packages)} | {whole} | {wheels} | {share} | {told} |")


if __name__ == "__main__":
    main()
