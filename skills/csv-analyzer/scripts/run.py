#!/usr/bin/env python3
"""Describe the columns of a CSV table: counts, minimum, maximum, mean, median. Standard library only.

Reads the table, or a JSON object {"data": table, "delimiter": ","}, from standard input, or from the
environment variable SKILLSCALE_INTENT when nothing is piped in. Writes markdown.
"""

import codecs
import collections
import csv
import io
import json
import math
import os
import re
import statistics
import sys

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
MISSING = frozenset({"", "-", "--", "?", "n/a", "na", "nan", "nil", "none", "null", "#n/a"})
ROWS_MAX = 1_000_000
COLUMNS_MAX = 1000
FIELD_CHARS_MAX = 1_000_000
# A column is numeric when at least this share of its values are numbers; the others are reported.
NUMERIC_SHARE_MIN = 0.5
PROBLEMS_SHOWN_MAX = 5
TEXT_SHOWN_MAX = 40
NONE_NUMERIC = (
    "None of the columns is numeric. The first line must hold the names, and numbers look like 1234.5: "
    "units, currency and percent signs make a value text.\n"
)

PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
GROUPED_NUMBER = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?\Z", re.ASCII)
COMMA_NUMBER = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+\Z", re.ASCII)
# Spreadsheets write it above the header, and read it back.
SEPARATOR_LINE = re.compile(r"\s*\"?sep=(.)\"?[ ]*(?:\r\n|\r|\n)")


class BadInput(Exception):
    """What was given is no table that can be analysed; the message says what to change."""


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


def choose_delimiter(text, options):
    """The delimiter, and the table; a line that only names the delimiter is blanked."""
    line = SEPARATOR_LINE.match(text)
    named = line.group(1) if line and line.group(1) in DELIMITERS else None
    if named:
        # Line breaks in its place, so that messages name the lines of the input.
        text = "\n" * len(line.group().splitlines()) + text[line.end() :]
    return find_delimiter(text, options.get("delimiter", named)), text


def find_delimiter(text, asked):
    if asked is not None:
        if asked not in DELIMITERS:
            raise BadInput(f'"delimiter" must be one of {", ".join(map(repr, DELIMITERS))}')
        return asked
    # Quoted parts may hold anything; only what stands outside separates columns.
    header = re.sub(r'"[^"]*"', "", text.lstrip("\r\n").split("\n", 1)[0])
    return max(DELIMITERS, key=lambda delimiter: header.count(delimiter))


def read_table(text, delimiter):
    """The header, and the rows with the line in which each ends."""
    if "\0" in text:
        raise BadInput("the input contains NUL characters; is it really a CSV file?")
    rows = read_rows(text, delimiter)
    if not rows:
        raise BadInput("there is no data; pipe a table in: `python3 scripts/run.py < table.csv`")
    (_, header), *body = rows
    if len(header) > COLUMNS_MAX:
        raise BadInput(f"the table has {len(header)} columns, more than {COLUMNS_MAX}")
    if not body:
        raise BadInput("there is a header, but no row beneath it")
    check_width(header, body)
    return column_names(header), body


def read_rows(text, delimiter):
    """Every line that is not empty, as (line in which it ends, fields)."""
    csv.field_size_limit(FIELD_CHARS_MAX)
    source = io.StringIO(text, newline="")
    # `a, "b, c"` is written by hand, and means two fields.
    reader = csv.reader(source, delimiter=delimiter, strict=True, skipinitialspace=True)
    rows = []
    try:
        for row in reader:
            row = [field.strip() for field in row]
            if row not in ([], [""]):
                rows.append((reader.line_num, row))
            if len(rows) > ROWS_MAX:
                raise BadInput(f"the table has more than {ROWS_MAX} rows; analyse it in parts")
    except csv.Error as error:
        raise BadInput(f"line {reader.line_num}: {quoting_help(str(error))}") from None
    return rows


def quoting_help(error):
    if "unexpected end of data" in error:
        return "a quoted field is not closed; look for a single \" in front of this line"
    if "expected after" in error:
        return 'text follows a closing quote; write a quote inside a quoted field as ""'
    if "field larger" in error:
        return "a field is longer than a million characters; is a quote missing?"
    return error


def check_width(header, body):
    ragged = [(line, len(row)) for line, row in body if len(row) != len(header)]
    if ragged:
        shown = "; ".join(f"line {line} has {width}" for line, width in ragged[:PROBLEMS_SHOWN_MAX])
        more = f" and {len(ragged) - PROBLEMS_SHOWN_MAX} more" if len(ragged) > PROBLEMS_SHOWN_MAX else ""
        raise BadInput(
            f"the header has {plural(len(header), 'column')}, but {shown}{more}; "
            "quote fields that contain the delimiter, or give another one"
        )


def column_names(header):
    names, seen = [], collections.Counter()
    for position, name in enumerate(header, 1):
        name = " ".join(name.split()) or f"column {position}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


