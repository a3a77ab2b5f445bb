"""Runs one Pulumi program. Started by tools/engine/language-host with the interpreter of the program's own folder.

It stands alone on purpose: that interpreter may know nothing but the Pulumi SDK that the program's lock file names.
The serialised RunRequest comes on standard input, preceded by its length; the serialised RunResponse goes to the file
named as first argument. The program's own standard output and error are those of this process.
"""

import os
import runpy
import signal
import sys
import threading
from pathlib import Path

from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2

LENGTH_BYTES = 8


def main(response_file: Path) -> None:
    """Run the program of the request and write what became of it to `response_file`."""
    # Ctrl-C reaches the whole process group. The engine decides what it means: it lets running operations end and then
    # closes the monitor, which ends the program. A KeyboardInterrupt in here would only add a stack trace.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    length = int.from_bytes(sys.stdin.buffer.read(LENGTH_BYTES), "big")
    request = language_pb2.RunRequest.FromString(sys.stdin.buffer.read(length))
    threading.Thread(target=_exit_with_host, daemon=True).start()

    directory = Path(request.info.program_directory or request.pwd)
    entry = directory / (request.info.entry_point or request.program or ".") / "__main__.py"
    os.chdir(directory)
    sys.argv = [str(entry), *request.args]
    sys.path.insert(0, str(entry.parent))

    def program() -> None:
        runpy.run_path(str(entry), run_name="__main__")

    response = LanguageServer(program).Run(request, None)
    if response.error:
        # It is logged already. `bail` ends the run without the engine reporting it a second time as its own.
        response = language_pb2.RunResponse(bail=True)
    response_file.write_bytes(response.SerializeToString())


def _exit_with_host() -> None:
    # The bare descriptor: a thread blocked in sys.stdin's lock would make the interpreter abort at its own end.
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
