"""Pieces of the page: figures inlined, captions and settings turned into HTML."""

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

# The elements of a caption: paragraphs with *emphasis*, ``code`` and `links <https://...>`_. No more is needed.
_INLINE = re.compile(r"``(?P<code>.+?)``|\*(?P<em>[^*\s][^*]*?)\*|`(?P<text>[^`<]+?) <(?P<url>https?://[^>]+)>`_")


def caption_html(text: str) -> str:
    """A caption in reStructuredText (as Snakemake's own report reads it) as HTML paragraphs."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "".join(f"<p>{inline(' '.join(paragraph.split()))}</p>" for paragraph in paragraphs)


def inline(text: str) -> str:
    """Emphasis, code and links of one paragraph; everything else escaped."""
    out, end = [], 0
    for match in _INLINE.finditer(text):
        out.append(escape(text[end : match.start()], quote=False))
        if match["code"]:
            out.append(f"<code>{escape(match['code'])}</code>")
        elif match["em"]:
            out.append(f"<em>{escape(match['em'])}</em>")
        else:
            out.append(f'<a href="{escape(match["url"])}">{escape(match["text"])}</a>')
        end = match.end()
    return "".join(out) + escape(text[end:], quote=False)


def first_sentence(text: str) -> str:
    """The first sentence of a caption, as plain text: what a figure shows, for its alternative text."""
    plain = _INLINE.sub(lambda m: m["code"] or m["em"] or m["text"], " ".join(text.split()))
    return re.split(r"(?<=[.?!])\s", plain, maxsplit=1)[0]


def inline_svg(path: Path, prefix: str, alt: str) -> str:
    """The SVG file as an element of the page: unique ids (by the prefix), the page's width, an alternative text.

    Scrolls sideways where the screen is narrower than its text can bear.
    """
    svg = path.read_text()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'((?:xlink:)?href="#)', rf"\1{prefix}-", svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}-", svg)
    svg = re.sub(r"\n\s*", "\n", svg)
    head, _, rest = svg.partition(">")
    box = re.search(r'viewBox="[\d. -]*?([\d.]+) [\d.]+"', head)
    width = round(float(box[1]) * 4 / 3) if box else 900
    head = re.sub(r'\s(?:width|height|version)="[^"]*"', "", head)
    head = head.replace(
        "<svg", f'<svg role="img" aria-label="{escape(alt)}" style="width:100%;max-width:{width}px;height:auto"', 1
    )
    return f'<div class="picture" tabindex="0">{head}>{rest}</div>'


def settings_text(value: object, indent: int = 0) -> str:
    """Settings as YAML would show them (for reading: strings are quoted only where they are empty)."""
    pad = "  " * indent
    if not isinstance(value, Mapping):
        return _scalar(value)
    lines = []
    for name, item in value.items():
        if isinstance(item, Mapping) and item:
            lines.append(f"{pad}{name}:\n{settings_text(item, indent + 1)}")
        elif isinstance(item, list) and any(isinstance(entry, Mapping) for entry in item):
            lines.append(f"{pad}{name}:")
            lines += [f"{pad}  - {_scalar(dict(entry) if isinstance(entry, Mapping) else entry)}" for entry in item]
        else:
            lines.append(f"{pad}{name}: {_scalar(item)}")
    return "\n".join(lines)


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_scalar, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_scalar(item)}" for name, item in value.items()) + "}"
    return str(value) if str(value) else '""'
