"""Entry point of the plugin: `python -m localcloud.aws_provider [ENGINE_ADDRESS] [flags]`."""

import importlib.util
import os
import signal
import sys
import types
from concurrent import futures
from pathlib import Path

_STARTED_BY = os.getppid()
"""Read first: an engine that is gone by the time that the port is printed would never be missed."""
_THREADS = 16
_ENDS = (signal.SIGINT, signal.SIGTERM)


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


def main() -> None:
    """Serves until a signal comes or the engine is gone. Prints the port, and nothing else, on stdout."""
    # Blocked before any thread exists: a handler that runs just before this thread begins to wait would wake nobody.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    _import_protocol_alone()
    import grpc
    from pulumi.runtime.proto import provider_pb2_grpc

    from localcloud.aws_provider.server import AwsProvider

    no_limit = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=_THREADS), options=no_limit)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(AwsProvider(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()

    # Loaded while the engine still reads the program, so that the first AWS call does not wait for it.
    import boto3  # noqa: F401

    while signal.sigtimedwait(_ENDS, 1.0) is None and os.getppid() == _STARTED_BY:
        pass  # a killed engine sends no signal
    os._exit(0)  # a worker thread may hang in an AWS call that nobody waits for


if __name__ == "__main__":
    main()
