"""A diagram as SVG: text that every browser draws, with nothing to fetch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from symgrad.debug.diagram import LONGEST_TITLE, Box, Diagram, shorten
from symgrad.debug.layered import Placement, Point, lay_out

TITLE_SIZE, LINE_SIZE, KEY_SIZE, HEADING_SIZE = 12.0, 10.0, 11.0, 17.0
CHARACTER = 0.602
"""The width of a character of a monospace font, in units of its size."""
LINE_HEIGHT = 14.0
PADDING = 9.0
MARGIN = 24.0
HEADER = 66.0

FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"

STYLES = {
    "input": ("#dbeafe", "#2563eb", "input"),
    "shared": ("#d1fae5", "#059669", "shared variable"),
    "constant": ("#f1f5f9", "#64748b", "constant"),
    "index": ("#f8fafc", "#cbd5e1", "size or index"),
    "elementwise": ("#fef9c3", "#ca8a04", "elementwise"),
    "reduction": ("#ffedd5", "#ea580c", "reduction"),
    "view": ("#ffffff", "#94a3b8", "view: no work"),
    "library": ("#fee2e2", "#dc2626", "library routine"),
    "evaluate": ("#fce7f3", "#db2777", "plain NumPy"),
    "output": ("#ede9fe", "#7c3aed", "output"),
    "update": ("#a7f3d0", "#047857", "update"),
}  # fmt: skip
"""For each kind of box: fill, border, and what the legend says."""

SHEET = f"""
text {{ font-family: {FONT}; fill: #0f172a; }}
.t {{ font-size: {TITLE_SIZE}px; font-weight: 600; text-anchor: middle; }}
.l {{ font-size: {LINE_SIZE}px; fill: #475569; text-anchor: middle; }}
.w {{ fill: none; stroke: #94a3b8; stroke-width: 1.3; }}
.w.thin {{ stroke: #cbd5e1; stroke-width: 1.1; stroke-dasharray: 4 3; }}
.h {{ font-size: {HEADING_SIZE}px; font-weight: 700; }}
.k {{ font-size: {KEY_SIZE}px; fill: #334155; }}
"""


MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})


def xml_text(text: str) -> str:
    """Return `text` as XML: markup escaped, characters that XML doesn't have replaced."""
    return "".join(char if _is_xml(ord(char)) else "\ufffd" for char in text).translate(MARKUP)


def _is_xml(code: int) -> bool:
    return code in (9, 10, 13) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


@dataclass(frozen=True)
class Drawing:
    """A placed diagram, with its title."""

    title: str
    subtitle: str
    diagram: Diagram
    placement: Placement

    @property
    def width(self) -> float:
        """The width of the diagram with its margins."""
        return self.placement.width + 2 * MARGIN

    @property
    def height(self) -> float:
        """The height of the diagram with its margins."""
        return self.placement.height + 2 * MARGIN


def box_size(box: Box) -> tuple[float, float]:
    """Return the width and height that a box's texts need."""
    widths = [len(box.title) * TITLE_SIZE, *(len(line) * LINE_SIZE for line in box.lines)]
    return max(widths) * CHARACTER + 2 * PADDING, LINE_HEIGHT * (1 + len(box.lines)) + 2 * PADDING - 5


def draw_diagram(title: str, subtitle: str, diagram: Diagram) -> Drawing:
    """Place a diagram."""
    sizes = [box_size(box) for box in diagram.boxes]
    placement = lay_out(
        [width for width, _ in sizes], [height for _, height in sizes], diagram.ranks, diagram.wires
    )
    return Drawing(shorten(title, LONGEST_TITLE), subtitle, diagram, placement)


def svg_document(drawing: Drawing) -> str:
    """Return a whole SVG file: the diagram under its title and legend."""
    width = max(drawing.width, _legend_width(drawing.diagram), _title_width(drawing))
    height = drawing.height + HEADER
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}">',
            f"<style>{SHEET}</style>",
            arrow_marker(),
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
            *_header(drawing),
            f'<g transform="translate({(width - drawing.width) / 2:.1f} {HEADER})">',
            *diagram_lines(drawing),
            "</g>",
            "</svg>",
            "",
        ]
    )


def diagram_lines(drawing: Drawing) -> list[str]:
    """Return the wires and boxes, with margins around them."""
    return [f'<g transform="translate({MARGIN} {MARGIN})">', *_wires(drawing), *_boxes(drawing), "</g>"]


def arrow_marker() -> str:
    """Return the definition of the arrow head that wires end in."""
    return (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.2" refY="4" markerWidth="6.5" markerHeight="6.5" '
        'orient="auto" markerUnits="userSpaceOnUse"><path d="M0 0.6 L8 4 L0 7.4 Z" fill="#64748b"/></marker></defs>'
    )


# ---- title and legend -----------------------------------------------------------------------------------------------


def legend_entries(diagram: Diagram) -> list[tuple[str, str, str]]:
    """Return fill, border and meaning of the colours that a diagram uses."""
    used = {box.style for box in diagram.boxes}
    return [entry for style, entry in STYLES.items() if style in used]


def _legend_width(diagram: Diagram) -> float:
    return sum(_key_width(text) for _, _, text in legend_entries(diagram)) + 2 * MARGIN


def _key_width(text: str) -> float:
    return len(text) * KEY_SIZE * CHARACTER + 34


def _title_width(drawing: Drawing) -> float:
    texts = len(drawing.title) * HEADING_SIZE + len(drawing.subtitle) * KEY_SIZE
    return texts * CHARACTER + 12 + 2 * MARGIN


def _header(drawing: Drawing) -> Iterable[str]:
    yield f'<text class="h" x="{MARGIN}" y="{MARGIN + 13}">{xml_text(drawing.title)}'
    yield f'<tspan class="k" dx="12" font-weight="400">{xml_text(drawing.subtitle)}</tspan></text>'
    x = MARGIN
    for fill, border, text in legend_entries(drawing.diagram):
        yield f'<rect x="{x:.1f}" y="{MARGIN + 30}" width="14" height="14" rx="4" fill="{fill}" stroke="{border}"/>'
        yield f'<text class="k" x="{x + 20:.1f}" y="{MARGIN + 41}">{text}</text>'
        x += _key_width(text)


# ---- wires and boxes ------------------------------------------------------------------------------------------------


def _wires(drawing: Drawing) -> Iterable[str]:
    diagram = drawing.diagram
    for wire, points, tooltip, thin in zip(
        diagram.wires, drawing.placement.routes, diagram.tooltips, diagram.thin, strict=True
    ):
        yield (
            f'<path class="w{" thin" if thin else ""}" data-from="{diagram.boxes[wire.source].node}" '
            f'data-to="{diagram.boxes[wire.target].node}" d="{_curve(points)}" marker-end="url(#arrow)">'
            f"<title>{xml_text(tooltip)}</title></path>"
        )


def _curve(points: Sequence[Point]) -> str:
    """Return a path that leaves and enters straight down; between ranks it swings over in one smooth curve."""
    x, y = points[0]
    parts = [f"M{x:.1f} {y:.1f}"]
    for next_x, next_y in points[1:]:
        if abs(next_x - x) < 0.5:
            parts.append(f"L{next_x:.1f} {next_y:.1f}")
        else:
            middle = (y + next_y) / 2
            parts.append(f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}")
        x, y = next_x, next_y
    return "".join(parts)


def _boxes(drawing: Drawing) -> Iterable[str]:
    for box, (x, y) in zip(drawing.diagram.boxes, drawing.placement.centres, strict=True):
        width, height = box_size(box)
        fill, border, _ = STYLES[box.style]
        top = y - height / 2
        rounding = height / 2 if box.style in ("input", "shared", "constant") else 7
        baseline = top + PADDING + TITLE_SIZE * 0.75
        yield f'<g class="n" data-node="{box.node}" data-place="{xml_text(box.place)}">'
        yield f"<title>{xml_text(box.tooltip)}</title>"
        yield (
            f'<rect x="{x - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'rx="{rounding:.1f}" fill="{fill}" stroke="{border}" stroke-width="1.2"/>'
        )
        yield f'<text class="t" x="{x:.1f}" y="{baseline:.1f}">{xml_text(box.title)}</text>'
        for number, line in enumerate(box.lines, start=1):
            yield f'<text class="l" x="{x:.1f}" y="{baseline + number * LINE_HEIGHT:.1f}">{xml_text(line)}</text>'
        yield "</g>"
