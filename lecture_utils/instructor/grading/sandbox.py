"""What student code may do while it is graded: compute. Linux only; every layer is the kernel's own.

- namespaces: no network, no other process to see or to signal; with the first process all others end
- a tmpfs of limited size as the only place to write, which vanishes with the namespace
- Landlock: the Python environment can be read and nothing else, not even /proc
- seccomp: no new process, no program, no socket, no debugging, nothing that changes the system; and what Landlock lets
  pass: owners, rights and times of files
- limits on memory, processor time, file size and open files

It does not stop: using the processor until the time limit, threads, and reading the public package or environment.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import site
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from lecture_utils.environment import ROOT

WORK = "work"  # the folder inside a kernel's runtime folder that student code works in
MEMORY, FILES, WORK_BYTES, CPU_SECONDS = 2 * 2**30, 256, 64 * 2**20, 600
WORK_FILES, THREADS = 4096, 512
_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = (
    0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
_PRIVATE, _NOSUID_NODEV_NOEXEC, _CLONE_THREAD, _PDEATHSIG = 0x44000, 0xE, 0x10000, 1
_DATAGRAMS = (2, 3)  # a unix socket of type SOCK_RAW is one of datagrams, too
_DEVICES = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"]
_SYSTEM = ["/usr", "/lib", "/lib64", "/etc/localtime", "/etc/ld.so.cache", "/etc/mime.types"]
_DENIED = """
    fork vfork execve execveat ptrace process_vm_readv process_vm_writev pidfd_open pidfd_getfd
    socket connect bind listen mount umount2 pivot_root chroot unshare setns
    fsopen fspick fsconfig fsmount move_mount open_tree open_tree_attr mount_setattr open_by_handle_at
    chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes futimesat utimensat
    setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat
    inotify_add_watch fanotify_init fanotify_mark
    bpf perf_event_open userfaultfd io_uring_setup add_key request_key keyctl
    memfd_create memfd_secret shmget msgget semget mq_open mknod mknodat
    init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff acct quotactl
    settimeofday clock_settime clock_adjtime adjtimex sethostname setdomainname iopl ioperm personality syslog
""".split()


class SandboxError(Exception):
    """Why student code cannot be locked in on this machine."""


@cache
def why_not() -> str:
    """Why there is no sandbox here, in one sentence; empty if there is one. Tried out in a process of its own."""
    if not sys.platform.startswith("linux"):
        return f"The sandbox needs Linux; this is {sys.platform}."
    if inside := [p for p in _readable() if ROOT.is_relative_to(p)]:
        return f"The course lies in {inside[0]}, which student code must be able to read. Move it elsewhere."
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-P", "-c", "from lecture_utils.instructor.grading import sandbox; sandbox.rehearse()", folder]
        run = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    if run.returncode == 0:
        return ""
    return f"The sandbox cannot be set up: {(run.stderr.strip().splitlines() or ['it fails without a word'])[-1]}"


def rehearse() -> None:
    """All layers, once, in the folder that the command line names. Raises what the first missing one raises."""
    runtime = Path(sys.argv[-1])
    (runtime / WORK).mkdir()
    enter_namespaces()
    if (child := os.fork()) == 0:
        try:
            make_work_folder(runtime)
            lock(runtime)
            close_doors()
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise SystemExit(1)


def enter_namespaces() -> None:
    """Leave the network and all other processes behind: from the next fork on. Raises ``SandboxError``."""
    uid, gid = os.getuid(), os.getgid()
    _call("unshare", _NEWUSER | _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET)
    for file, text in {"setgroups": "deny", "uid_map": f"{uid} {uid} 1", "gid_map": f"{gid} {gid} 1"}.items():
        try:
            Path("/proc/self", file).write_text(text)
        except OSError as error:
            raise SandboxError(f"user namespaces cannot be used here (/proc/self/{file}: {error.strerror})") from None


def die_with_parent() -> None:
    """The kernel kills this process when its parent ends, however that happens."""
    _call("prctl", _PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def make_work_folder(runtime: Path) -> None:
    """Mount a small tmpfs for student code, seen by this namespace alone, and go there."""
    _call("mount", b"none", b"/", None, _PRIVATE, None)
    work = str(runtime / WORK).encode()
    _call(
        "mount",
        b"tmpfs",
        work,
        b"tmpfs",
        _NOSUID_NODEV_NOEXEC,
        f"size={WORK_BYTES},nr_inodes={WORK_FILES},mode=700".encode(),
    )
    os.chdir(work)


def lock(runtime: Path) -> None:
    """Limits and Landlock, for this thread and all that it starts. Call it before any other thread is there."""
    import resource  # here and not above: Windows has none, and reports can be written there

    from landlock import FSAccess, Ruleset

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for what, most in {
        resource.RLIMIT_AS: used + MEMORY,
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_FSIZE: WORK_BYTES,
        resource.RLIMIT_NOFILE: FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_NPROC: THREADS,  # of this namespace; root is exempt
    }.items():
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))
    rules = Ruleset()
    files = FSAccess.READ_FILE | FSAccess.EXECUTE
    rules.allow(*_readable(), rules=files | FSAccess.READ_DIR)
    rules.allow(*(p for p in _SYSTEM if os.path.isfile(p)), rules=files)
    rules.allow(*filter(os.path.exists, _DEVICES), rules=FSAccess.READ_FILE | FSAccess.WRITE_FILE)
    rules.allow(runtime / WORK, rules=FSAccess.all() & ~(FSAccess.EXECUTE | FSAccess.MAKE_CHAR | FSAccess.MAKE_BLOCK))
    rules.allow(runtime, rules=FSAccess.READ_FILE | FSAccess.MAKE_SOCK)  # the kernel's own sockets, not yet bound
    rules.apply()


def close_doors() -> None:
    """Seccomp, for all threads: call it when the kernel has made its sockets and before it runs student code."""
    import pyseccomp as seccomp

    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    rules.set_attr(seccomp.Attr.CTL_TSYNC, 1)
    rules.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)  # calls of 32-bit programs have other numbers
    for name in _DENIED:
        try:
            rules.add_rule(seccomp.ERRNO(errno.EPERM), name)
        except (OSError, ValueError, RuntimeError):
            continue  # this architecture has no such call
    rules.add_rule(seccomp.ERRNO(errno.EPERM), "clone", seccomp.Arg(0, seccomp.MASKED_EQ, _CLONE_THREAD, 0))
    # A pair of datagram sockets can send to any unix socket of the machine; who outlives the parent is never ended.
    for kind in _DATAGRAMS:
        rules.add_rule(seccomp.ERRNO(errno.EPERM), "socketpair", seccomp.Arg(1, seccomp.MASKED_EQ, 0xF, kind))
    rules.add_rule(seccomp.ERRNO(errno.EPERM), "prctl", seccomp.Arg(0, seccomp.MASKED_EQ, 0xFFFFFFFF, _PDEATHSIG))
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")  # its flags cannot be looked at: libc then uses clone
    rules.load()


def _readable() -> list[Path]:
    """The folders of the Python environment, and this package; what else is on sys.path unless the course is in it."""
    environment = [*_SYSTEM, sys.prefix, sys.base_prefix, ROOT / "lecture_utils"]
    more = [p for p in [*sys.path, site.getusersitepackages()] if p and not ROOT.is_relative_to(os.path.realpath(p))]
    return sorted({Path(os.path.realpath(p)) for p in [*environment, *more] if os.path.isdir(p)})


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    values = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    if getattr(libc, name)(*values):
        raise SandboxError(f"{name} is not allowed here: {os.strerror(ctypes.get_errno())}")
