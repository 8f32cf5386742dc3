"""Stops a process of ours at each system call that changes a disk (ptrace and seccomp, x86-64).

All crash rings use it: at each call `decide` has the process killed, makes the call fail or do
nothing, or reads the disk while the process is stopped. A seccomp filter
picks the calls, so that all others run at full speed.
"""

import ctypes
import os
import platform
import signal
import struct
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.crash.calls import NAMES, NUMBERS, Call, changes, target

KILL = "kill"
Decision = int | str | None  # what the call shall return instead of being made; KILL; let it be
Decide = Callable[[Call], Decision]

SUPPORTED = platform.machine() == "x86_64"
WALL = 0x40000000
TRACEME, CONT, GETREGS, SETREGS, SETOPTIONS = 0, 7, 12, 13, 0x4200
# trace its children and threads, stop at the filter's calls, and die with the tracer
OPTIONS = 0x2 | 0x4 | 0x8 | 0x80 | 0x100000
AT_FILTERED_CALL = 7
SET_SECCOMP, FILTER, NO_NEW_PRIVS = 22, 2, 38
ALLOW, TRACE, ARCHITECTURE = 0x7FFF0000, 0x7FF00000, 0xC000003E
REGISTERS = (
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
    "fs_base gs_base ds es fs gs"
)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


class Registers(ctypes.Structure):
    """`struct user_regs_struct`."""

    _fields_ = [(name, ctypes.c_ulonglong) for name in REGISTERS.split()]

    def arguments(self) -> tuple[int, ...]:
        return (self.rdi, self.rsi, self.rdx, self.r10, self.r8, self.r9)


@dataclass
class Suspension:
    """How a traced process ended, what it said on stderr, and the calls it came to."""

    code: int
    said: str
    calls: list[Call] = field(default_factory=list)

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


def let_it_be(call: Call) -> None:
    """Decide that every call is made as it is."""


def traced(run: Callable[[], int], place: str, decide: Decide = let_it_be) -> Suspension:
    """Fork, `run()` there, and decide about each call that changes the disk below `place`."""
    leader, said = _forked(run, traced=True)
    trace = _Trace(leader, place, decide)
    return Suspension(trace.to_the_end(), _text(said), trace.calls)


def untraced(run: Callable[[], int]) -> Suspension:
    """The same, undisturbed, and in half the time; its calls are not known."""
    leader, said = _forked(run, traced=False)
    _, status = os.waitpid(leader, 0)
    return Suspension(os.waitstatus_to_exitcode(status), _text(said))


def _forked(run: Callable[[], int], traced: bool) -> tuple[int, int]:
    """A process that runs this, and what it will have said."""
    said = os.memfd_create("said")
    leader = os.fork()
    if leader == 0:
        _perform(run, said, traced)
    return leader, said


def _text(said: int) -> str:
    text = os.pread(said, 1 << 20, 0).decode(errors="replace")
    os.close(said)
    return text


def _perform(run: Callable[[], int], said: int, traced: bool) -> None:
    """Become the new process; never returns."""
    code = 70
    try:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(0, 1)
        os.dup2(said, 2)
        if traced:
            _checked(_libc.ptrace(TRACEME, 0, None, None))
            os.kill(os.getpid(), signal.SIGSTOP)
            _filter()
        code = run()
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _filter() -> None:
    """Have the kernel stop this process, for its tracer, at the calls in NUMBERS."""
    numbers = sorted(NUMBERS.values())
    rules = [(0x20, 0, 0, 4), (0x15, 0, len(numbers) + 1, ARCHITECTURE), (0x20, 0, 0, 0)]
    rules += [(0x15, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    rules += [(0x06, 0, 0, ALLOW), (0x06, 0, 0, TRACE)]
    code = b"".join(struct.pack("HBBI", *rule) for rule in rules)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(buffer))
    _checked(_libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(_libc.prctl(SET_SECCOMP, FILTER, ctypes.c_char_p(program), 0, 0))


class _Trace:
    """The life of one traced process, with its threads and children."""

    def __init__(self, leader: int, place: str, decide: Decide) -> None:
        self.leader, self.place, self.decide = leader, place, decide
        self.known = {leader}
        self.calls: list[Call] = []

    def to_the_end(self) -> int:
        """The leader's exit code, or minus the signal that ended it."""
        os.waitpid(self.leader, WALL)
        _ptrace(SETOPTIONS, self.leader, OPTIONS)
        _ptrace(CONT, self.leader)
        code = 0
        while self.known:
            pid, status = os.waitpid(-1, WALL)
            if os.WIFSTOPPED(status):
                self._go_on(pid, status)
                continue
            self.known.discard(pid)
            if pid == self.leader:
                code = os.waitstatus_to_exitcode(status)
        return code

    def _go_on(self, pid: int, status: int) -> None:
        event, number = status >> 16, os.WSTOPSIG(status)
        if event == AT_FILTERED_CALL:
            self._at_call(pid)
        new = pid not in self.known
        self.known.add(pid)
        # a traced child begins with a SIGSTOP that nobody sent
        passed_on = 0 if event or (new and number == signal.SIGSTOP) else number
        _ptrace(CONT, pid, passed_on, gone=True)

    def _at_call(self, pid: int) -> None:
        registers = Registers()
        _ptrace(GETREGS, pid, ctypes.addressof(registers))
        name, arguments = NAMES[registers.orig_rax], registers.arguments()
        if not changes(name, arguments, pid, self.place):
            return
        call = Call(len(self.calls), name, target(name, arguments, pid))
        self.calls.append(call)
        decision = self.decide(call)
        if decision == KILL:
            for each in self.known:
                os.kill(each, signal.SIGKILL)
        elif decision is not None:
            registers.orig_rax, registers.rax = (1 << 64) - 1, int(decision) % (1 << 64)
            _ptrace(SETREGS, pid, ctypes.addressof(registers))


def _ptrace(request: int, pid: int, data: int = 0, gone: bool = False) -> None:
    """`gone`: it may have been killed meanwhile."""
    if _libc.ptrace(request, pid, None, data) != 0 and not gone:
        raise OSError(ctypes.get_errno(), f"ptrace({request})")


def _checked(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
