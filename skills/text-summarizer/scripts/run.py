#!/usr/bin/env python3
"""Summarise a text by picking its most telling sentences. Standard library only.

Reads the text, or a JSON object {"data": text, "sentences": n}, from standard input, or from the
environment variable SKILLSCALE_INTENT when nothing is piped in. Writes markdown.
"""

import collections
import json
import math
import os
import re
import sys

SENTENCES_DEFAULT = 3
SENTENCES_MAX = 50
KEYWORDS_MAX = 8
# Keeps time and memory small; a novel has one million.
INPUT_CHARS_MAX = 5_000_000

STOP_WORDS = frozenset(
    """
    a about above after again against all also am an and any are as at be because been before being
    below between both but by can cannot could did do does doing down during each even few for from
    further get had has have having he her here hers herself him himself his how however i if in into
    is it its itself just like many may me might more most much must my myself no nor not now of off
    on once one only or other our ours ourselves out over own per same she should since so some such
    than that the their theirs them themselves then there these they this those through thus to too
    two under until up upon us very was we were what when where which while who whom whose why will
    with within without would yet you your yours yourself yourselves
    """.split()
)

# After these a full stop does not end a sentence.
ABBREVIATIONS = frozenset(
    "al approx ca cf dept dr e.g eq etc fig figs gen i.e inc jr ltd mr mrs ms no nr p pp prof ref "
    "resp sec sr st u.k u.s vol vs".split()
)

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s|$)")
WIDE_SENTENCE_END = re.compile(r"[。！？]+")
BLOCK_BREAK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*+•]|\d+[.)]|#{1,6})\s)")
FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})")
TABLE_LINE = re.compile(r"\s*\|.*\|\s*$")
LINE_MARK = re.compile(r"^\s*(?:[-*+•>]|\d+[.)]|#{1,6})\s+")


class BadInput(Exception):
    """What was given cannot be summarised; the message says what to change."""


def read_intent(stdin, environment):
    """The input as (text, options)."""
    raw = b"" if stdin is None or stdin.isatty() else stdin.buffer.read()
    if not raw.strip():
        raw = os.fsencode(environment.get("SKILLSCALE_INTENT", ""))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"the input is not UTF-8 (byte {error.start})") from None
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
            raise BadInput('the JSON object needs "data", a string with the text')
        text = data
    return text, options


def sentence_count(options):
    count = options.get("sentences", SENTENCES_DEFAULT)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= SENTENCES_MAX:
        raise BadInput(f'"sentences" must be a whole number from 1 to {SENTENCES_MAX}')
    return count


def without_code(text):
    """Markdown without fenced code and tables, which have no sentences."""
    kept, fence = [], None
    for line in text.splitlines():
        mark = FENCE.match(line)
        if fence:
            fence = None if mark and mark.group(1).startswith(fence) else fence
            kept.append("")
        elif mark:
            fence = mark.group(1)
            kept.append("")
        else:
            kept.append("" if TABLE_LINE.match(line) else line)
    # An unclosed fence is no code block but an accident.
    return text if fence else "\n".join(kept)


def split_sentences(text):
    """The sentences in their order. Headings, list items and paragraphs end a sentence too."""
    sentences = []
    for block in BLOCK_BREAK.split(without_code(text)):
        block = " ".join(LINE_MARK.sub("", block).split())
        start = 0
        ends = sorted(
            [m for m in SENTENCE_END.finditer(block) if ends_sentence(block, m)]
            + list(WIDE_SENTENCE_END.finditer(block)),
            key=lambda m: m.end(),
        )
        for end in ends:
            sentences.append(block[start : end.end()].strip())
            start = end.end()
        sentences.append(block[start:].strip())
    return [sentence for sentence in sentences if sentence]


def ends_sentence(block, end):
    """Whether this punctuation ends a sentence, rather than an abbreviation or an initial."""
    if not end.group().startswith(".") or end.group().startswith(".."):
        return True
    before = block[max(0, end.start() - 20) : end.start()].rsplit(maxsplit=1)
    word = before[-1].lstrip("(\"'“‘") if before else ""
    if "." in word and block[end.end() :].lstrip()[:1].islower():
        # `at 5 p.m. in Rome`
        return False
    return word.lower() not in ABBREVIATIONS and not (len(word) == 1 and word.isupper())


def content_words(sentence):
    words = (word.lower().replace("’", "'") for word in WORD.findall(sentence))
    return [word for word in words if word not in STOP_WORDS and len(word) > 1]


def summarise(text, count=SENTENCES_DEFAULT):
    """The `count` most telling sentences in their order, and the most frequent words.

    A sentence scores the frequencies of its words, divided by the square root of how many it has:
    by their number alone short sentences would always win, without it long ones would.
    """
    sentences = split_sentences(text)
    words = [content_words(sentence) for sentence in sentences]
    frequencies = collections.Counter(word for of_sentence in words for word in of_sentence)
    if not frequencies:
        raise BadInput("the text has no words to summarise")

    def score(position):
        total = sum(frequencies[word] for word in words[position])
        return total / math.sqrt(len(words[position])) if words[position] else 0.0

    ranked = sorted(range(len(sentences)), key=lambda position: (-score(position), position))
    chosen, seen = [], set()
    for position in ranked:
        if len(chosen) == count:
            break
        if sentences[position] not in seen:
            seen.add(sentences[position])
            chosen.append(position)
    keywords = sorted(frequencies.items(), key=lambda item: (-item[1], item[0]))[:KEYWORDS_MAX]
    return [sentences[position] for position in sorted(chosen)], keywords, len(sentences)


def render(text, count):
    chosen, keywords, total = summarise(text, count)
    listed = ", ".join(f"{word} ({times})" for word, times in keywords)
    return (
        "# Summary\n\n"
        + "\n\n".join(chosen)
        + f"\n\n**Keywords:** {listed}\n\n"
        + f"*{len(chosen)} of {total} sentence{'s' if total != 1 else ''}.*\n"
    )


def main():
    try:
        text, options = read_intent(sys.stdin, os.environ)
        if not text.strip():
            raise BadInput("there is no text; pipe it in: `python3 scripts/run.py < text.txt`")
        if len(text) > INPUT_CHARS_MAX:
            raise BadInput(f"the text has more than {INPUT_CHARS_MAX} characters; summarise it in parts")
        markdown = render(text, sentence_count(options))
    except BadInput as error:
        print(f"text-summarizer: {error}", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(markdown.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
