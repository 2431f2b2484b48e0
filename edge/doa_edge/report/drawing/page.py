"""A report as one page of HTML that needs nothing else, and asks for nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from doa_edge.report.drawing.canvas import COLOURS, SvgCanvas, shown
from doa_edge.report.drawing.panels import GAP, HALF, PADDING, WIDTH, Panel, Section

PRIVACY = "Directions and times alone: no sound is in this report."
_NARROW = 700.0  # pixels; what is wider is moved sideways on a phone
_LAYOUT = f"""
*{{box-sizing:border-box}}
body{{margin:0 auto;padding:24px;max-width:{WIDTH + 48:g}px;background:var(--page);
color:var(--ink);font-family:system-ui,"DejaVu Sans",sans-serif;line-height:1.4}}
h1{{font-size:26px;margin:0}}
h2{{font-size:20px;margin:32px 0 0}}
h3{{font-size:15px;margin:0 0 14px}}
p{{margin:4px 0 20px;color:var(--muted);overflow-wrap:anywhere}}
.row{{display:flex;flex-wrap:wrap;gap:{GAP:g}px;margin-bottom:{GAP:g}px}}
section{{background:var(--card);border:1px solid var(--line);border-radius:14px;
padding:{PADDING:g}px;flex:1 1 {HALF:g}px;overflow-x:auto}}
section.left{{flex:0 1 {HALF:g}px}}
svg{{display:block;overflow:visible;width:100%;height:auto;font-family:inherit}}
svg.wide{{min-width:760px}}
image{{image-rendering:pixelated}}
"""


def page(title: str, subtitle: str, told: Sequence[Section]) -> str:
    """The page.

    Its policy allows its own style and pictures inside of it, no script, and no request.

    Args:
        title: heading.
        subtitle: below it, such as the names of the files.
        told: of each microphone.
    """
    style = _variables(0) + f"@media(prefers-color-scheme:dark){{{_variables(1)}}}" + _LAYOUT
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    body = "\n".join(_section(one) for one in told)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{shown(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"<h1>{shown(title)}</h1>\n<p>{shown(subtitle)}</p>\n{body}\n"
        f"<p>{PRIVACY}</p>\n</body>\n</html>\n"
    )


def _variables(ground: int) -> str:
    colours = ";".join(f"--{name}:{both[ground]}" for name, both in COLOURS.items())
    scheme = ("light", "dark")[ground]
    return f":root{{color-scheme:{scheme};{colours}}}"


def _section(section: Section) -> str:
    heading = f"<h2>{shown(section.name)}</h2>\n<p>{section.extent}</p>\n" if section.name else ""
    rows = (f'<div class="row">{_row(row)}</div>' for row in section.rows)
    return heading + "\n".join(rows)


def _row(row: Sequence[Panel]) -> str:
    return "".join(_panel(one, left=len(row) > 1 and one is row[0]) for one in row)


def _panel(panel: Panel, *, left: bool) -> str:
    canvas = SvgCanvas(panel.width, panel.height, panel.title or "Totals")
    panel.draw(canvas)
    heading = f"<h3>{shown(panel.title)}</h3>" if panel.title else ""
    opened = '<section class="left">' if left else "<section>"
    drawn = canvas.svg()
    if panel.width > _NARROW:
        drawn = drawn.replace("<svg ", '<svg class="wide" ', 1)
    return f"{opened}{heading}{drawn}</section>"
