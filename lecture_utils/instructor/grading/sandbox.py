"""What student code may do while it is graded: compute. Linux only; every layer is the kernel's own.

- namespaces: no network, no other process to see or to signal; with the first process all others end
- a private root: Python and nothing else that could be named, read-only, so not even a time of access tells anything;
  without the texts of the finished rules, which are imported before
- a tmpfs of limited size as the only place to write, which vanishes with the namespace
- no capabilities; seccomp: no new process, no program, no socket, no debugging, no lock or watch that another could
  notice, nothing that changes the system
- limits on memory, processor time, file size and open files

Landlock is not needed: what it would forbid has no name here, or lies on a mount that is read-only and stays so.
It does not stop: using the processor until the time limit, threads, and reading the public package or environment.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

from lecture_utils.environment import ROOT
from lecture_utils.instructor.grading.limits import address_space, lower
from lecture_utils.instructor.grading.root import WORK, WORK_BYTES, SandboxError, call, change_root, seal, shown

MEMORY, FILES, THREADS, CPU_SECONDS = 2 * 2**30, 256, 512, 600
_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = (
    0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
_CLONE_THREAD, _PDEATHSIG, _DROP_BOUND, _NO_NEW_PRIVILEGES = 0x10000, 1, 24, 38
_DATAGRAMS = (2, 3)  # a unix socket of type SOCK_RAW is one of datagrams, too
_LOCKS = (5, 6, 7, 36, 37, 38, 1024, 1025, 1026)  # of fcntl: record locks, leases, and news of a folder
_DENIED = """
    fork vfork execve execveat ptrace process_vm_readv process_vm_writev pidfd_open pidfd_getfd
    socket connect bind listen mount umount2 pivot_root chroot unshare setns
    fsopen fspick fsconfig fsmount move_mount open_tree open_tree_attr mount_setattr open_by_handle_at
    flock inotify_init inotify_init1 fanotify_init fanotify_mark
    bpf perf_event_open userfaultfd io_uring_setup add_key request_key keyctl
    memfd_create memfd_secret shmget msgget semget mq_open mknod mknodat
    init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff acct quotactl
    settimeofday clock_settime clock_adjtime adjtimex sethostname setdomainname iopl ioperm personality syslog
""".split()
# What forbids user namespaces on some machines: the value that does, and one that does not
_SETTINGS = {
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),
    "kernel.unprivileged_userns_clone": ("0", "1"),
    "user.max_user_namespaces": ("0", "10000"),
}
_REHEARSAL = "from lecture_utils.instructor.grading import sandbox; sandbox.rehearse()"


@cache
def why_not(course: Path = ROOT) -> str:
    """Why there is no sandbox here, in a sentence or two; empty if there is one. Tried out in a process of its own."""
    if not sys.platform.startswith("linux"):
        return f"The sandbox needs Linux; this is {sys.platform}."
    if inside := [
        p for p in shown(course) if any(c.is_relative_to(os.path.realpath(p)) for c in (ROOT, course.resolve()))
    ]:
        return f"The course lies in {inside[0]}, which student code must be able to read. Move it elsewhere."
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-P", "-c", _REHEARSAL, folder]
        run = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    if run.returncode == 0:
        return ""
    reason = (run.stderr.strip().splitlines() or ["it fails without a word"])[-1]
    return f"The sandbox cannot be set up: {reason.removeprefix('SandboxError: ')}{_what_to_allow()}"


def _what_to_allow() -> str:
    for name, (forbids, allows) in _SETTINGS.items():
        file = Path("/proc/sys", name.replace(".", "/"))
        if file.exists() and file.read_text().strip() == forbids:
            return f". This machine forbids user namespaces; to allow them: sudo sysctl {name}={allows}"
    return ""


def rehearse() -> None:
    """All layers, once, in the folder that the command line names. Raises what the first missing one raises."""
    runtime = Path(sys.argv[-1])
    (runtime / WORK).mkdir()
    try:
        _seccomp()  # looks for its library with programs that are not there afterwards
        enter_namespaces()
        if (child := os.fork()) == 0:
            lock(runtime, ROOT)
            close_doors()
            if os.path.exists(__file__):
                raise SandboxError("the files of the course can still be seen from inside")
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            os._exit(1)  # it has said why
        seal(runtime)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def enter_namespaces() -> None:
    """Leave the network and all other processes behind: from the next fork on. Raises ``SandboxError``."""
    uid, gid = os.getuid(), os.getgid()
    call("unshare", _NEWUSER | _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET)
    for file, text in {"setgroups": "deny", "uid_map": f"{uid} {uid} 1", "gid_map": f"{gid} {gid} 1"}.items():
        try:
            Path("/proc/self", file).write_text(text)
        except OSError as error:
            raise SandboxError(f"user namespaces cannot be used here (/proc/self/{file}: {error.strerror})") from None


def die_with_parent() -> None:
    """The kernel kills this process when its parent ends, however that happens."""
    call("prctl", _PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def lock(runtime: Path, course: Path) -> None:
    """Limits, root and rights of this thread and all that it starts. Call it before any other thread is there."""
    _limit()  # reads /proc, which is gone after the next line
    change_root(runtime, course)
    _give_up_rights()


def close_doors() -> None:
    """Seccomp, for all threads: call it when the kernel has made its sockets and before it runs student code."""
    seccomp = _seccomp()
    rules, forbidden = seccomp.SyscallFilter(seccomp.ALLOW), seccomp.ERRNO(errno.EPERM)
    rules.set_attr(seccomp.Attr.CTL_TSYNC, 1)
    rules.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)  # calls of 32-bit programs have other numbers
    for name in _DENIED:
        try:
            rules.add_rule(forbidden, name)
        except (OSError, ValueError, RuntimeError):
            continue  # this architecture has no such call
    rules.add_rule(forbidden, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, _CLONE_THREAD, 0))
    # A pair of datagram sockets can send to any unix socket of the machine; who outlives the parent is never ended.
    for kind in _DATAGRAMS:
        rules.add_rule(forbidden, "socketpair", seccomp.Arg(1, seccomp.MASKED_EQ, 0xF, kind))
    rules.add_rule(forbidden, "prctl", seccomp.Arg(0, seccomp.MASKED_EQ, 0xFFFFFFFF, _PDEATHSIG))
    for command in _LOCKS:  # two kernels could talk by locks on a file that both can read
        rules.add_rule(forbidden, "fcntl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, command))
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")  # its flags cannot be looked at: libc then uses clone
    rules.load()


def _seccomp() -> ModuleType:
    try:
        import pyseccomp  # only here: it cannot be imported where the C library is missing
    except (OSError, RuntimeError) as error:
        raise SandboxError(f"{error}. On Debian and Ubuntu: sudo apt install libseccomp2") from None
    return pyseccomp


def _limit() -> None:
    lower(
        AS=address_space() + MEMORY,
        CPU=CPU_SECONDS,
        FSIZE=WORK_BYTES,
        NOFILE=FILES,
        CORE=0,
        MSGQUEUE=0,
        NPROC=THREADS,  # of this namespace; root is exempt
    )


def _give_up_rights() -> None:
    """No capability even inside the namespaces, now or after starting a program."""
    libc = ctypes.CDLL(None)
    for capability in range(64):
        libc.prctl(_DROP_BOUND, ctypes.c_ulong(capability), 0, 0, 0)  # fails for numbers that are none yet
    call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    call("capset", struct.pack("Ii", 0x20080522, 0), bytes(24))
