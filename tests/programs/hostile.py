"""Lies about its own stack, the way a broken or hostile process would.

    hostile.py SCENARIO

Frames are forged only while a C function grows memory with the interpreter out of the way, and put
right before Python runs again. MEMTRACE_TEST_FRAME says where this interpreter keeps the pointer to
a thread's frame and the frame's pointer to its caller, as HOPS,BACK: offsets from the thread state
to the frame, one for each pointer on the way, and from the frame to its caller.
"""

import ctypes
import mmap
import os
import sys

from protocol import MIB, keep, main, marked, rss

SIZE = 16 * MIB
WORD = ctypes.sizeof(ctypes.c_void_p)


def huge_name():
    """The file name of the code is a string of 2 GiB."""
    code = compile("kept = bytearray(%d)" % SIZE, "short", "exec")
    name = "x" * (2 << 30)
    long = code.replace(co_filename=name)
    before = rss()
    space = {}
    exec(long, space)
    grown = rss() - before
    keep(space, long)
    return {"grown": grown}


def word(address):
    return ctypes.c_size_t.from_address(address)


def forged(value_for):
    """Grows in C while the leaf frame's pointer to its caller is forged."""
    *hops, back = [int(part) for part in os.environ["MEMTRACE_TEST_FRAME"].split(",")]
    get_state = ctypes.pythonapi.PyThreadState_Get
    get_state.restype = ctypes.c_void_p
    frame_pointer = word(get_state() + hops[0])
    for hop in hops[1:]:
        frame_pointer = word(frame_pointer.value + hop)
    library = ctypes.PyDLL(os.environ["MEMTRACE_TEST_NATIVE"])
    grow = library.grow_with_word
    grow.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t]
    frame = frame_pointer.value
    before = rss()
    failed = grow(SIZE, frame + back, value_for(frame))  # mark: forged
    assert failed == 0, os.strerror(failed)
    marked("forged", SIZE, rss() - before)
    return {"grown": rss() - before}


def cyclic_frames():
    """Every frame's caller is the frame itself."""
    return forged(lambda frame: frame)


def frames_to_nowhere():
    """The caller lies where nothing is mapped."""
    return forged(lambda frame: 0x10_0000_0000)


def frames_to_the_kernel():
    """The caller lies in the kernel's half."""
    return forged(lambda frame: 0xffff_8880_0000_1000)


def frames_of_noise():
    """The caller lies in memory that holds no frame."""
    noise = mmap.mmap(-1, MIB)
    noise[:] = os.urandom(MIB)
    keep(noise)
    start = ctypes.addressof(ctypes.c_char.from_buffer(noise))
    return forged(lambda frame: start + MIB // 2)


FORGED = []


def put(address, value):
    """Writes a word, for as long as until the next step."""
    FORGED.append((address, word(address).value))
    word(address).value = value


def as_forged(forge):
    """The first step forges what memtrace reads when it attaches, the second puts it right and grows.
    In between the one thread waits in a system call, and nobody looks."""
    if not FORGED:
        forge()
        return {}
    for address, value in reversed(FORGED):
        word(address).value = value
    before = rss()
    keep(bytearray(SIZE))  # mark: after all
    marked("after all", SIZE, rss() - before)
    return {"grown": rss() - before}


def pointer(name):
    function = getattr(ctypes.pythonapi, name)
    function.restype = ctypes.c_void_p
    return function()


# `PyThreadState.next`, and `PyInterpreterState.next`, which moved behind much else in 3.13.
THREAD_NEXT = 8
INTERPRETER_NEXT = {13: 7264, 14: 7272, 15: 7264}.get(sys.version_info[1], 0)


def cyclic_threads():
    state = pointer("PyThreadState_Get")
    return as_forged(lambda: put(state + THREAD_NEXT, state))


def threads_to_nowhere():
    state = pointer("PyThreadState_Get")
    return as_forged(lambda: put(state + THREAD_NEXT, 0x10_0000_0000))


def cyclic_interpreters():
    interpreter = pointer("PyInterpreterState_Head")
    return as_forged(lambda: put(interpreter + INTERPRETER_NEXT, interpreter))


def interpreters_to_the_kernel():
    interpreter = pointer("PyInterpreterState_Head")
    return as_forged(lambda: put(interpreter + INTERPRETER_NEXT, 0xffff_8880_0000_1000))


def nonsense_offsets():
    """What 3.13 and newer say of their own structures: from the second word on, nonsense."""
    runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    assert ctypes.string_at(runtime, 8) == b"xdebugpy"
    return as_forged(lambda: [put(runtime + at, 2 ** 63 + at) for at in range(24, 400, 8)])


# `_Py_DebugOffsets.code_object.filename`
FILE_NAME = {13: 280, 14: 320, 15: 384}.get(sys.version_info[1], 0)


def far_offset():
    """A possible number, but the file's name would lie where no code object has a field."""
    place = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime")) + FILE_NAME

    def forge():
        assert word(place).value == 112
        put(place, 4000)

    return as_forged(forge)


if __name__ == "__main__":
    main(globals())
