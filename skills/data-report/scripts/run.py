#!/usr/bin/env python3
"""Write a report on a table: its numbers by csv-analyzer, its prose by text-summarizer.

Reads the table, or a JSON object {"data": table, "text_column": name, "sentences": n}, from standard
input, or from the environment variable SKILLSCALE_INTENT when nothing is piped in. Writes markdown.
The two skills are run through what they promise: JSON on standard input, markdown on standard output.
"""

import codecs
import contextlib
import csv
import io
import json
import os
import pathlib
import re
import runpy
import sys

SKILL = pathlib.Path(__file__)
# Versions that this skill was made for; skill.yaml says the same.
MAJOR = {"csv-analyzer": 1, "text-summarizer": 1}
# A column holds prose when its values have at least this many words on average.
PROSE_WORDS_MIN = 5
SENTENCES_DEFAULT = 3
# Spreadsheets write it above the header; csv-analyzer knows it.
SEPARATOR_LINE = re.compile(r"\A\s*\"?sep=[,;\t|]\"?[ ]*(?:\r\n|\r|\n)")


class BadInput(Exception):
    """No report can be written; the message says what to change."""


def read_intent(stdin, environment):
    """The input as (text, options)."""
    raw = b"" if stdin is None or stdin.isatty() else stdin.buffer.read()
    if not raw.strip():
        raw = os.fsencode(environment.get("SKILLSCALE_INTENT", ""))
    # What spreadsheets call "Unicode text" is UTF-16, and says so in its first two bytes.
    is_wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = raw.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadInput(
            f"the input is not UTF-8 (line {line}); convert it first, such as with "
            "`iconv -f WINDOWS-1252 -t UTF-8`"
        ) from None
    return unwrap(text)


def unwrap(text):
    """Take the data out of a JSON object; anything else is the data itself."""
    options = {}
    for _ in range(3):
        if not text.lstrip().startswith("{"):
            break
        try:
            # Line breaks inside a string are not JSON, but people write them.
            intent = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            break
        options = {**intent, **options}
        data = intent.get("data", intent.get("task"))
        if isinstance(data, dict):
            data = json.dumps(data)
        if not isinstance(data, str):
            raise BadInput('the JSON object needs "data", a string with the CSV table')
        text = data
    return text, options


def find_script(name):
    """The script of another skill: beside this one, or in a store with a folder for each version."""
    for script in (SKILL, SKILL.resolve()):
        here = script.absolute().parent.parent
        beside = here.parent / name / "scripts" / "run.py"
        if beside.is_file():
            return beside
        versions = (here.parent.parent / name).glob(f"{MAJOR[name]}.*.*/scripts/run.py")
        for candidate in sorted(versions, key=version_of, reverse=True):
            return candidate
    raise BadInput(f"the skill {name} is missing; install it: skills install {name}@^{MAJOR[name]}")


def version_of(script):
    """A key by which versions sort; a pre-release comes before its release."""
    release, _, pre = script.parent.parent.name.partition("-")
    return [int(part) for part in re.findall(r"\d+", release)], not pre, pre


def run_skill(name, intent):
    """What the skill prints for this intent."""
    script = find_script(name)
    stdin = io.TextIOWrapper(io.BytesIO(json.dumps(intent).encode()))
    stdout, stderr = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    before, sys.stdin = sys.stdin, stdin
    status = 0
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            runpy.run_path(str(script), run_name="__main__")
    except SystemExit as ended:
        status = ended.code or 0
    finally:
        sys.stdin = before
    if status != 0:
        raise BadInput(stderr.getvalue().strip() or f"{name} failed with exit code {status}")
    stdout.flush()
    return stdout.buffer.getvalue().decode()


def prose(table, asked, delimiter):
    """The column that holds prose, as (name, its texts), or None."""
    columns = read_columns(table, delimiter)
    if asked is None:
        name = wordiest(columns)
        return None if name is None else (name, columns[name])
    if asked not in columns:
        raise BadInput(f'there is no column "{asked}"; the columns are {", ".join(columns)}')
    return asked, columns[asked]


def read_columns(table, delimiter):
    """The values of each column that are not empty. csv-analyzer has checked the table before."""
    source = io.StringIO(SEPARATOR_LINE.sub("", table, count=1), newline="")
    rows = [row for row in csv.reader(source, delimiter=delimiter, skipinitialspace=True) if row]
    values = zip(*([field.strip() for field in row] for row in rows if len(row) == len(rows[0])))
    return {name: [value for value in rest if value] for name, *rest in values}


def wordiest(columns):
    """The column with the most words per value, if they are enough for prose."""
    words = {name: sum(len(text.split()) for text in texts) / len(texts) for name, texts in columns.items() if texts}
    name = max(words, key=words.get, default=None)
    return name if name is not None and words[name] >= PROSE_WORDS_MIN else None


def as_text(texts):
    """One paragraph for each value, so that no sentence runs into the next."""
    return "\n\n".join(" ".join(text.split()) for text in texts)


def without_title(markdown):
    """The markdown of another skill as a part of this report: its title goes, its headings sink."""
    body = markdown.split("\n", 1)[1].strip("\n")
    return re.sub(r"(?m)^#", "##", body)


def separator(analysis):
    """Which delimiter csv-analyzer found, from its first sentence."""
    names = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
    found = re.search(r"separated by (\w+)", analysis)
    return names.get(found.group(1) if found else "", ",")


def report(table, options):
    if not table.strip():
        raise BadInput("there is no data; pipe a table in: `python3 scripts/run.py < table.csv`")
    passed_on = {key: options[key] for key in ("delimiter",) if key in options}
    analysis = run_skill("csv-analyzer", {"data": table, **passed_on})
    parts = ["# Data report", "## Figures", without_title(analysis)]
    column = prose(table, options.get("text_column"), separator(analysis))
    if column:
        name, texts = column
        if not texts:
            raise BadInput(f'the column "{name}" is empty')
        sentences = options.get("sentences", SENTENCES_DEFAULT)
        summary = run_skill("text-summarizer", {"data": as_text(texts), "sentences": sentences})
        parts += [f"## In words: {name}", without_title(summary)]
    return "\n\n".join(parts) + "\n"


def main():
    try:
        markdown = report(*read_intent(sys.stdin, os.environ))
    except BadInput as error:
        print(f"data-report: {error}", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(markdown.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
