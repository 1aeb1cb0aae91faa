"""Pages that are made when the site is built: one for each module, and lists of modules and of decisions."""

from __future__ import annotations

import ast
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PACKAGES = ("iris_core", "nnunet_trainers", "apps")
DECISIONS = "decisions/README.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the page of every public module, and the list of them."""
    lines = ["# Modules", "", "Each package with its modules and what they hold. Arrays are RAS+ (i, j, k)."]
    for package in PACKAGES:
        for source in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(source.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if source.stem == "__main__":
                continue
            page = f"api/{name}.md"
            if source.stem == "__init__":
                lines += ["", f"## [{name}]({name}.md)", "", _summary(source), ""]
            else:
                lines.append(f"- [{name}]({name}.md): {_summary(source)}")
            files.append(File.generated(config, page, content=f"# {name}\n\n::: {name}\n"))
    files.append(File.generated(config, "api/index.md", content="\n".join(lines) + "\n"))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Lists the decisions on their page, by number."""
    if page.file.src_uri != DECISIONS:
        return markdown
    found = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    titles = [path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ") for path in found]
    entries = [f"- [{title}]({path.name})" for title, path in zip(titles, found, strict=True)]
    return markdown + "\n" + "\n".join(entries) + "\n"


def _summary(source: Path) -> str:
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("<", "&lt;")
