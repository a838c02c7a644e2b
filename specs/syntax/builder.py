"""Turns the events of a YAML stream into documents, within limits. Called by `reader.py` only.

Problems of single nodes are collected and reading goes on; exceeding a limit ends it with `Stop`. Aliases are never
expanded: the data is shared, and the size that it would expand to is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from specs.names import quoted
from specs.problems import Problem
from specs.syntax.documents import Document, Marks, Places
from specs.syntax.scalars import resolve, taken_for, unquoted
from specs.syntax.text import COLUMN_BITS, SpecText

MAX_DOCUMENTS = 100
MAX_DEPTH = 32
MAX_NODES = 2_000_000
MAX_ALIASED_NODES = 200_000
MAX_ENTRIES = 50_000  # entries of `models`, `deployments` and every other mapping at the top of a file
MAX_FIELDS = 2_000  # entries of a mapping further down
MAX_PROBLEMS = 100  # problems of a file; the rest would not be read anyway

_MERGE = "<<"
_TOP_DEPTH = 2


class Stop(Exception):  # noqa: N818 - an end, not an error
    """Reading can't go on."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.summary)
        self.problem = problem


class _Frame:
    """A mapping or sequence that is being read; the stream itself is the outermost, a sequence of documents."""

    __slots__ = ("anchor", "before", "key", "key_position", "limit", "marks", "merges", "merging", "value")

    def __init__(self, value: Any, marks: Any, limit: int, anchor: str | None = None, before: int = 0) -> None:
        self.value = value
        self.marks = marks
        self.limit = limit
        self.anchor = anchor
        self.before = before  # nodes counted when it began
        self.key: str | None = None  # the key whose value comes next
        self.key_position = 0
        self.merging = False  # that key is a merge key
        self.merges: list[tuple[Any, Any, int]] = []


