"""A warm interpreter: it forks ahead, and the child waits for one job, runs its script and ends.

Itself it never runs any of a skill's code: it compiles the script, and imports what the
script names of the standard library, as far as that is listed here. It is started by the
launcher, inside the sandbox. Standard input is the launcher's socket to it: "F", the length of a path
(four bytes, little-endian) and the path of the script that is likely next: "fork"; "R": "your
child has ended, say how". The answer to both is a number (four bytes), the child's or its
wait status, and its processor time in microseconds (eight bytes); the same, but nothing, says
that it is ready.

Standard output is the launcher's socket to the child. A job is its length in bytes, the
numbers of arguments, variables and limits (four bytes each), the limits (number, soft, hard:
four, eight and eight bytes), and texts that end with NUL: the folder, the folder for
imports, the script, arguments, NAME=value. Its streams come with it.

What a child touches of its memory is copied for it, page by page, and that is most of what a
job costs: hence so few imports here, and so little done in the child.
"""

import sys

# What every interpreter has loaded, and a script cannot bring itself.
AT_START = frozenset(sys.modules)

import _frozen_importlib_external
import _socket
import atexit
import builtins
import ctypes
import gc
import io
import os
import resource
import struct
import time

PR_SET_DUMPABLE = 4
NOT_STARTED = 126
FLUSH_FAILED = 120  # as CPython's own
SOURCE_BYTES_MAX = 256 * 1024
SCRIPTS_MAX = 16
FRESH_SECONDS = 1.0
MESSAGE_BYTES = 8192
PRACTICES = 20
MODULES_MAX = 32
# A file that has changed only just may change again without looking changed.
SETTLED_NS = 1_000_000_000

# Of the standard library, what does nothing but define things.
IMPORTED_AHEAD = frozenset(
    """
    argparse array ast asyncio base64 binascii bisect calendar codecs collections collections.abc
    colorsys concurrent.futures configparser contextlib copy csv ctypes dataclasses datetime decimal
    difflib email enum errno fnmatch fractions functools getopt glob gzip hashlib heapq hmac html
    html.parser http http.client importlib inspect io ipaddress itertools json keyword locale logging
    math mimetypes numbers operator pathlib pickle platform pprint queue random re
    secrets select shlex shutil signal socket sqlite3 ssl stat statistics string struct subprocess
    tempfile textwrap threading time token tokenize traceback types typing unicodedata urllib
    urllib.error urllib.parse urllib.request uuid warnings weakref xml.etree.ElementTree zipfile
    zlib zoneinfo
    """.split()
)

# With the lock of the interpreter held: these are quick.
prctl = ctypes.PyDLL(None).prctl
# How a new interpreter would have opened the standard streams under the same locale.
ENCODINGS = [(stream.encoding, stream.errors) for stream in (sys.stdin, sys.stdout, sys.stderr)]
FILES = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
VARIABLES = os.environ._data
STREAMS_SPACE = _socket.CMSG_SPACE(3 * 4)
streams_in = struct.Struct("3i").unpack
header_of = struct.Struct("<IIII").unpack_from
HEADER_BYTES = 16
length_at = struct.Struct("<I").unpack_from
limit_at = struct.Struct("<Iqq").unpack_from
LIMIT_BYTES = 20
answer = struct.Struct("<iQ").pack
monotonic = time.monotonic

# The script's module and its loader; each child gives them names.
MAIN = type(sys)("__main__")
MAIN.__file__ = ""
MAIN.__builtins__ = builtins
MAIN.__loader__ = LOADER = _frozen_importlib_external.SourceFileLoader("__main__", "")


def serve(control):
    """Returns in a child that is to run a job, with what is known of scripts."""
    known = {}
    child = 0
    # Messages that name a script which was looked at a moment ago. A child looks again, and does itself what
    # is not done yet.
    fresh = {}
    while True:
        message = os.read(control, MESSAGE_BYTES)
        if message == b"R":
            _, status, used = os.wait4(child, 0)
            os.write(control, answer(status, int((used.ru_utime + used.ru_stime) * 1e6)))
            continue
        now = monotonic()
        if fresh.get(message, 0.0) < now:
            message, script = whole(control, message)
            if script:
                prepare(known, script)
                if len(fresh) >= SCRIPTS_MAX:
                    fresh.clear()
                fresh[message] = now + FRESH_SECONDS
        child = os.fork()
        if child == 0:
            return known
        os.write(control, answer(child, 0))


