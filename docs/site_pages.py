"""What `mkdocs build` needs to build a site from pages and docstrings as they are.

The site has the layout of the repository: README.md is its front page, docs/heads.md is
docs/heads.html. So a link between two files of the repository, as a reader of the repository
follows it, is the link between the two pages, and none is rewritten.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
_TARGET = re.compile(r"\]\(([^)#\s]+)")
_FENCE = re.compile(r"^\s*(```|~~~)")
_NESTED = re.compile(r"^((?:  )+)(?=[-*] )")
_CODE = re.compile(r"`[^`]+`")


def on_files(files: Files, config: Any) -> Files:
    """The repository's pages, and the files that they link to, instead of those of docs_dir."""
    pages = sorted(
        path for pattern in ("*.md", "docs/**/*.md", "edge/**/*.md") for path in ROOT.glob(pattern)
    )
    found = dict.fromkeys([*pages, ROOT / "docs" / "site.css"])
    for page in pages:
        for target in _TARGET.findall(page.read_text(encoding="utf-8")):
            path = (page.parent / target).resolve()
            if path.is_file() and path.is_relative_to(ROOT):
                found[path] = None
    theme = [file for file in files if not str(file.abs_src_path).startswith(str(ROOT / "docs"))]
    return Files(
        [
            *theme,
            *(
                File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path))
                for path in found
            ),
        ]
    )


def on_page_markdown(markdown: str, **_: Any) -> str:
    r"""What GitHub reads otherwise: lists nested by two spaces, and `a\|b` in a table."""
    fenced, lines = False, []
    for line in markdown.splitlines():
        fenced ^= bool(_FENCE.match(line))
        if not fenced and line.startswith("|"):
            line = _CODE.sub(lambda code: code[0].replace(r"\|", "|"), line)
        lines.append(line if fenced else _NESTED.sub(r"\1\1", line))
    return "\n".join(lines)


class Docstrings(griffe.Extension):
    """How the API reference reads the packages' docstrings."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Keep "[0, pi] [rad]" from being a link; the comment of a constant describes it."""
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("] [", "] \\[")
        elif obj.is_attribute and obj.parent.is_module and "#" in obj.source:
            obj.docstring = griffe.Docstring(obj.source.rsplit("#", 1)[1].strip(), parent=obj)
