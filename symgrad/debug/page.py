"""Pictures as a page to move, zoom and follow wires in: one file, with nothing to fetch."""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.debug.svg import SHEET, Drawing, arrow_marker, diagram_lines, legend_entries, xml_text

PAGE_SHEET = """
html, body { margin: 0; height: 100%; background: #f8fafc; color: #0f172a; font: 13px/1.4 system-ui, sans-serif; }
body { display: flex; flex-direction: column; }
header { display: flex; flex-wrap: wrap; gap: 6px 18px; align-items: center; padding: 9px 16px; background: #fff;
  border-bottom: 1px solid #e2e8f0; }
header .key { display: inline-flex; gap: 6px; align-items: center; color: #334155; font-size: 12px; }
header .key i { width: 13px; height: 13px; border-radius: 4px; border: 1px solid; }
header input { margin-left: auto; padding: 4px 9px; border: 1px solid #cbd5e1; border-radius: 6px; font: inherit;
  width: 15em; }
main { flex: 1; display: flex; min-height: 0; }
section { flex: 1; min-width: 0; display: flex; flex-direction: column; position: relative; }
section + section { border-left: 1px solid #cbd5e1; }
h2 { margin: 0; padding: 8px 16px; font-size: 14px; background: #fff; border-bottom: 1px solid #e2e8f0; }
h2 small { font-weight: 400; color: #64748b; margin-left: 9px; }
h2 button { float: right; margin-left: 6px; font: inherit; font-size: 12px; font-weight: 400; padding: 1px 9px;
  border: 1px solid #cbd5e1; border-radius: 6px; background: #fff; cursor: pointer; }
section svg { flex: 1; min-height: 0; width: 100%; background: #fff; cursor: grab; touch-action: none; }
svg.dragged { cursor: grabbing; }
.n { cursor: pointer; }
svg.focused .n:not(.near), svg.focused .w:not(.near) { opacity: 0.15; }
.w.near { stroke: #0f172a; stroke-width: 2; }
.n.found rect, .n.same rect { stroke-width: 3.5; }
#tip { position: fixed; max-width: 46em; padding: 7px 11px; background: #0f172a; color: #f8fafc; border-radius: 7px;
  font: 12px/1.45 ui-monospace, Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere;
  pointer-events: none; display: none; z-index: 9; }
"""

