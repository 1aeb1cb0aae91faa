"""Commands of the MONAI Label side."""

#: command -> what it does; the entry point `iris.commands` names this package
COMMANDS = {"serve": "start the MONAI Label server: label one study, find the others pre-labelled"}
