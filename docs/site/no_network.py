"""Refuses a site that fetches anything from elsewhere when it is read: a script, a style, a picture."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

FETCHED = re.compile(
    r"<(?:script|img|iframe|audio|video|source)\b[^>]*\bsrc=\"?(?:https?:)?//"
    r"|<link\b(?=[^>]*\brel=\"?(?:stylesheet|preconnect|preload|icon|prefetch))[^>]*\bhref=\"?(?:https?:)?//"
)
IN_STYLES = re.compile(r"@import\s+[\"']?(?:url\()?[\"']?https?://|url\([\"']?https?://")


def on_post_build(config: MkDocsConfig) -> None:
    """Looks at every page and style.

    Raises:
        PluginError: one of them fetches something.
    """
    site = Path(config.site_dir)
    found = [
        path.relative_to(site).as_posix()
        for pattern, kind in ((FETCHED, "*.html"), (IN_STYLES, "*.css"))
        for path in sorted(site.rglob(kind))
        if pattern.search(path.read_text(encoding="utf-8"))
    ]
    if found:
        raise PluginError(f"pages that fetch something from elsewhere when they are read: {', '.join(found)}")