SCRIPT = """
'use strict';
const tip = document.getElementById('tip');
const panes = [...document.querySelectorAll('section')].map(section => makePane(section));

function makePane(section) {
  const svg = section.querySelector('svg');
  const full = {width: +svg.dataset.width, height: +svg.dataset.height};
  const view = {x: 0, y: 0, scale: 1};
  const boxes = [...svg.querySelectorAll('.n')], wires = [...svg.querySelectorAll('.w')];
  for (const element of [...boxes, ...wires]) {
    const title = element.querySelector('title');
    element.tip = title.textContent;
    title.remove();
  }
  const show = () => {
    const {width, height} = svg.getBoundingClientRect();
    svg.setAttribute('viewBox', [view.x, view.y, width / view.scale, height / view.scale].join(' '));
  };
  const place = (scale, top) => {
    const {width, height} = svg.getBoundingClientRect();
    const first = boxes[0].getBBox(), spare = full.width - width / scale;
    view.scale = scale;
    view.x = spare <= 0 ? spare / 2 : Math.max(0, Math.min(spare, first.x + first.width / 2 - width / scale / 2));
    view.y = top ? 0 : (full.height - height / scale) / 2;
    show();
  };
  const fit = () => {
    const {width, height} = svg.getBoundingClientRect();
    return Math.min(1, width / full.width, height / full.height);
  };
  const start = () => {
    const whole = fit(), {width} = svg.getBoundingClientRect();
    place(whole > 0.6 ? whole : Math.max(Math.min(1, width / full.width), 0.5), whole <= 0.6);
  };
  const zoom = (factor, x, y) => {
    const scale = Math.min(4, Math.max(0.03, view.scale * factor));
    view.x += x / view.scale - x / scale;
    view.y += y / view.scale - y / scale;
    view.scale = scale;
    show();
  };
  svg.addEventListener('wheel', event => {
    event.preventDefault();
    const area = svg.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - area.left, event.clientY - area.top);
  }, {passive: false});
  let held = null, moved = false;
  svg.addEventListener('pointerdown', event => { held = event; moved = false; });
  svg.addEventListener('pointermove', event => {
    if (held && (moved || Math.hypot(event.clientX - held.clientX, event.clientY - held.clientY) > 4)) {
      if (!moved) svg.setPointerCapture(event.pointerId);
      moved = true;
      svg.classList.add('dragged');
      view.x -= (event.clientX - held.clientX) / view.scale;
      view.y -= (event.clientY - held.clientY) / view.scale;
      held = event;
      show();
    }
    const target = event.target.closest('.n, .w');
    tip.style.display = target && !moved ? 'block' : 'none';
    if (target) {
      tip.textContent = target.tip;
      tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)) + 'px';
      tip.style.top = Math.max(4, Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8)) + 'px';
    }
  });
  svg.addEventListener('pointerup', event => {
    if (held && !moved) focusOn(event.target.closest('.n'));
    held = null;
    svg.classList.remove('dragged');
  });
  svg.addEventListener('pointerleave', () => { tip.style.display = 'none'; });
  section.querySelector('.fit').onclick = () => place(fit(), false);
  section.querySelector('.full').onclick = () => place(1, true);
  start();
  return {svg, boxes, wires, show};
}

function focusOn(box) {
  for (const {svg, boxes, wires} of panes) {
    const chosen = box && svg.contains(box) ? box.dataset.node : null;
    const near = new Set([chosen]);
    for (const wire of wires) {
      const touches = chosen && (wire.dataset.from === chosen || wire.dataset.to === chosen);
      wire.classList.toggle('near', Boolean(touches));
      if (touches) near.add(wire.dataset.from).add(wire.dataset.to);
    }
    for (const other of boxes) {
      other.classList.toggle('near', near.has(other.dataset.node));
      other.classList.toggle('same', Boolean(box && box.dataset.place && other.dataset.place === box.dataset.place));
    }
    svg.classList.toggle('focused', chosen !== null);
  }
}

document.getElementById('find').addEventListener('input', event => {
  const words = event.target.value.toLowerCase();
  for (const {boxes} of panes)
    for (const box of boxes) box.classList.toggle('found', words !== '' && box.tip.toLowerCase().includes(words));
});
addEventListener('keydown', event => { if (event.key === 'Escape') focusOn(null); });
addEventListener('resize', () => panes.forEach(pane => pane.show()));
"""


def html_page(drawings: Sequence[Drawing]) -> str:
    """Return a page that shows the drawings side by side."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f"<title>{xml_text(drawings[0].title)}</title>",
            f"<style>{SHEET}{PAGE_SHEET}</style></head><body>",
            f'<svg width="0" height="0" style="position:absolute">{arrow_marker()}</svg>',
            "<header>",
            *_legend(drawings),
            '<input id="find" type="search" placeholder="find a name, op or line" aria-label="find">',
            "</header><main>",
            *[_section(drawing) for drawing in drawings],
            '</main><div id="tip"></div>',
            f"<script>{SCRIPT}</script></body></html>",
            "",
        ]
    )


def _legend(drawings: Sequence[Drawing]) -> list[str]:
    entries = dict.fromkeys(entry for drawing in drawings for entry in legend_entries(drawing.diagram))
    return [
        f'<span class="key"><i style="background:{fill};border-color:{border}"></i>{text}</span>'
        for fill, border, text in entries
    ]


def _section(drawing: Drawing) -> str:
    return "\n".join(
        [
            f"<section><h2>{xml_text(drawing.title)}<small>{xml_text(drawing.subtitle)}</small>"
            '<button class="full">1:1</button><button class="fit">fit</button></h2>',
            f'<svg data-width="{drawing.width:.0f}" data-height="{drawing.height:.0f}">',
            *diagram_lines(drawing),
            "</svg></section>",
        ]
    )
