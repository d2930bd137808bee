"""The Python language reference by paragraphs, from the help texts that ship with Python.

One row is one paragraph of a topic of `help()`. About nine topics in ten are train, the others test, by a hash of the
topic's name; a paragraph that stands in a train topic too is left out of test. The text differs between Python
versions, and so do the rows: prepare with the version whose text you want.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator

import pyarrow as pa

from ailab_dataproc.columns import column
from ailab_dataproc.dataset import Dataset, Source
from ailab_dataproc.errors import InvalidData

FILE = "package://pydoc_data/topics.py"
TEST_BELOW = 26  # of 256 values of a hash's first byte: a tenth

schema = pa.schema(
    [
        column("topic", pa.string(), "name of the help topic, such as 'assignment'"),
        column("position", pa.int32(), "place of the paragraph in its topic, from 0"),
        column("text", pa.string(), "the paragraph with its line breaks and indentation"),
        column("characters", pa.int32(), "length of the text", unit="characters"),
    ]
)


def read(source: Source) -> Iterator[pa.RecordBatch]:
    """Read the split's paragraphs, sorted by topic and position."""
    with source.open() as file:
        topics = {name: paragraphs(text) for name, text in sorted(parse(file.read(), source.url).items())}
    known = {text for name, texts in topics.items() if split_of(name) == "train" for text in texts}
    rows = [
        {"topic": name, "position": position, "text": text, "characters": len(text)}
        for name, texts in topics.items()
        for position, text in enumerate(texts)
        if split_of(name) == source.split and (source.split == "train" or text not in known)
    ]
    yield pa.RecordBatch.from_pylist(rows, schema=schema)


def parse(code: bytes, where: str) -> dict[str, str]:
    """The dict that the module assigns to ``topics``; the code is parsed and never run."""
    try:
        for statement in ast.parse(code).body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "topics":
                return dict(ast.literal_eval(statement.value))
    except (SyntaxError, ValueError, TypeError) as error:
        raise InvalidData(f"{where}: no module of plain topics ({error}). Give pydoc_data/topics.py.") from error
    raise InvalidData(f"{where}: nothing is assigned to 'topics'. Give pydoc_data/topics.py of a Python.")


def paragraphs(text: str) -> list[str]:
    """What blank lines set apart, without trailing blanks."""
    return [part.rstrip() for part in re.split(r"\n(?:[ \t]*\n)+", text.lstrip("\n")) if part.strip()]


def split_of(topic: str) -> str:
    """The split of a topic, the same on every machine and for every Python version."""
    return "test" if hashlib.blake2b(topic.encode(), digest_size=8).digest()[0] < TEST_BELOW else "train"


dataset = Dataset(
    name="text_generation/python_reference",
    version="1.0.0",
    schema=schema,
    splits={"train": FILE, "test": FILE},
    read=read,
    owner="ailab_dataproc",
    description=__doc__,
    citation="Python Software Foundation: The Python Language Reference, https://docs.python.org/3/reference/",
    license="PSF-2.0",
    homepage="https://docs.python.org/3/reference/",
    release_notes={"1.0.0": "First version."},
)
