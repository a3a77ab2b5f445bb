"""Entry point of the plugin: `python -m localcloud.aws_provider [ENGINE_ADDRESS] [flags]`."""

import importlib.util
import os
import signal
import sys
import threading
import types
from concurrent import futures
from pathlib import Path

_STARTED_BY = os.getppid()
"""Read first: an engine that is gone by the time that the port is printed would never be missed."""
_THREADS = 16


def _import_protocol_alone() -> None:
    """Makes `pulumi.runtime.proto` importable without the rest of the SDK.

    The SDK's packages import the automation API and OpenTelemetry: half a second at every start of a plugin that
    needs nothing of it but the generated messages.
    """
    found = importlib.util.find_spec("pulumi")
    if found is None or not found.submodule_search_locations:
        return
    root = Path(found.submodule_search_locations[0])
    for name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto"):
        package = types.ModuleType(name)
        package.__path__ = [str(root.parent.joinpath(*name.split(".")))]
        sys.modules.setdefault(name, package)


def _wait_until_orphaned(stopped: threading.Event) -> None:
    """Set `stopped` when the engine that started this plugin is gone, killed engines included."""
    while not stopped.wait(1.0):
        if os.getppid() != _STARTED_BY:
            stopped.set()


def main() -> None:
    """Serves until a signal comes or the engine is gone. Prints the port, and nothing else, on stdout."""
    _import_protocol_alone()
    import grpc
    from pulumi.runtime.proto import provider_pb2_grpc

    from localcloud.aws_provider.server import AwsProvider

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())

    no_limit = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=_THREADS), options=no_limit)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(AwsProvider(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()

    threading.Thread(target=_wait_until_orphaned, args=(stopped,), daemon=True).start()
    # Loaded while the engine still reads the program, so that the first AWS call does not wait for it.
    import boto3  # noqa: F401

    stopped.wait()
    server.stop(grace=0.5)
    os._exit(0)  # a worker thread may hang in an AWS call that nobody waits for


if __name__ == "__main__":
    main()
