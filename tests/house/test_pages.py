"""Laws of the pages: what they name is there, and each begins with what it is."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from iris_core.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "sample_data" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "docs" / "deploy" / "README.md",
    ROOT / "docs" / "decisions" / "README.md",
]
FOLDERS = ("iris_core", "nnunet_trainers", "apps", "benchmarks", "sample_data", "tests", "docs")
PAGE_IDS = [str(page.relative_to(ROOT)) for page in PAGES]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def quoted(text: str) -> list[str]:
    """What stands between single backticks, outside of blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))


@cache
def options_of(command: str) -> frozenset[str] | None:
    """The options of a command of `iris`; None where there is no such command."""
    parser = main._parser(command)
    choices = parser._subparsers._group_actions[0].choices
    return frozenset(choices[command]._option_string_actions) if command in choices else None


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_path_on_a_page_leads_somewhere(page):
    named = [word.split("::")[0].split(":")[0] for word in quoted(text_of(page))]
    paths = [word.rstrip("/") for word in named if re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w./-]+", word)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_command_of_iris_on_a_page_has_the_options_that_stand_beside_it(page):
    text = text_of(page).replace("\\\n", " ")
    lines = [line for block in re.findall(r"```\w*\n(.*?)```", text, re.S) for line in block.splitlines()]
    wrong = []
    for line in [*lines, *quoted(text)]:
        for command, rest in re.findall(r"(?<![\w/.-])iris ([a-z][a-z-]+)((?: [^|;&#)]*)?)", line):
            known = options_of(command)
            if known is None:
                wrong.append(f"iris {command}")
                continue
            words = [word.split("=")[0] for word in rest.split() if re.match(r"--?[a-z]", word)]
            wrong += [f"iris {command} {word}" for word in words if word not in known]
    assert wrong == []


def test_every_module_and_name_of_the_papers_map_is_there():
    wrong = []
    for row in re.findall(r"^\|(.*)\|$", text_of(ROOT / "docs" / "paper_map.md"), re.M):
        if len(row.split("|")) < 4:
            continue
        names: frozenset[str] = frozenset()
        for word in re.findall(r"`([^`]+)`", row.split("|")[1]):
            places = [root / word for root in (ROOT / "iris_core", ROOT) if (root / word).exists()]
            if word.endswith(".py") or "/" in word:
                names = defined(places[0]) if places and places[0].suffix == ".py" else frozenset()
                wrong += [] if places else [word]
            elif word not in names:
                wrong.append(word)
    assert wrong == []


def test_every_option_of_a_benchmark_on_a_page_is_one_of_that_benchmark():
    wrong = []
    for page in PAGES:
        text = text_of(page).replace("\\\n", " ")
        calls = r"python (?:-m benchmarks[.](\w+)|benchmarks/(\w+)[.]py)((?: [^|;&#`\n)]*)?)"
        for module, script, rest in re.findall(calls, text):
            source = source_of(module or script)
            words = [word.split("=")[0].rstrip(",") for word in rest.split() if word.startswith("--")]
            unknown = [word for word in words if f'"{word}"' not in source]
            wrong += [f"{page.name}: {module or script} {word}" for word in unknown]
    assert wrong == []


@cache
def source_of(benchmark: str) -> str:
    """The text of a benchmark and of the options that several commands share."""
    place = ROOT / "benchmarks" / benchmark
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    shared = [ROOT / "iris_core" / "cli" / name for name in ("draw.py", "options.py")]
    return "\n".join(map(text_of, [*files, *shared]))


@cache
def defined(module: Path) -> frozenset[str]:
    """Names that a module defines, `Class.method` and `Class.attribute` among them."""
    names = set()
    for node in ast.parse(text_of(module)).body:
        own = names_of(node)
        names |= own
        if isinstance(node, ast.ClassDef):
            inner = {name for part in ast.walk(node) for name in names_of(part)}
            names |= {f"{node.name}.{name}" for name in inner} | inner
    return frozenset(names)


def names_of(node: ast.AST) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return {node.name}
    targets = list(getattr(node, "targets", ())) if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    return names | {target.attr for target in targets if isinstance(target, ast.Attribute)}


def test_every_test_that_the_pages_of_files_and_security_name_is_there():
    text = "\n".join(text_of(ROOT / "docs" / name) for name in ("inputs.md", "security.md"))
    sources = "\n".join(text_of(path) for path in (ROOT / "tests").rglob("test_*.py"))
    files = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert [name for name in re.findall(r"test_\w+\.py", text) if name not in files] == []
    short = [name for name in re.findall(r"`(test_\w+)(?:::\w+…?)?`", text) if f"{name}.py" in files]
    named = set(re.findall(r"(?<![./\w])(test_\w+…?)(?!\.py|\w)", text)) - set(short)
    missing = [name for name in named if f"def {name.removesuffix('…')}" not in sources]
    assert sorted(name for name in missing if f"{name}.py" not in files) == []


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_a_page_begins_by_saying_for_whom_and_what_it_is(page):
    title, first = text_of(page).strip().split("\n\n")[:2]
    assert title.startswith("# ") and "\n" not in title
    if page != ROOT / "README.md":
        assert re.fullmatch(r"For [^:]+: [^\n]+[.]", first), "For whom: what it is."


def test_the_glossary_has_at_most_twenty_words():
    rows = re.findall(r"^\| (?!word|---)", text_of(ROOT / "docs" / "glossary.md"), re.M)
    assert 0 < len(rows) <= 20
