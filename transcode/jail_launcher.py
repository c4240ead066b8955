"""Shuts the door behind itself, then becomes the given command. Run as `python -I -S`, standard library only.

A small program of its own, because the worker has threads: code between fork and exec of a threaded
process (preexec_fn) may deadlock, and Landlock and seccomp can only be put on from inside.

argv: KEY=VALUE… -- COMMAND…, as `jail.orders` writes it; fd, wall, read and write may be repeated. Or the number of a
socket that says so, separated by NUL, and hands over the open files that `fd` names, in their order.
Exit status 125: a wall could not be put up.
"""

# What `socket` is built on: that would take as long to import as Python to start.
import _socket
import ctypes
import fcntl
import os
import resource
import struct
import sys
from array import array

CANNOT_LOCK = 125
_MOST_FILES = 32

_libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 22, 24, 38
_SIGKILL = 9
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000

# Landlock's system calls have the same numbers on every architecture.
_LANDLOCK_CREATE, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT = 444, 445, 446
_FS_RIGHTS_BY_ABI = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}
_FS_EXECUTE, _FS_WRITE_FILE, _FS_READ_FILE, _FS_READ_DIR = 1, 2, 4, 8
_FS_REMOVE_FILE, _FS_MAKE_REG, _FS_TRUNCATE = 0x20, 0x100, 0x4000
_FS_OWN_FOLDER = _FS_READ_FILE | _FS_WRITE_FILE | _FS_READ_DIR | _FS_REMOVE_FILE | _FS_MAKE_REG | _FS_TRUNCATE
_NET_BIND_CONNECT_TCP = 3
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 3

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# socket socketpair connect bind | fork vfork execveat | ptrace process_vm_readv/writev | mount namespaces |
# keys bpf perf userfaultfd io_uring (does what it wants past this filter) open_by_handle_at pidfd_getfd |
# signals, priority, processors and pages of other processes, the worker's among them
_FORBIDDEN = {
    "x86_64": (
        *(41, 53, 42, 49, 50, 43, 288, 44, 46, 307),
        *(57, 58, 322, 101, 310, 311, 165, 166, 272, 308, 428, 429, 430, 431, 432, 442),
        *(248, 249, 250, 321, 298, 323, 425, 426, 427, 304, 438, 434, 62, 200, 129),
        *(297, 424, 141, 142, 144, 203, 314, 251, 256, 279),
    ),
    "aarch64": (
        *(198, 199, 203, 200, 201, 202, 242, 206, 211, 269),
        *(281, 117, 270, 271, 40, 39, 97, 268, 428, 429, 430, 431, 432, 442),
        *(217, 218, 219, 280, 241, 282, 425, 426, 427, 265, 438, 434, 129, 130, 138),
        *(240, 424, 140, 118, 119, 122, 274, 30, 238, 239),
    ),
}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_CLONE_THREAD = 0x10000
# The C library reads its own limits (process 0) with the one, and aborts with the other.
_PRLIMIT = {"x86_64": 302, "aarch64": 261}
_TGKILL = {"x86_64": 234, "aarch64": 131}
# Who is to get a signal when a file is ready, and which: it could be the worker, and the one that kills.
_FCNTL = {"x86_64": 72, "aarch64": 25}
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX = 8, 10, 15

# Classic BPF, and its answers: EPERM, and ENOSYS for what is tried in another way then.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _ALLOW, _NO, _NOT_THERE = 0x80000000, 0x7FFF0000, 0x00050001, 0x00050026
# Of both machines the lower half of an argument comes first.
_ARGUMENTS = 16


def main(argv: list[str]) -> None:
    fds: list[int] = []
    try:
        if len(argv) == 1:
            argv, fds = _hear(int(argv[0]))
        split = argv.index("--")
        options, command = _options(argv[:split]), argv[split + 1 :]
        _place(fds, [int(number) for number in options.get("fd", [])])
        os.chdir(options["cwd"][0])
        _lock(options)
        os.execve(command[0], command, {"MALLOC_ARENA_MAX": "2", "LC_ALL": "C"})  # noqa: S606
    except OSError as error:
        os.write(2, f"jail: {error.strerror}: {error.filename or error.args}\n".encode())
        os._exit(CANNOT_LOCK)


def _hear(number: int) -> tuple[list[str], list[int]]:
    """The orders, and the open files that come with their first byte."""
    orders = _socket.socket(fileno=number)
    fds = array("i")
    heard, told, _, _ = orders.recvmsg(1, _socket.CMSG_SPACE(_MOST_FILES * fds.itemsize))
    for _, _, numbers in told:
        fds.frombytes(numbers)
    while more := orders.recv(1 << 16):
        heard += more
    orders.close()
    if not heard:
        os._exit(0)  # nobody needs it any more
    return heard.decode().split("\0"), list(fds)


def _place(fds: list[int], numbers: list[int]) -> None:
    """Each open file gets the number that the command knows it by."""
    if not fds:
        return
    aside = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, max(*numbers, *fds) + 1) for fd in fds]
    for fd in fds:
        os.close(fd)
    for fd, number in zip(aside, numbers, strict=True):
        os.dup2(fd, number)


def _options(arguments: list[str]) -> dict[str, list[str]]:
    options: dict[str, list[str]] = {}
    for argument in arguments:
        key, value = argument.split("=", 1)
        options.setdefault(key, []).append(value)
    return options