def whole(control, message):
    """The message, of which some has come, and the script that it names."""
    if len(message) < 5:
        message += exactly(control, 5 - len(message))
    end = 5 + length_at(message, 1)[0]
    if len(message) < end:
        message += exactly(control, end - len(message))
    return message, message[5:].decode(*FILES)


def exactly(descriptor, length):
    data = b""
    while len(data) < length:
        part = os.read(descriptor, length - len(data))
        if not part:
            os._exit(0)
        data += part
    return data


# What is done ahead for a script, between two jobs.


def prepare(known, script):
    """Compiles the script, and imports what it names; says in `known` what of that holds for it."""
    try:
        beside = os.path.dirname(os.path.realpath(script))
        identity = identity_of(script, beside)
        if script in known and known[script][0] == identity:
            return
        code = compiled(script)
        ahead = named(code, beside) & IMPORTED_AHEAD
        if ahead.isdisjoint(beside_names(beside)):
            for name in ahead:
                __import__(name)
        if len(known) >= SCRIPTS_MAX:
            known.clear()
        known.pop(script, None)
        changed = max(identity[4], identity[9])
        if time.time_ns() - changed > SETTLED_NS:
            known[script] = identity, code, shadowed(beside)
    except Exception:
        # The child meets it as well, and it is the job's to say.
        known.pop(script, None)
    gc.collect()
    gc.freeze()


def identity_of(script, beside):
    """Changes whenever the script does, or which modules lie beside it."""
    file = os.stat(script)
    folder = os.stat(beside)
    return (
        file.st_dev,
        file.st_ino,
        file.st_size,
        file.st_mtime_ns,
        file.st_ctime_ns,
        folder.st_dev,
        folder.st_ino,
        beside,
        folder.st_mtime_ns,
        folder.st_ctime_ns,
    )


def compiled(path):
    """None where compiling has something to say: that is for the job's own output."""
    stderr, sys.stderr = sys.stderr, io.StringIO()
    try:
        with open(path, "rb") as file:
            source = file.read(SOURCE_BYTES_MAX + 1)
        if len(source) > SOURCE_BYTES_MAX:
            return None
        code = compile(source, path, "exec", dont_inherit=True)
        return None if sys.stderr.getvalue() else code
    except Exception:
        return None
    finally:
        sys.stderr = stderr


def named(code, beside):
    """What the script imports when it starts, and the modules beside it that it imports."""
    names = set()
    todo = [code]
    seen = 0
    while todo and seen < MODULES_MAX:
        code = todo.pop()
        seen += 1
        new = set(code.co_names if code else ()) - names
        names |= new
        for name in new:
            for path in (f"{beside}/{name}.py", f"{beside}/{name}/__init__.py"):
                if os.path.isfile(path):
                    todo.append(compiled(path))
    return names


def beside_names(beside):
    return {name.partition(".")[0] for name in os.listdir(beside)}


def shadowed(beside):
    """Whether modules lie beside a script that it would import instead of what is loaded here."""
    loaded = {name.partition(".")[0] for name in sys.modules if name not in AT_START}
    return not loaded.isdisjoint(beside_names(beside))


def practise():
    """Does what children do, with nothing to run: what the interpreter makes of it at first use,
    and how it learns to do it faster, is then there for all of them."""
    limits = [(number, *resource.getrlimit(number)) for number in (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE)]
    body = b"".join(struct.pack("<Iqq", *limit) for limit in limits)
    body += b"\0".join([b".", b"/dev", os.devnull.encode(), b"PRACTICE=1", b""])
    body = struct.pack("<IIII", HEADER_BYTES + len(body), 0, 1, len(limits)) + body
    streams = struct.pack("3i", 0, 1, 2)
    before = sys.argv, sys.path[:], sys.modules["__main__"]
    known = {}
    for _ in range(PRACTICES):
        here, there = _socket.socketpair()
        here.sendmsg([body], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
        body_received, copies = receive(there)
        for descriptor in (here.detach(), *copies):
            os.close(descriptor)
        folder, beside, script, arguments = settle_in(body_received)
        run(known, folder, beside, script, arguments)
        known[script] = identity_of(script, beside), compile("print()", script, "exec"), False
        flush()
    sys.argv, sys.path[:], sys.modules["__main__"] = before
    del os.environb[b"PRACTICE"]


# The child.


def become(jobs):
    """Turns this child into a job; returns its folder, its folder for imports, script, arguments."""
    os.setsid()
    # From its job on it is a process like any other, and until then there is nobody else here.
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    body, streams = receive(jobs)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, 1 << 20)
    gc.enable()
    return settle_in(body)