class Builder:
    """Reads one stream. `documents` and `problems` hold what was found, also after a Stop."""

    def __init__(self, text: SpecText) -> None:
        self.text = text
        self.documents: list[Document] = []
        self.problems: list[Problem] = []
        self._frames = [_Frame([], [], limit=MAX_DOCUMENTS)]
        self._anchors: dict[str, tuple[Any, Marks, int] | None] = {}  # None: it has not ended yet
        self._keys: dict[str, str] = {}  # one string for equal keys
        self._nodes = 0
        self._aliased = 0
        self._document_start = 0
        self._handlers: dict[type, Callable[[Any], None]] = {
            StreamStartEvent: lambda _: None,
            StreamEndEvent: lambda _: None,
            DocumentStartEvent: self._start_document,
            DocumentEndEvent: self._end_document,
            MappingStartEvent: self._start_mapping,
            MappingEndEvent: self._end_mapping,
            SequenceStartEvent: self._start_sequence,
            SequenceEndEvent: self._end_sequence,
            ScalarEvent: self._scalar,
            AliasEvent: self._alias,
        }

    def run(self) -> None:
        """Raises Stop at a limit, and yaml.YAMLError where the text isn't YAML."""
        parser = yaml.CSafeLoader(self.text.text)
        handlers = self._handlers
        while (event := parser.get_event()) is not None:
            handlers[type(event)](event)

    # Documents

    def _start_document(self, event: Any) -> None:
        self._document_start = _position(event)
        self._anchors.clear()
        if len(self.documents) == MAX_DOCUMENTS:
            self._stop(
                _position(event), "too-many-documents", "Too many documents", f"A file has at most {MAX_DOCUMENTS}."
            )

    def _end_document(self, _: Any) -> None:
        stream = self._frames[0]
        self.documents.append(Document(stream.value.pop(), Places(self.text, stream.marks.pop(), self._document_start)))

    # Nodes

    def _scalar(self, event: Any) -> None:
        frame = self._frames[-1]
        if event.tag is not None:
            self._tagged(event)
        if frame.key is None and type(frame.value) is dict:
            self._key(frame, event)
            return
        position = _position(event)
        self._count(1, position)
        value = resolve(event.value) if event.implicit[0] else event.value
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, position, 1)
        self._add(frame, value, position)

    def _alias(self, event: Any) -> None:
        frame, position = self._frames[-1], _position(event)
        if frame.key is None and type(frame.value) is dict:
            self._stop(position, "key-not-text", "A key that is not text", "An alias can't be a key. Write the name.")
        anchor = self._anchors.get(event.anchor)
        if anchor is None:
            why = (
                "stands inside of what it repeats, which would never end"
                if event.anchor in self._anchors
                else "repeats an anchor that is not there; anchors (&name) come before their aliases"
            )
            self._stop(position, "alias", "Unusable alias", f"{quoted('*' + event.anchor)} {why}.")
        value, marks, size = anchor
        self._aliased += size
        if self._aliased > MAX_ALIASED_NODES:
            self._stop(
                position,
                "alias-bomb",
                "Aliases repeat too much",
                f"All aliases of a file may stand for at most {MAX_ALIASED_NODES:,} values together.",
            )
        self._count(size, position)
        self._add(frame, value, marks)

    def _start_mapping(self, event: Any) -> None:
        self._open(event, {}, {})

    def _start_sequence(self, event: Any) -> None:
        self._open(event, [], [])

    def _end_mapping(self, _: Any) -> None:
        frame = self._frames[-1]
        for value, marks, position in frame.merges:
            self._merge(frame, value, marks, position)
        self._close()

    def _end_sequence(self, _: Any) -> None:
        self._close()

    def _open(self, event: Any, value: Any, marks: Any) -> None:
        frames = self._frames
        parent = frames[-1]
        position = _position(event)
        if event.tag is not None:
            self._tagged(event)
        if parent.key is None and type(parent.value) is dict:
            self._stop(
                position,
                "key-not-text",
                "A key that is not text",
                "A list or mapping can't be a key. Is a ':' or quote missing?",
            )
        if len(frames) > MAX_DEPTH:
            self._stop(
                position, "too-deep", "Nested too deeply", f"At most {MAX_DEPTH} levels can stand inside each other."
            )
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        limit = MAX_ENTRIES if len(frames) <= _TOP_DEPTH else MAX_FIELDS
        frames.append(_Frame(value, marks, limit, event.anchor, self._nodes))
        self._count(1, position)

    def _close(self) -> None:
        frame = self._frames.pop()
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (frame.value, frame.marks, self._nodes - frame.before)
        self._add(self._frames[-1], frame.value, frame.marks)

    def _key(self, frame: _Frame, event: Any) -> None:
        name = event.value
        frame.key_position = _position(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = (name, frame.key_position, 1)
        plain = event.implicit[0]
        frame.merging = plain and name == _MERGE
        known = self._keys.get(name)
        if known is None:
            if plain and not frame.merging and (meaning := taken_for(name)):
                self._report(frame.key_position, *unquoted(name, meaning))
            else:
                self._keys[name] = name
        frame.key = known or name

    def _add(self, frame: _Frame, value: Any, marks: Any) -> None:
        container = frame.value
        if type(container) is list:
            container.append(value)
            frame.marks.append(marks)
            return
        key, frame.key = frame.key, None
        if frame.merging:
            frame.merges.append((value, marks, frame.key_position))
        elif key in container:
            if len(self.problems) >= MAX_PROBLEMS:
                return
            first = self.text.place(frame.marks[key][0])
            self._report(
                frame.key_position,
                "duplicate-key",
                "A name defined twice",
                f"{quoted(str(key))} is already defined at line {first.line}. Remove one, or rename it.",
            )
        else:
            container[key] = value
            frame.marks[key] = (frame.key_position, marks)
            if len(container) > frame.limit:
                self._stop(
                    frame.key_position,
                    "too-many-entries",
                    "Too many entries",
                    f"A mapping has at most {frame.limit:,} entries here. Split it: several files may define one "
                    "tenant.",
                )

    def _merge(self, frame: _Frame, value: Any, marks: Any, position: int) -> None:
        """Merge keys of YAML 1.1: what `*anchor` has and this mapping has not. The first of several wins."""
        several = type(value) is list
        for one, its_marks in zip(value, marks, strict=True) if several else ((value, marks),):
            if type(one) is not dict:
                self._report(position, "merge", "Nothing to merge", "'<<:' takes a mapping, such as *anchor.")
                return
            self._count(len(one), position)
            for key in one.keys() - frame.value.keys():
                frame.value[key] = one[key]
                frame.marks[key] = its_marks[key]

    # Limits and problems

    def _count(self, nodes: int, position: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            self._stop(position, "too-many-nodes", "Too many values", f"A file has at most {MAX_NODES:,} values.")

    def _tagged(self, event: Any) -> None:
        self._report(
            _position(event),
            "tag",
            "A tag",
            f"Tags like {quoted(event.tag)} are not allowed. Remove it; to write a number as text, put it in quotes.",
        )

    def _report(self, position: int, code: str, summary: str, detail: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(self.text.problem(position, code, summary, detail))

    def _stop(self, position: int, code: str, summary: str, detail: str) -> NoReturn:
        raise Stop(self.text.problem(position, code, summary, detail))


def _position(event: Any) -> int:
    mark = event.start_mark
    position: int = mark.line << COLUMN_BITS | mark.column  # `pack`, without the call: every node comes by here
    return position
