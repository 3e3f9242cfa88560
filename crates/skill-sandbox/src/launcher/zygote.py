"""A warm interpreter: for each request it forks, and the child runs one script.

Itself it never runs any of a skill's code. It is started by the launcher, inside the
sandbox; standard input is the launcher's socket. A request is a length of four bytes,
little-endian, and that many bytes: nothing ("wait for the child and say how it ended"),
or a line of JSON and texts that end with NUL: folder, script, arguments, NAME=value.
An answer is what it is (four bytes: 0 ready, 1 started, 2 ended), the child's number or
wait status (four bytes), and its processor time in microseconds (eight bytes).
"""

import atexit
import builtins
import ctypes
import gc
import importlib.machinery
import io
import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
import traceback
import types

# What scripts usually import, so that it is paid once.
import argparse, base64, collections, contextlib, copy, csv, dataclasses, datetime  # noqa: F401, E401
import functools, glob, hashlib, html, itertools, math, pathlib, random, re  # noqa: F401, E401
import shutil, statistics, string, subprocess, tempfile, textwrap, time, typing  # noqa: F401, E401
import unicodedata, urllib.parse, uuid  # noqa: F401, E401

READY, STARTED, ENDED = 0, 1, 2
PR_SET_DUMPABLE = 4
NOT_STARTED = 126
FLUSH_FAILED = 120  # as CPython's own

libc = ctypes.CDLL(None)
# How a new interpreter would have opened the standard streams under the same locale.
ENCODINGS = [(stream.encoding, stream.errors) for stream in (sys.stdin, sys.stdout, sys.stderr)]


def serve(control):
    child = 0
    answer(control, READY, 0)
    while True:
        body, streams = receive(control)
        if not body:
            _, status, used = os.wait4(child, 0)
            answer(control, ENDED, status, int((used.ru_utime + used.ru_stime) * 1e6))
            continue
        child = os.fork()
        if child == 0:
            return control, body, streams
        for stream in streams:
            os.close(stream)
        answer(control, STARTED, child)


def answer(control, kind, value, micros=0):
    control.sendall(struct.pack("<iiQ", kind, value, micros))


def receive(control):
    streams = []
    length = b""
    while len(length) < 4:
        part, more, _, _ = socket.recv_fds(control, 4 - len(length), 3)
        if not part:
            os._exit(0)
        length += part
        streams += more
    (left,) = struct.unpack("<I", length)
    parts = []
    while left:
        part = control.recv(left)
        if not part:
            os._exit(0)
        left -= len(part)
        parts.append(part)
    return b"".join(parts), streams


def become(control, body, streams):
    """Turns this child into the job; returns the script and its arguments."""
    header, texts = body.split(b"\n", 1)
    header = json.loads(header)
    texts = texts.split(b"\0")
    folder, script = texts[:2]
    arguments = texts[2 : 2 + header["args"]]
    environment = texts[2 + header["args"] : -1]
    control.detach()
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, 1 << 20)
    os.chdir(folder)
    # Set by the interpreter itself in the C locale (PEP 538).
    coerced = os.environb.get(b"LC_CTYPE")
    os.environb.clear()
    if coerced:
        os.environb[b"LC_CTYPE"] = coerced
    for variable in environment:
        name, _, value = variable.partition(b"=")
        if name:
            os.environb[name] = value
    for number, soft, hard in header["limits"]:
        resource.setrlimit(number, (soft, hard))
    # From here on it is a process like any other.
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    open_streams()
    gc.enable()
    return os.fsdecode(script), [os.fsdecode(argument) for argument in arguments]


def open_streams():
    encodings = iter(ENCODINGS)

    def text(number, name, mode, **options):
        encoding, errors = next(encodings)
        raw = io.FileIO(number, mode, closefd=False)
        raw.name = name
        buffered = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
        stream = io.TextIOWrapper(buffered, encoding=encoding, errors=errors, **options)
        stream.mode = mode
        return stream

    sys.stdin = sys.__stdin__ = text(0, "<stdin>", "r")
    sys.stdout = sys.__stdout__ = text(1, "<stdout>", "w")
    sys.stderr = sys.__stderr__ = text(2, "<stderr>", "w", line_buffering=True)


def run(script, arguments):
    """Runs the script as `python script arguments` would; returns the exit code."""
    sys.argv = [script, *arguments]
    sys.orig_argv = [sys.executable, script, *arguments]
    path = os.path.abspath(script)
    sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    main = types.ModuleType("__main__")
    main.__file__ = path
    main.__builtins__ = builtins
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    sys.modules["__main__"] = main
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        print(f"{sys.executable}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}", file=sys.stderr)
        return 2
    try:
        exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)
        return 0
    except SystemExit as end:
        return code_of(end.code)
    except BaseException as error:
        # Without this function's own frame.
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        sys.excepthook(type(error), error, error.__traceback__)
        if isinstance(error, KeyboardInterrupt):
            flush()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        return 1


def code_of(value):
    if value is None:
        return 0
    if isinstance(value, int):
        return value & 0xFF
    print(value, file=sys.stderr)
    return 1


def flush():
    """Whether everything that was printed has been written."""
    written = True
    for stream in (sys.stdout, sys.stderr):
        if stream is None or getattr(stream, "closed", False):
            continue
        try:
            stream.flush()
        except Exception as error:
            # In the interpreter's own words.
            print(f"Exception ignored in: {stream!r}\n{type(error).__name__}: {error}", file=sys.stderr)
            written = False
    return written


def finish(code):
    """What the interpreter does at its end, without taking itself apart."""
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        if not flush():
            code = FLUSH_FAILED
    except SystemExit as end:
        code = code_of(end.code)
    except BaseException:
        traceback.print_exc()
        code = FLUSH_FAILED
    os._exit(code)


def main():
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    if "" in sys.path:
        sys.path.remove("")
    # Jobs are the same user: none may look into what makes the next ones.
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    gc.collect()
    gc.disable()
    gc.freeze()
    control, body, streams = serve(control)
    # Only children get here.
    try:
        script, arguments = become(control, body, streams)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        os._exit(NOT_STARTED)
    finish(run(script, arguments))


main()