def settle_in(body):
    _, arguments, variables, limits = header_of(body)
    at = HEADER_BYTES
    for _ in range(limits):
        number, soft, hard = limit_at(body, at)
        resource.setrlimit(number, (soft, hard))
        at += LIMIT_BYTES
    texts = body[at:].split(b"\0")
    os.chdir(texts[0])
    first = 3 + arguments
    for variable in texts[first : first + variables]:
        name, _, value = variable.partition(b"=")
        if name:
            os.putenv(name, value)
            VARIABLES[name] = value
    folder, beside, script, *arguments = [text.decode(*FILES) for text in texts[:first]]
    return folder, beside, script, arguments


def receive(jobs):
    body, control, _, _ = jobs.recvmsg(1 << 14, STREAMS_SPACE)
    if not body:
        os._exit(0)
    descriptor = jobs.detach()
    if len(body) < HEADER_BYTES:
        body += exactly(descriptor, HEADER_BYTES - len(body))
    length = header_of(body)[0]
    if len(body) < length:
        body += exactly(descriptor, length - len(body))
    os.close(descriptor)
    return body, streams_in(control[0][2])


def open_streams():
    """Ahead, over descriptors of the kinds that jobs get: a file to read and pipes to write."""

    def text(number, name, mode, **options):
        encoding, errors = ENCODINGS[number]
        raw = io.FileIO(number, mode, closefd=False)
        raw.name = name
        buffered = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
        stream = io.TextIOWrapper(buffered, encoding=encoding, errors=errors, **options)
        stream.mode = mode
        return stream

    sys.stdin = sys.__stdin__ = text(0, "<stdin>", "r")
    sys.stdout = sys.__stdout__ = text(1, "<stdout>", "w")
    sys.stderr = sys.__stderr__ = text(2, "<stderr>", "w", line_buffering=True)


def run(known, folder, beside, script, arguments):
    """Runs the script as `python script arguments` would; returns the exit code."""
    sys.argv = [script, *arguments]
    sys.orig_argv = [sys.executable, script, *arguments]
    path = script if script[:1] == "/" else f"{folder}/{script}"
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, beside)
    MAIN.__file__ = LOADER.path = path
    sys.modules["__main__"] = MAIN
    try:
        identity, code, own_modules = known.get(path, (None, None, None))
        if identity is None or identity_of(path, beside) != identity:
            code, own_modules = None, shadowed(beside)
        if code is None:
            with open(path, "rb") as file:
                source = file.read()
    except OSError as error:
        print(f"{sys.executable}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}", file=sys.stderr)
        return 2
    if "threading" in sys.modules:
        sys.modules["threading"].main_thread()._native_id = os.getpid()
    if own_modules:
        for name in sys.modules.keys() - AT_START:
            del sys.modules[name]
    try:
        exec(code or compile(source, path, "exec", dont_inherit=True), MAIN.__dict__)
        return 0
    except SystemExit as end:
        return code_of(end.code)
    except BaseException as error:
        # Without this function's own frame.
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        sys.excepthook(type(error), error, error.__traceback__)
        if isinstance(error, KeyboardInterrupt):
            flush()
            import signal

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
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        atexit._run_exitfuncs()
        if not flush():
            code = FLUSH_FAILED
    except SystemExit as end:
        code = code_of(end.code)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = FLUSH_FAILED
    os._exit(code)


def main():
    control = os.dup(0)
    jobs = _socket.socket(fileno=os.dup(1))
    null = os.open(os.devnull, os.O_RDONLY)
    read, write = os.pipe()
    os.dup2(null, 0)
    os.dup2(write, 1)
    os.dup2(write, 2)
    for descriptor in (null, write):
        os.close(descriptor)
    open_streams()
    if "" in sys.path:
        sys.path.remove("")
    # Set by the interpreter itself in the C locale (PEP 538).
    coerced = os.environb.get(b"LC_CTYPE")
    os.environb.clear()
    if coerced:
        os.environb[b"LC_CTYPE"] = coerced
    practise()
    os.close(read)
    # Jobs are the same user: none may look into what makes the next ones.
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    gc.collect()
    gc.disable()
    gc.freeze()
    os.write(control, answer(0, 0))
    known = serve(control)
    # Only children get here.
    try:
        folder, beside, script, arguments = become(jobs)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(NOT_STARTED)
    finish(run(known, folder, beside, script, arguments))


main()
