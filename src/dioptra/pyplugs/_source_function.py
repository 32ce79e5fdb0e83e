"""A task plugin as its source tells: name, signature, documentation and text."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from dataclasses import asdict, dataclass
from typing import Any

from dioptra.pyplugs._describe import PluginSignature
from dioptra.pyplugs._source_decorators import Decorated, Function
from dioptra.pyplugs._source_names import Names
from dioptra.pyplugs._source_problem import clean
from dioptra.pyplugs._source_signature import read_signature

__all__ = ["PluginSource", "read_function"]

_BLANK_LINE = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True)
class PluginSource:
    """A task plugin, read and not imported.

    Args:
        name: Its address, `package.plugin.func`.
        package: Its package, with dots.
        plugin: Its module.
        func: Its function.
        signature: What it takes and returns; annotations and defaults are texts, as they were written.
        declaration: The signature in one line, with `/` and `*` where it has them.
        is_async: Whether it is written with `async def`.
        doc: Its docstring, without the indentation.
        source: Its text with its decorators.
        file: Its file, relative to the folder of the collection.
        line: The first line of the text in the file.
    """

    name: str
    package: str
    plugin: str
    func: str
    signature: PluginSignature
    declaration: str
    is_async: bool
    doc: str
    source: str
    file: str
    line: int

    @property
    def description(self) -> str:
        """The docstring up to the first blank line."""
        return _BLANK_LINE.split(self.doc + "\n\n", maxsplit=1)[0]

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON can hold."""
        parameters = [each._asdict() | {"required": each.required} for each in self.signature.parameters]
        signature = {"parameters": parameters, "returns": self.signature.returns, "nout": self.signature.nout}
        found = asdict(self)
        del found["signature"]
        return found | signature | {"description": self.description}


def read_function(
    node: Function, *, module: str, file: str, lines: list[str], names: Names, marks: Decorated, as_text: bool
) -> PluginSource:
    """Return a registered function as its source tells.

    Args:
        node: Its definition.
        module: The module, with dots.
        file: Its file.
        lines: The lines of the file.
        names: What the names in it stand for.
        marks: What its decorators say.
        as_text: Annotations are never evaluated there, because of `from __future__ import annotations`.
    """
    package, _, plugin = module.rpartition(".")
    signature, declaration = read_signature(node, names, marks.nout, as_text=as_text)
    line = min(each.lineno for each in (node, *node.decorator_list))
    return PluginSource(
        name=f"{module}.{node.name}",
        package=package,
        plugin=plugin,
        func=node.name,
        signature=signature,
        declaration=declaration,
        is_async=isinstance(node, ast.AsyncFunctionDef),
        doc=clean(inspect.cleandoc(ast.get_docstring(node, clean=False) or "")),
        source=clean(textwrap.dedent("\n".join(lines[line - 1 : node.end_lineno])) + "\n"),
        file=file,
        line=line,
    )
