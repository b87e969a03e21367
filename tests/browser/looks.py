"""What a designer would measure on a page that is open: sizes of letters, what fingers press, the edges of fields. Each function gives a
line for each fault; none may be left."""

from __future__ import annotations

from playwright.sync_api import Page

#: The type scales, in pixels at the usual size of letters: `--t0` to `--t5` of lachan.css; the four sizes of child.css.
SCALE, CHILD_SCALE = (13, 15, 17, 20, 24, 30), (16, 18, 24, 32)
#: What typewriter letters are multiplied by, because they look larger (`code, .mono` of lachan.css).
MONO = 0.94
#: Apple asks for 44, Android for 48; WCAG 2.5.8 for 24. Ours: 44 high for whatever is a control
#: and no word of a sentence; a short word may be half as wide.
FINGER = 44
#: WCAG 1.4.11: the edge by which a field is known.
EDGE = 3.0

_SIZES = """([scale, mono]) => {
  const found = {};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    const unseen = one.closest("svg, script, noscript, option, .hidden") || !one.checkVisibility();
    if (unseen || !walker.currentNode.data.trim()) continue;
    const size = parseFloat(getComputedStyle(one).fontSize);
    const allowed = one.closest("code, .mono") ? [...scale, ...scale.map(each => each * mono)] : scale;
    if (!allowed.some(good => Math.abs(good - size) < .1)) found[size.toFixed(2)] = walker.currentNode.data.trim().slice(0, 30);
  }
  return Object.entries(found).map(([size, words]) => `${size}px: ${words}`);
}"""
_TARGETS = """(least) => [...document.querySelectorAll(`button, a.button, a.small-button, a.exit, a.call, summary, select, textarea,
    input:not([type=hidden]):not([type=radio]):not([type=checkbox]), .tabs a, .links a, footer a, a.back, a.row-line, .aside a,
    label.choice, label.tick, label.pick`)]
  .filter(one => one.checkVisibility() && !one.closest(".hidden"))
  .map(one => [one, one.getBoundingClientRect()])
  .filter(([one, box]) => box.height && (box.height < least - .5 || box.width < least / 2))
  .map(([one, box]) => [(one.innerText || one.name || one.className).trim().slice(0, 30), Math.round(box.width), Math.round(box.height)])
  .map(([words, width, height]) => `${width}×${height}: ${words}`)"""
#: Words of more letters than this in a box narrower than three of them stand letter under letter.
_SQUEEZED = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement, words = walker.currentNode.data.trim();
    if (words.length < 4 || one.closest("svg, script, noscript, option, .hidden") || !one.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    const box = range.getBoundingClientRect(), letter = parseFloat(getComputedStyle(one).fontSize);
    if (box.width > 1.6 * letter || box.height < 3 * letter) continue;
    found.push(`${Math.round(box.width)}×${Math.round(box.height)}: ${words.slice(0, 30)}`);
  }
  return found;
}"""
_EDGES = """(least) => {
  const numbers = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const linear = x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r / 255) + .7152 * linear(g / 255) + .0722 * linear(b / 255);
  const behind = one => {
    for (let up = one.parentElement; up; up = up.parentElement) {
      const colour = numbers(getComputedStyle(up).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll(`input:not([type=hidden]):not([type=radio]):not([type=checkbox]), select, textarea,
      .choice, .pick, .tri, .button-soft, .calm`)]
    .filter(one => one.checkVisibility() && !one.closest(".hidden"))
    .map(one => {
      const pair = [light(numbers(getComputedStyle(one).borderTopColor)), light(behind(one))].sort((a, b) => b - a);
      return [one, (pair[0] + .05) / (pair[1] + .05)];
    })
    .filter(([, ratio]) => ratio < least)
    .map(([one, ratio]) => `${ratio.toFixed(2)}: ${one.id || one.className || one.tagName}`);
}"""


def odd_sizes(page: Page) -> list[str]:
    """Letters of a size that is on no scale."""
    of_child = page.locator("link[href*='child.css'], link[href*='child.']").count() > 0
    scale = CHILD_SCALE if of_child else SCALE
    found: list[str] = page.evaluate(_SIZES, [scale, MONO])
    return found


def small_targets(page: Page) -> list[str]:
    """Controls that a thumb misses."""
    found: list[str] = page.evaluate(_TARGETS, FINGER)
    return found


def faint_edges(page: Page) -> list[str]:
    """Fields and buttons whose edge cannot be seen, in the colours that are set now."""
    found: list[str] = page.evaluate(_EDGES, EDGE)
    return found


def squeezed(page: Page) -> list[str]:
    """Words in a box so narrow that their letters stand one under the other."""
    found: list[str] = page.evaluate(_SQUEEZED)
    return found
