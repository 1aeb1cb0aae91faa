"""Commands of `iris`: the core's own, and those of installed packages that build on the core.

An entry point of the group `iris.commands` names a package that has COMMANDS, a mapping from commands to what
they do. Each command is a module of that package, with a "_" for every "-" of its name. The module has
add_arguments(parser) and run(arguments).
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

GROUP = "iris.commands"


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        name: as people type it.
        summary: what it does, one clause.
        package: of its module.
    """

    name: str
    summary: str
    package: str

    def module(self) -> ModuleType:
        """Its module, imported."""
        return importlib.import_module(f"{self.package}.{self.name.replace('-', '_')}")


def other_commands() -> dict[str, Command]:
    """The commands of installed packages, by name; their own modules are not imported yet."""
    from importlib import metadata

    found: dict[str, Command] = {}
    for entry in metadata.entry_points(group=GROUP):
        package = entry.load()
        for name, summary in package.COMMANDS.items():
            found[name] = Command(name, summary, package.__name__)
    return found
