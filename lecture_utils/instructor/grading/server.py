"""Starting the fork server, once per machine and batch, and asking it for kernels. Nothing heavy is imported here."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lecture_utils.environment import ROOT

PATIENCE = 120  # seconds for a kernel to be there; the first one waits for the server's imports
_address = ""  # of the server of this batch
_of_this_process = ExitStack()
_connection: socket.socket | None = None


@contextmanager
def running() -> Iterator[str]:
    """A fork server, which ends with this process, however that happens; its address. Does not wait for its imports."""
    with tempfile.TemporaryDirectory(prefix="grading-server-") as folder, ExitStack() as stack:
        address = str(Path(folder) / "socket")
        if not sys.platform.startswith("linux"):
            yield ""  # kernels are started as usual there
            return
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        listener.bind(address)
        listener.listen(128)
        life, theirs = socket.socketpair()
        stack.enter_context(life)
        keep = {name: os.environ[name] for name in ("LANG", "LD_LIBRARY_PATH") if name in os.environ}
        keep |= {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
        keep |= {"OMP_NUM_THREADS": "1", "HOME": "/"}
        fds = [listener.fileno(), theirs.fileno()]
        command = [sys.executable, "-P", "-m", "lecture_utils.instructor.grading.forkserver", *map(str, fds)]
        process = subprocess.Popen(command, pass_fds=fds, env=keep, cwd="/", start_new_session=True)
        theirs.close()
        listener.close()  # once the server has ended, nobody is to wait for it
        try:
            yield address
        finally:
            life.close()
            process.wait()


def use(address: str) -> None:
    """Ask the server at ``address`` from now on, instead of one of this process's own."""
    global _address
    _address = address


def ask(request: dict[str, Any]) -> dict[str, Any]:
    """{"pid": of a new kernel}, or {"error": why there is none}. Raises ``ConnectionError`` when the server has ended."""
    global _connection
    for attempt in range(2):
        try:
            _connection = _connection or _connected()
            _connection.send(json.dumps(request).encode())
            if reply := _connection.recv(65536):
                return json.loads(reply)
            raise ConnectionError("The fork server has ended.")
        except OSError as error:
            _connection = None
            if attempt:
                raise ConnectionError(f"The fork server does not answer: {error}") from None
    raise AssertionError


def _connected() -> socket.socket:
    """Of the batch, or else of this process, as for the formgrader's button; a new one if it has ended."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(PATIENCE)
    try:
        if not _address:
            raise FileNotFoundError
        connection.connect(_address)
    except OSError:
        use(_of_this_process.enter_context(running()))
        connection.connect(_address)
    return connection
