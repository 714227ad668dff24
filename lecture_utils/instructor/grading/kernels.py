"""Kernels for grading: a provisioner (an extension point of jupyter_client) that asks the fork server for them."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path
from queue import Empty
from typing import Any

import zmq.asyncio
from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from traitlets import Type, default

from lecture_utils.environment import ROOT
from lecture_utils.instructor.grading import sandbox, server

PROVISIONER = "lecture-utils-fork"
LARGEST_MESSAGE = 8 * 2**20  # bytes: a kernel that sends more is cut off
WAITING_MESSAGES = 64  # unread ones that are kept in memory


class Forked:
    """A process that is not our child, with the part of ``subprocess.Popen`` that ``LocalProvisioner`` uses."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self.handle: int | None = os.pidfd_open(pid)
        except ProcessLookupError:
            self.handle = None

    def poll(self) -> int | None:
        if self.handle is not None and select.select([self.handle], [], [], 0)[0]:
            os.close(self.handle)
            self.handle = None
        return None if self.handle is not None else 0

    def wait(self) -> int:
        if self.handle is not None:
            select.select([self.handle], [], [])
        return self.poll() or 0

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self.handle, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    terminate = kill  # process 1 of its namespace would not hear SIGTERM


class ForkProvisioner(LocalProvisioner):
    """Launches kernels by fork instead of starting Python anew; everything else is as for local kernels."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        manager = self.parent
        runtime = str(Path(manager.connection_file).parent)
        request = {"connection_file": manager.connection_file, "runtime": runtime}
        request |= {"sandbox": manager.sandboxed, "course": manager.course}
        answer = await asyncio.to_thread(server.ask, request)
        if "error" in answer:  # somebody may have ended it while it started
            answer = await asyncio.to_thread(server.ask, request)
        if "error" in answer:
            raise sandbox.SandboxError(f"No kernel: {answer['error']}")
        self.process = Forked(answer["pid"])
        self.pid = self.process.pid
        return self.connection_info

    async def kill(self, restart: bool = False) -> None:
        await super().kill(restart)
        if self.process:  # at its end, so that nobody has to poll for it
            await asyncio.to_thread(self.process.wait)

    terminate = kill

    async def cleanup(self, restart: bool = False) -> None:
        await super().cleanup(restart)
        if not restart:
            shutil.rmtree(Path(self.parent.connection_file).parent, ignore_errors=True)


class GradingChannel(AsyncZMQSocketChannel):
    """What a kernel sends is data: here messages that are none are dropped, and a flood of them does not stop the clock."""

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            # A message that is there already is no reason to wait: time limits would never be looked at.
            await asyncio.sleep(0)
            left = None if deadline is None else max(0, int(1000 * (deadline - time.monotonic())))
            if not await self.socket.poll(left):
                raise Empty
            parts = await self.socket.recv_multipart()
            try:
                return _sound(self.session.deserialize(self.session.feed_identities(parts)[1]))
            except Exception:  # wrong signature, no JSON, another shape: whatever it is, it is no message
                if left == 0:
                    raise Empty from None


def _sound(message: dict[str, Any]) -> dict[str, Any]:
    """The message, if it has the form that all readers of messages rely on. Raises all sorts of errors if not."""
    parts = message["header"], message["parent_header"], message["content"]
    if not all(isinstance(part, dict) for part in parts) or not isinstance(message["msg_type"], str):
        raise TypeError("no message")
    if message["msg_type"] == "execute_reply":
        content = parts[2]
        told = {"ename": str(content.get("ename")), "evalue": str(content.get("evalue")), "traceback": []}
        message["content"] = {"status": "error" if content.get("status") == "error" else "ok", **told}
    return message


class GradingClient(AsyncKernelClient):
    """Is ready when both channels have answered. jupyter_client waits until one has been silent for 0.2 s."""

    shell_channel_class = iopub_channel_class = control_channel_class = stdin_channel_class = Type(GradingChannel)

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Raises RuntimeError if the kernel does not answer in ``timeout`` seconds."""
        deadline, shell, output = time.monotonic() + (timeout or 60), False, False
        while not (shell and output):
            asked = self.kernel_info()
            if time.monotonic() > deadline or not await self.is_alive():
                raise RuntimeError("The kernel did not answer after it was started.")
            while not (shell and output):
                try:
                    if not shell:
                        message = await self.get_shell_msg(timeout=1)
                        shell = message["msg_type"] == "kernel_info_reply"
                    else:  # sent before we listened? Then ask again.
                        message = await self.get_iopub_msg(timeout=0.1)
                        idle = message["content"].get("execution_state") == "idle"
                        output = idle and message["parent_header"].get("msg_id") == asked
                except Empty:
                    shell = False
                    break


class GradingKernelManager(AsyncKernelManager):
    """Kernels that talk over files in a private folder: the network of a sandboxed kernel is empty."""

    sandboxed = True
    course = str(ROOT)  # the folder that is not to be seen

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        runtime = Path(tempfile.mkdtemp(prefix="grading-"))
        (runtime / sandbox.WORK).mkdir()
        self.transport, self.ip = "ipc", str(runtime / "k")
        self.transport_encryption = "disabled"  # whatever a server wants for its own kernels: this folder is private
        self.connection_file = str(runtime / "kernel.json")

    @property
    def kernel_spec(self) -> Any:
        spec = super().kernel_spec
        spec.metadata["kernel_provisioner"] = {"provisioner_name": PROVISIONER}
        return spec

    @default("client_factory")
    def _our_client(self) -> type[GradingClient]:
        return GradingClient

    @default("context")
    def _limited_context(self) -> zmq.Context:
        self._created_context, context = True, zmq.asyncio.Context()
        context.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
        context.setsockopt(zmq.RCVHWM, WAITING_MESSAGES)
        return context


class UnlockedKernelManager(GradingKernelManager):
    """The same without a sandbox, for ``--unsandboxed``."""

    sandboxed = False