def _lock(options: dict[str, list[str]]) -> None:
    walls = options.get("wall", [])
    if sys.platform == "linux":
        _die_with_parent(int(options["parent"][0]))
    if "namespaces" in walls:
        _check(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC), "unshare")
    _limit(options, own_user_namespace="namespaces" in walls)
    if sys.platform == "linux":
        _never_gain_privileges()
    if "landlock" in walls:
        _landlock(options["read"], options.get("write", []))
    if "seccomp" in walls:
        _seccomp()


def _die_with_parent(parent: int) -> None:
    _check(_libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0), "prctl(PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(CANNOT_LOCK)


def _limit(options: dict[str, list[str]], own_user_namespace: bool) -> None:
    _set_limit(resource.RLIMIT_CPU, int(options["cpu_s"][0]))
    _set_limit(resource.RLIMIT_AS, int(options["memory_bytes"][0]))
    _set_limit(resource.RLIMIT_FSIZE, int(options["file_bytes"][0]))
    _set_limit(resource.RLIMIT_NOFILE, 64)
    _set_limit(resource.RLIMIT_CORE, 0)
    # Elsewhere the kernel counts every thread of this user on the whole host, which containers of the same user share
    # and can't see: other people's threads would keep ffmpeg from starting its own. There seccomp forbids processes;
    # threads need a stack each, of which the memory holds some 90, or thousands of small ones until the deadline.
    if own_user_namespace and _counts_by_namespace(os.uname().release):
        _set_limit(resource.RLIMIT_NPROC, 64)


def _counts_by_namespace(release: str) -> bool:
    """Whether threads in a user namespace of its own are counted from none, as Linux does since 5.14."""
    major, minor = release.split(".")[:2]
    return (int(major), int(minor)) >= (5, 14)


def _set_limit(kind: int, limit: int) -> None:
    ceiling = resource.getrlimit(kind)[1]
    limit = limit if ceiling == resource.RLIM_INFINITY else min(limit, ceiling)
    resource.setrlimit(kind, (limit, limit))


def _never_gain_privileges() -> None:
    for capability in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(NO_NEW_PRIVS)")


def _landlock(read: list[str], write: list[str]) -> None:
    """Nothing of the file system but `read` (files and folders) and `write` (folders); no TCP where it can say so."""
    abi = _check(_libc.syscall(_LANDLOCK_CREATE, None, 0, 1), "landlock")
    rights = _FS_RIGHTS_BY_ABI[min(abi, 5)]
    attributes = struct.pack(
        "QQQ",
        rights,
        _NET_BIND_CONNECT_TCP if abi >= 4 else 0,
        _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0,
    )
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = _check(_libc.syscall(_LANDLOCK_CREATE, attributes, size, 0), "landlock")
    for path in read:
        folder = _FS_READ_DIR if os.path.isdir(path) else 0
        _allow(ruleset, path, _FS_READ_FILE | _FS_EXECUTE | folder)
    for path in write:
        _allow(ruleset, path, rights & _FS_OWN_FOLDER)
    _check(_libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0), "landlock")
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    rule = struct.pack("=Qi", rights, beneath)
    _check(_libc.syscall(_LANDLOCK_ADD_RULE, ruleset, 1, rule, 0), "landlock")
    os.close(beneath)


def _seccomp() -> None:
    program = b"".join(_filter(os.uname().machine, os.getpid()))
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    _check(_libc.prctl(_PR_SET_SECCOMP, 2, header, 0, 0), "seccomp")


def _filter(machine: str, pid: int) -> list[bytes]:
    """What process `pid` may ask of the kernel, over struct seccomp_data: number at 0, architecture at 4."""
    program = [_op(_LOAD, 4), _op(_EQUAL, _AUDIT_ARCH[machine], 1, 0), _op(_ANSWER, _KILL), _op(_LOAD, 0)]
    if machine == "x86_64":
        program += [_op(_AT_LEAST, 0x40000000, 0, 1), _op(_ANSWER, _KILL)]  # the x32 numbers
    for number in _FORBIDDEN[machine]:
        program += [_op(_EQUAL, number, 0, 1), _op(_ANSWER, _NO)]
    # The C library falls back to clone, whose flags can be seen, when clone3 is not there.
    program += [_op(_EQUAL, _CLONE3, 0, 1), _op(_ANSWER, _NOT_THERE)]
    program += _only_on(_PRLIMIT[machine], 0) + _only_on(_TGKILL[machine], pid)
    program += _never_told(_FCNTL[machine], (_F_SETOWN, _F_SETSIG, _F_SETOWN_EX))
    program += [_op(_EQUAL, _CLONE[machine], 0, 3), _op(_LOAD, _ARGUMENTS), _op(_ANY_BIT, _CLONE_THREAD, 1, 0)]
    return [*program, _op(_ANSWER, _NO), _op(_ANSWER, _ALLOW)]


def _only_on(number: int, process: int) -> list[bytes]:
    """The first argument must be that process, in both halves of its 64 bits."""
    low, high = _op(_LOAD, _ARGUMENTS), _op(_LOAD, _ARGUMENTS + 4)
    both = [low, _op(_EQUAL, process, 0, 3), high, _op(_EQUAL, 0, 0, 1)]
    return [_op(_EQUAL, number, 0, 6), *both, _op(_ANSWER, _ALLOW), _op(_ANSWER, _NO)]


def _never_told(number: int, commands: tuple[int, ...]) -> list[bytes]:
    """The second argument must be none of these; the kernel reads only half of its 64 bits."""
    left = len(commands)
    program = [_op(_EQUAL, number, 0, left + 3), _op(_LOAD, _ARGUMENTS + 8)]
    program += [_op(_EQUAL, command, left - place, 0) for place, command in enumerate(commands)]
    return [*program, _op(_ANSWER, _ALLOW), _op(_ANSWER, _NO)]


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _check(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
