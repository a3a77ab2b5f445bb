"""How long the dark analysis of a sound release takes, beside the sample that was before the duel.

`python bench/dark.py`. A Lambda service on loopback, a process of its own, answers each question rightly after `--ms`;
the releaser's code asks it by boto3, as it asks AWS. The sample was 800 requests to the functions with a URL, four at a
time. Measures only.
"""

import argparse
import asyncio
import io
import json
import os
import secrets
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rich.console import Console as RichConsole  # noqa: E402

from bench.machine import described  # noqa: E402
from components.naming import CANDIDATE, names  # noqa: E402
from components.service.functions import FUNCTIONS, KEYS, Trigger  # noqa: E402
from release.analysis.probes import Probes, StableVersion, duel_questions  # noqa: E402
from release.clients.aws import Aws  # noqa: E402
from release.console import Console  # noqa: E402
from release.ledger.lifecycle import ReleaseId  # noqa: E402
from release.settings import ReleaseSettings  # noqa: E402
from tests.unit.release.release_world import sound_answer  # noqa: E402

SAMPLE, SAMPLE_WORKERS = 800, 4
VERSIONS = {CANDIDATE: ReleaseId(digest="d" * 64, sha="5" * 40), "1": ReleaseId(digest="e" * 64, sha="6" * 40)}
KEY = secrets.token_hex(8)


def serve(ready: Connection, wait_s: float) -> None:
    """Answer Lambda's Invoke and GetAccountSettings on loopback until the process ends."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readline():
            url = urlsplit(head.split()[1].decode())
            length = 0
            while (line := await reader.readline()).strip():
                name, _, value = line.decode().partition(":")
                length = int(value) if name.lower() == "content-length" else length
            asked = await reader.readexactly(length)
            if "invocations" in url.path:
                await asyncio.sleep(wait_s)
                function = unquote(url.path).split("/")[3].removeprefix("prod-sentiment-")
                release = VERSIONS[parse_qs(url.query)["Qualifier"][0]]
                named = {"release": release.sha, "digest": release.digest}
                told: Any = sound_answer(function, json.loads(asked), named, KEY)
            else:
                told = {"AccountLimit": {"UnreservedConcurrentExecutions": 1000}}
            body = json.dumps(told).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)
            await writer.drain()

    async def main() -> None:
        server = await asyncio.start_server(one, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def timed(what: str, work: Callable[[], int], runs: int, against: float = 0.0) -> float:
    taken, asked = [], 0
    for _ in range(runs):
        began = time.monotonic()
        asked = work()
        taken.append(time.monotonic() - began)
    median = statistics.median(taken)
    ratio = f"{median / against:.2f}" if against else ""
    print(f"| {what} | {asked} | {median:.1f} s | {max(taken):.1f} s | {runs} | {ratio} |", flush=True)
    return median


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ms", type=float, default=40.0, help="how long a function takes to answer")
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args()
    here, there = Pipe()
    server = Process(target=serve, args=(there, chosen.ms / 1000), daemon=True)
    server.start()
    made_up = {name: secrets.token_hex(8) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    place = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{here.recv()}"}
    os.environ.update(made_up | place)
    settings, quiet = ReleaseSettings(), Console(RichConsole(file=io.StringIO()))
    probes = Probes(Aws().functions, names("prod"), VERSIONS[CANDIDATE], settings, quiet)

    def sample() -> int:
        requests = [
            one
            for spec in FUNCTIONS
            if spec.trigger is Trigger.URL
            for one in duel_questions(spec, VERSIONS[CANDIDATE], KEY)
        ]
        with ThreadPoolExecutor(SAMPLE_WORKERS) as pool:
            list(pool.map(lambda number: probes.ask(requests[number % len(requests)], CANDIDATE), range(SAMPLE)))
        return SAMPLE

    def duels() -> int:
        verdicts = probes.duels(dict.fromkeys(KEYS, StableVersion("1", VERSIONS["1"])), KEY)
        if not all(verdict.passed for verdict in verdicts):
            raise SystemExit("; ".join(map(str, verdicts)))
        return sum(int(verdict.numbers["pairs"]) for verdict in verdicts)

    print(described())
    print(f"a function answers after {chosen.ms:g} ms; {settings.workers} questions in flight.\n")
    print("| dark analysis of a sound release | questions to the candidate | median | max | runs | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    before = timed("sample of one function", sample, chosen.runs)
    timed("duels of three functions", duels, chosen.runs, before)


if __name__ == "__main__":
    main()