def to_number(field, delimiter):
    """The number that `field` shows, or None. Never infinite, never not-a-number."""
    field = field.replace("\N{MINUS SIGN}", "-")
    if PLAIN_NUMBER.match(field):
        number = float(field)
    elif GROUPED_NUMBER.match(field):
        number = float(field.replace(",", ""))
    elif delimiter == ";" and COMMA_NUMBER.match(field):
        number = float(field.replace(".", "").replace(",", "."))
    else:
        return None
    return number if math.isfinite(number) else None


def mean(numbers):
    try:
        return math.fsum(numbers) / len(numbers)
    except OverflowError:
        return math.fsum(number / len(numbers) for number in numbers)


def median(numbers):
    low, high = statistics.median_low(numbers), statistics.median_high(numbers)
    middle = (low + high) / 2
    return middle if math.isfinite(middle) else low / 2 + high / 2


def describe(name, values, delimiter):
    """One column. `values` are (line, field) pairs."""
    present = [(line, field) for line, field in values if field.lower() not in MISSING]
    numbers, others = [], []
    for line, field in present:
        number = to_number(field, delimiter)
        if number is None:
            others.append((line, field))
        else:
            numbers.append(number)
    column = {"name": name, "missing": len(values) - len(present), "others": others}
    if numbers and len(numbers) >= NUMERIC_SHARE_MIN * len(present):
        column.update(
            count=len(numbers),
            min=min(numbers),
            max=max(numbers),
            mean=mean(numbers),
            median=median(numbers),
        )
        return column
    distinct = collections.Counter(field for _, field in present)
    common = min(distinct.items(), key=lambda item: (-item[1], item[0]), default=None)
    column.update(text_count=len(present), distinct=len(distinct), common=common)
    return column


def analyse(text, options=None):
    """The delimiter, the number of rows, and a description of every column."""
    if not text.strip():
        raise BadInput("there is no data; pipe a table in: `python3 scripts/run.py < table.csv`")
    delimiter, text = choose_delimiter(text, options or {})
    names, body = read_table(text, delimiter)
    columns = [
        describe(name, [(line, row[position]) for line, row in body], delimiter)
        for position, name in enumerate(names)
    ]
    return delimiter, len(body), columns


def plural(count, noun):
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def shown(text):
    text = " ".join(text.split())
    if len(text) > TEXT_SHOWN_MAX:
        text = text[: TEXT_SHOWN_MAX - 1] + "…"
    return f"`{text}`" if "`" not in text else text


def cell(text):
    """Text inside a markdown table."""
    text = " ".join(text.split())
    if len(text) > TEXT_SHOWN_MAX:
        text = text[: TEXT_SHOWN_MAX - 1] + "…"
    return text.replace("\\", "\\\\").replace("|", "\\|")


def number(value):
    """Whole numbers whole, others with four digits after the point, tiny and huge ones in powers."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    if 1e-3 <= abs(value) < 1e15:
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return f"{value:.6g}"


def table(head, rows):
    lines = [head, ["---"] * 1 + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def render(delimiter, rows, columns):
    numeric = [column for column in columns if "mean" in column]
    texts = [column for column in columns if "mean" not in column]
    parts = [
        "# CSV analysis\n\n"
        f"{plural(rows, 'row')}, {plural(len(columns), 'column')}, separated by {DELIMITERS[delimiter]}.\n",
        "## Numeric columns\n\n" + (numeric_table(numeric) if numeric else NONE_NUMERIC),
    ]
    if texts:
        parts.append("## Other columns\n\n" + text_table(texts))
    notes = [note(column) for column in numeric if column["others"]]
    if notes:
        parts.append("## Notes\n\n" + "\n".join(notes) + "\n")
    return "\n".join(parts)


def numeric_table(columns):
    figures = ("min", "max", "mean", "median")
    rows = [
        [cell(column["name"]), str(column["count"]), str(column["missing"]), *(number(column[key]) for key in figures)]
        for column in columns
    ]
    return table(["column", "count", "missing", *figures], rows)


def text_table(columns):
    rows = []
    for column in columns:
        counts = [str(column[key]) for key in ("text_count", "missing", "distinct")]
        value, times = column["common"] or ("–", 0)
        rows.append([cell(column["name"]), *counts, f"{cell(value)} ({times})" if times else value])
    return table(["column", "count", "missing", "distinct", "most common"], rows)


def note(column):
    others = column["others"]
    places = ", ".join(f"{shown(field)} in line {line}" for line, field in others[:PROBLEMS_SHOWN_MAX])
    more = f" and {len(others) - PROBLEMS_SHOWN_MAX} more" if len(others) > PROBLEMS_SHOWN_MAX else ""
    total = column["count"] + len(others)
    left_out = "is no number and was" if len(others) == 1 else "are no numbers and were"
    return f"- **{cell(column['name'])}**: {len(others)} of {total} values {left_out} left out: {places}{more}."


def main():
    try:
        markdown = render(*analyse(*read_intent(sys.stdin, os.environ)))
    except BadInput as error:
        print(f"csv-analyzer: {error}", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(markdown.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
