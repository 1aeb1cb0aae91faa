"""What a file imports, at any depth: at the top, in functions, by `import_module` with a literal name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def imported_names(root: Path, source: Path) -> Iterator[tuple[int, str]]:
    """Every import of a file below `root`: its line and its full dotted name, relative ones resolved."""
    package = source.relative_to(root).parts[:-1]
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            prefix = ".".join([*base, *filter(None, [node.module])])
            yield from ((node.lineno, f"{prefix}.{alias.name}") for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith("import_module")
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, node.args[0].value
