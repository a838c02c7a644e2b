"""Helm's output as objects, each with the template that it came from. Pure; called by `batch.py`.

The C parser of YAML needs 2 s for the 9 MB of a thousand variants, which differ in little more than their quoted
texts. So each shape of a document is parsed once, and its texts are then put into its JSON; a document for which that
could be different from parsing it is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
import yaml

from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.objects.identity import Object
from reconciler.targets.kubernetes.rendering.errors import RenderError
from specs.untrusted import Untrusted


class Loader(yaml.CSafeLoader):
    """Reads dates as text, as Kubernetes does."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - read by the class itself
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


_SOURCE = re.compile(r"^---\n# Source: (.*)\n", re.MULTILINE)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_PLACE = re.compile(rb'"@kubeserve:(\d+)@"')


@dataclass(frozen=True, slots=True)
class Document:
    template: str  # as helm names it: model-serving/templates/service.yaml
    content: Object


@dataclass(frozen=True, slots=True)
class _Shape:
    """The JSON of a document around its quoted texts: `order` numbers the text between each two of `pieces`."""

    pieces: tuple[bytes, ...]
    order: tuple[int, ...]

    def filled(self, texts: list[str]) -> JSON:
        parts = [self.pieces[0]]
        for piece, number in zip(self.pieces[1:], self.order, strict=True):
            parts += (texts[number].encode(), piece)
        return orjson.loads(b"".join(parts))


def parse(output: str) -> Iterator[Document]:
    """Every object of the output, in its order. RenderError, which names the template, for anything else."""
    shapes: dict[str, _Shape | None] = {}
    parts = _SOURCE.split(output)
    for template, text in zip(parts[1::2], parts[2::2], strict=True):
        content = _parsed(text, template, shapes)
        if content is None:
            continue
        if not _is_object(content):
            raise RenderError("A template made no Kubernetes object", f"{template}: {Untrusted(str(content)).cut(200)}")
        yield Document(template, content)


def _parsed(text: str, template: str, shapes: dict[str, _Shape | None]) -> JSON:
    texts: list[str] = _QUOTED.findall(text)
    key = '""'.join(_QUOTED.split(text))
    if key not in shapes:
        shapes[key] = _shape(text, len(texts))
    shape = shapes[key]
    if shape is not None:
        try:
            return shape.filled(texts)
        except orjson.JSONDecodeError:  # an escape that YAML has and JSON has not
            pass
    return _load(text, template)


def _shape(text: str, count: int) -> _Shape | None:
    """None where a pair of quotes is not a whole text of its own: in a comment, a plain text, a block."""
    numbers = iter(range(count))
    try:
        content = yaml.load(_QUOTED.sub(lambda _: f'"@kubeserve:{next(numbers)}@"', text), Loader)  # noqa: S506
        encoded = orjson.dumps(content)
    except (yaml.YAMLError, TypeError):
        return None
    parts = _PLACE.split(encoded)
    order = tuple(int(number) for number in parts[1::2])
    pieces = tuple(parts[::2])
    is_whole = sorted(order) == list(range(count)) and not any(b"@kubeserve:" in piece for piece in pieces)
    return _Shape(pieces, order) if is_whole else None


def _load(text: str, template: str) -> JSON:
    try:
        return yaml.load(text, Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise RenderError("A template made no YAML", f"{template}: {Untrusted(str(error))}") from error


def _is_object(content: JSON) -> bool:
    if not isinstance(content, dict) or not isinstance(content.get("metadata"), dict):
        return False
    return all(isinstance(text, str) and text for text in (content.get("apiVersion"), content.get("kind")))
