#!/usr/bin/env python3
"""Measure Python code: cyclomatic complexity, nesting depth, length of functions. Standard library only.

Reads the source, or a JSON object {"data": source}, from standard input, or from the environment
variable SKILLSCALE_INTENT when nothing is piped in. The code is parsed, never run. Writes markdown.
"""

import ast
import io
import json
import os
import sys
import tokenize
import warnings

COMPLEXITY_MAX = 10
NESTING_MAX = 4
LINES_MAX = 50
SOURCE_CHARS_MAX = 2_000_000
FUNCTIONS_SHOWN_MAX = 200

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LOOPS = (ast.For, ast.AsyncFor, ast.While)
# try* exists from Python 3.11 on, match from 3.10 on.
TRIES = tuple(getattr(ast, name) for name in ("Try", "TryStar") if hasattr(ast, name))
MATCH = getattr(ast, "Match", None)
BLOCKS = LOOPS + TRIES + (ast.If, ast.With, ast.AsyncWith) + ((MATCH,) if MATCH else ())
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class BadInput(Exception):
    """What was given cannot be measured; the message says what to change."""


def read_intent(stdin, environment):
    """The source code."""
    raw = b"" if stdin is None or stdin.isatty() else stdin.buffer.read()
    if not raw.strip():
        raw = os.fsencode(environment.get("SKILLSCALE_INTENT", ""))
    try:
        # A coding line at the top of the source counts, as it does for Python itself.
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        text = raw.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise BadInput(f"the input is not text in the encoding that it names: {error}") from None
    return unwrap(text)


def unwrap(text):
    """Take the data out of a JSON object; anything else is the data itself."""
    for _ in range(3):
        if not text.lstrip().startswith("{"):
            break
        try:
            # Line breaks inside a string are not JSON, but people write them.
            intent = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            break
        if not {"data", "task", "skill"} & intent.keys():
            # A dictionary is Python too.
            break
        data = intent.get("data", intent.get("task"))
        if isinstance(data, dict):
            data = json.dumps(data)
        if not isinstance(data, str):
            raise BadInput('the JSON object needs "data", a string with Python source code')
        text = data
    return text


def parse(source):
    if not source.strip():
        raise BadInput("there is no code; pipe it in: `python3 scripts/run.py < module.py`")
    if len(source) > SOURCE_CHARS_MAX:
        raise BadInput(f"the code has more than {SOURCE_CHARS_MAX:,} characters; measure it file by file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except SyntaxError as error:
        line = f"line {error.lineno}: " if error.lineno else ""
        raise BadInput(f"{line}{error.msg}; only Python 3 that compiles can be measured") from None
    except ValueError as error:
        raise BadInput(f"this is not Python source code: {error}") from None
    except (RecursionError, MemoryError):
        raise BadInput("the code is nested too deeply to be parsed") from None


class Function:
    """One function or method, and what was counted in it."""

    def __init__(self, name, node):
        self.name = name
        self.line = node.lineno
        self.lines = node.end_lineno - node.lineno + 1
        self.complexity = 1
        self.nesting = 0

    def count(self, node, depth):
        self.nesting = max(self.nesting, depth)
        if isinstance(node, LOOPS + (ast.If, ast.IfExp, ast.ExceptHandler, ast.Assert)):
            self.complexity += 1
        elif isinstance(node, ast.BoolOp):
            self.complexity += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            self.complexity += 1 + len(node.ifs)
        elif MATCH and isinstance(node, ast.match_case):
            self.complexity += not is_catch_all(node)


def is_catch_all(case):
    """`case _:`, which is the `else` of a match."""
    return isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None


def measure(tree):
    """Every function with its counts, in the order of the code. A nested function counts for itself."""
    functions = []
    # An explicit stack, since code can be nested more deeply than Python's own.
    stack = [(node, "", None, 0) for node in reversed(tree.body)]
    while stack:
        node, scope, function, depth = stack.pop()
        if isinstance(node, FUNCTIONS + (ast.ClassDef,)):
            name = f"{scope}.{node.name}".lstrip(".")
            inner = None
            if isinstance(node, FUNCTIONS):
                inner = Function(name, node)
                functions.append(inner)
            stack += parts_of_definition(node, (name, inner, 0), (scope, function, depth))
            continue
        inside = depth + 1 if isinstance(node, BLOCKS) else depth
        if function:
            function.count(node, inside)
        for child in reversed(list(ast.iter_child_nodes(node))):
            stack.append((child, scope, function, depth if is_elif(node, child) else inside))
    return functions


def parts_of_definition(node, within, around):
    """The children of a function or class, last first, each with the place that it counts for:
    decorators and defaults belong to whoever defines the function."""
    body = set(map(id, node.body))
    children = reversed(list(ast.iter_child_nodes(node)))
    return [(child, *(within if id(child) in body else around)) for child in children]


def is_elif(node, child):
    """Whether `child` is the `elif` of `node`: a further branch, not a deeper one."""
    return (
        isinstance(node, ast.If)
        and isinstance(child, ast.If)
        and node.orelse == [child]
        and child.col_offset == node.col_offset
    )


def remarks(function):
    """What is over a limit."""
    over = []
    if function.complexity > COMPLEXITY_MAX:
        over.append(f"complexity {function.complexity} (at most {COMPLEXITY_MAX})")
    if function.nesting > NESTING_MAX:
        over.append(f"nesting {function.nesting} (at most {NESTING_MAX})")
    if function.lines > LINES_MAX:
        over.append(f"{function.lines} lines (at most {LINES_MAX})")
    return over


def plural(count, noun):
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{'es' if noun.endswith('s') else 's'}"


def render(source, tree):
    functions = measure(tree)
    lines = len(source.splitlines())
    classes = sum(isinstance(node, ast.ClassDef) for node in ast.walk(tree))
    head = (
        "# Code complexity\n\n"
        f"{plural(lines, 'line')}, {plural(len(functions), 'function')}, {plural(classes, 'class')}.\n"
    )
    if not functions:
        return head + "\nThere are no functions to measure.\n"
    ranked = sorted(functions, key=lambda f: (-f.complexity, -f.nesting, -f.lines, f.line))
    mean = sum(function.complexity for function in functions) / len(functions)
    middle = f"Mean complexity {mean:.1f}, highest {ranked[0].complexity} in `{ranked[0].name}`.\n"
    return "\n".join([head, middle, table(ranked), verdict(ranked)])


def table(ranked):
    rows = [
        f"| `{f.name}` | {f.line} | {f.complexity} | {f.nesting} | {f.lines} |\n" for f in ranked[:FUNCTIONS_SHOWN_MAX]
    ]
    hidden = len(ranked) - len(rows)
    return (
        "| function | line | complexity | nesting | lines |\n| --- | ---: | ---: | ---: | ---: |\n"
        + "".join(rows)
        + (f"\nAnd {plural(hidden, 'simpler function')}.\n" if hidden else "")
    )


def verdict(ranked):
    flagged = [(function, remarks(function)) for function in ranked]
    lines = [f"- `{f.name}` (line {f.line}): {', '.join(over)}\n" for f, over in flagged if over]
    if lines:
        return "## Worth simplifying\n\n" + "".join(lines[:FUNCTIONS_SHOWN_MAX])
    return f"No function exceeds complexity {COMPLEXITY_MAX}, nesting {NESTING_MAX} or {LINES_MAX} lines.\n"


def main():
    try:
        source = read_intent(sys.stdin, os.environ)
        markdown = render(source, parse(source))
    except BadInput as error:
        print(f"code-complexity: {error}", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(markdown.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
