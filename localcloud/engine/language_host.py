"""Stand-in for `pulumi-language-python`, which no package registry carries. Used only beside the CLI that we built.

A program runs with the `.venv` of its own folder when there is one, so that an unpacked older program runs with the SDK
that its own lock file names, not with ours.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty  # ty: ignore[missing-module-member]
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from localcloud.engine import language_exec

PARENT_POLL_SECONDS = 0.5


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine; each `Run` is a process of its own."""

    def __init__(self) -> None:
        self._programs: set[subprocess.Popen[bytes]] = set()

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: ARG002, D102, N802
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: ARG002, D102, N802
        return plugin_pb2.PluginInfo(version="3.259.0")

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:  # noqa: ARG002, D102, N802
        return language_pb2.GetRequiredPluginsResponse()

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: ARG002, D102, N802
        # The engine asks for each provider when the program registers the first resource of it.
        return language_pb2.GetRequiredPackagesResponse()

    def About(self, request: Any, context: Any) -> Any:  # noqa: ARG002, D102, N802
        return language_pb2.AboutResponse(executable=sys.executable, version=sys.version.split()[0])

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:  # noqa: ARG002, D102, N802
        return language_pb2.GetProgramDependenciesResponse()

    def Run(self, request: Any, context: Any) -> Any:  # noqa: ARG002, D102, N802
        with tempfile.TemporaryDirectory(prefix="pulumi-run-") as folder:
            answer = Path(folder) / "response"
            message = request.SerializeToString()
            program = subprocess.Popen(
                [str(interpreter_of(Path(request.info.program_directory))), language_exec.__file__, str(answer)],
                stdin=subprocess.PIPE,
            )
            self._programs.add(program)
            try:
                # The pipe stays open while the program runs: its end tells the program that this host is gone.
                assert program.stdin is not None  # noqa: S101 (narrows the type)
                program.stdin.write(len(message).to_bytes(language_exec.LENGTH_BYTES, "big") + message)
                program.stdin.flush()
                program.wait()
            finally:
                self._programs.discard(program)
            if not answer.exists():
                return language_pb2.RunResponse(
                    error=f"the program's process ended with code {program.returncode} before it said how it went; "
                    "its last lines are above"
                )
            return language_pb2.RunResponse.FromString(answer.read_bytes())

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: ARG002, D102, N802
        self.end_programs()
        return Empty()

    def end_programs(self) -> None:
        """Ask every program that still runs to end."""
        for program in tuple(self._programs):
            program.terminate()


def interpreter_of(program_directory: Path) -> Path:
    """Return the interpreter of the program's own `.venv`, or ours when it has none."""
    own = program_directory / ".venv" / "bin" / "python"
    return own if own.exists() else Path(sys.executable)


def main() -> None:
    """Serve on a free port of the loopback interface, print that port, and live as long as the engine does."""
    host = LanguageHost()
    server = grpc.server(ThreadPoolExecutor(max_workers=8), options=[("grpc.max_receive_message_length", 400 << 20)])
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    ended = threading.Event()
    # The engine gives its plugins a process group of their own and ends them with SIGINT; Ctrl-C never reaches us.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: ended.set())
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    engine = os.getppid()
    while not ended.is_set() and os.getppid() == engine:
        ended.wait(PARENT_POLL_SECONDS)
    host.end_programs()
    server.stop(grace=None)


if __name__ == "__main__":
    main()
