// look.js: what is wrong with a page as it stands, in this window and these colours; a list of complaints. run.py evaluates it.
(() => {
  const complaints = [], name = e => `<${e.tagName.toLowerCase()}${e.id ? ' id=' + e.id : ''}${e.className && e.className.baseVal === undefined ? ' class=' + e.className : ''}> "${(e.textContent || '').trim().slice(0, 40)}"`;
  const counts = {};
  const complain = (what, e) => { const kind = what.replace(/[\d.]+/g, ''); counts[kind] = (counts[kind] || 0) + 1; if (counts[kind] <= 2) complaints.push(e ? `${what}: ${name(e)}` : what); };
  const shown = e => e.checkVisibility({checkOpacity: true, checkVisibilityCSS: true}) && e.getClientRects().length > 0;

  // ---- nothing wider than the window, nothing laid over something else ----
  const width = document.documentElement.clientWidth, printed = matchMedia('print').matches;
  if (document.documentElement.scrollWidth > width) {
    complain(`${document.documentElement.scrollWidth} pixels are wider than the window of ${width}`);
    for (const e of document.querySelectorAll('body *')) if (e.getBoundingClientRect().right > width + 1 && shown(e) && !e.closest('.skip')) { complain('sticks out', e); break; }
  }
  if (printed) for (const e of document.querySelectorAll('main *')) {  // what scrolls on a screen is cut on paper
    if (shown(e) && e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== 'visible') complain(`cut on paper, ${e.scrollWidth} of ${e.clientWidth} pixels`, e);
  }

  for (const words of document.querySelectorAll('svg text')) {
    const a = words.getBoundingClientRect(), b = words.closest('svg').getBoundingClientRect();
    if (a.width && (a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1)) complain('words of a drawing are cut', words);
  }

  // ---- for those who do not see, or do not use a mouse ----
  for (const e of document.images) { if (!e.alt.trim()) complain('an image without alternative text', e); if (!e.naturalWidth) complain('a broken image', e); }
  for (const e of document.querySelectorAll('main svg, main canvas')) if (shown(e) && !(e.getAttribute('aria-label') || e.querySelector('title') || e.getAttribute('aria-hidden'))) complain('a drawing without words', e);
  let level = 0;
  for (const e of document.querySelectorAll('h1,h2,h3,h4,h5,h6')) { const own = Number(e.tagName[1]); if (own > level + 1) complain(`a heading of level ${own} after level ${level}`, e); level = own; }
  if (document.querySelectorAll('h1').length !== 1) complain(`${document.querySelectorAll('h1').length} headings of level 1`);
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) { complain(`two elements are called ${id}`); break; }
  for (const a of document.querySelectorAll('a[href^="#"]')) if (/^#[a-z]/.test(a.getAttribute('href')) && !document.getElementById(a.getAttribute('href').slice(1))) complain('a link leads nowhere', a);
  for (const e of document.querySelectorAll('input,button,a[href]')) if (!(e.textContent.trim() || e.getAttribute('aria-label') || (e.labels && e.labels.length))) complain('a control without a name', e);

  // ---- letters against what is below them, WCAG 2.1: 4.5, large ones 3 ----
  const numbers = c => { const m = c.match(/[\d.]+/g).map(Number); return c.startsWith('color(') ? [...m.slice(0, 3).map(x => 255 * x), m[3] ?? 1] : [...m.slice(0, 3), m[3] ?? 1]; };
  const over = (top, below) => [0, 1, 2].map(k => top[k] * top[3] + below[k] * (1 - top[3]));
  const light = c => { const [r, g, b] = c.map(x => (x /= 255) <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const ground = e => { if (!e) return dark ? [18, 18, 18] : [255, 255, 255]; const c = numbers(getComputedStyle(e).backgroundColor); return c[3] === 1 ? c.slice(0, 3) : over(c, ground(e.parentElement)); };
  const opacity = e => e ? Number(getComputedStyle(e).opacity) * opacity(e.parentElement) : 1;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let count = 0; walker.nextNode() && count < 20000; ++count) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || ['SCRIPT', 'STYLE', 'TITLE'].includes(e.tagName) || !shown(e)) continue;
    const s = getComputedStyle(e), below = ground(e), ink = numbers(e instanceof SVGElement ? s.fill : s.color);
    const a = light(over([...ink.slice(0, 3), ink[3] * opacity(e)], below)), b = light(below), ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    const size = parseFloat(s.fontSize), large = size >= 24 || (size >= 18.6 && Number(s.fontWeight) >= 700);
    if (!/[\p{L}\p{N}]/u.test(walker.currentNode.data)) continue;  // block characters that draw a picture are not letters
    if (ratio < (large ? 3 : 4.5)) complain(`${dark ? 'dark' : 'light'}: a contrast of ${ratio.toFixed(1)}`, e);
  }
  return complaints;
})()
