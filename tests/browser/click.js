// click.js: what run.py does in a page. Predictions are opened; in a trace a cell is clicked, and every formula is computed for some
// elements of every value and gradient. Its value begins with "ok", or says what is wrong.
(async () => {
  const turn = () => new Promise(done => setTimeout(done, 20)), seen = [];
  document.querySelectorAll('details').forEach(d => d.querySelector('summary').click());
  await turn();
  if ([...document.querySelectorAll('details.predict')].some(d => !d.open)) seen.push('a prediction does not open');
  if ([...document.images].some(i => !i.naturalWidth)) seen.push('an image is broken');
  if (document.getElementById('trace')) {
    const product = values.findIndex(v => ['linear', 'matmul', 'multiply'].includes(v.op) && v.value);
    location.hash = `${product},0,-1,-1`;
    await turn();
    const cell = document.querySelector('#matrix td a'), canvas = document.querySelector('#matrix canvas');
    if (cell) cell.click(); else { const box = canvas.getBoundingClientRect(); canvas.dispatchEvent(new MouseEvent('click', {clientX: box.left + 1, clientY: box.top + 1})); }
    await turn();
    const sum = document.getElementById('sum'), said = document.getElementById('said');
    if (!sum || !said || sum.textContent !== said.textContent) seen.push(`a click shows ${sum && sum.textContent}, the program has ${said && said.textContent}`);
    if (!document.querySelector('#why a')) seen.push('no factor is a link');
    if (!document.querySelector('#inputs .lit, #inputs canvas')) seen.push('nothing lights up in the inputs');
    const same = (x, y) => Object.is(x, y) || Math.abs(x - y) <= 1e-5 + 1e-4 * Math.abs(y);
    let count = 0, wrong = 0;
    values.forEach((v, n) => { if (v.value) for (let e = 0; e < v.value.length; e += Math.max(1, Math.floor(v.value.length / 5))) {
      const i = Math.floor(e / v.c), j = e % v.c;
      if (v.f && v.inputs.every(k => k < 0 || values[k].value)) { ++count; if (!same(evaluate(trace.formulas[v.f], {t: n, vars: {i, j, p: 0}}), v.value[e])) ++wrong; }
      if (!v.gradient || n === trace.loss) continue;
      let total = 0, whole = true;
      values.forEach((r, k) => r.inputs.forEach((input, p) => { if (input !== n) return;
        if (!r.value) whole = false;
        else if (r.gradient && r.d[p] && r.inputs.every(q => q < 0 || values[q].value)) total += evaluate(trace.formulas[r.d[p]], {t: k, vars: {i, j, p}});
        else if (r.gradient) whole = false; }));
      if (whole) { ++count; if (!same(total, v.gradient[e])) ++wrong; }
    } });
    if (wrong || !count) seen.push(`${wrong} of ${count} formulas give another number than the program`);
    other = read(document.getElementById('trace'));  // compared with itself, then with one number changed
    if (values.some((v, n) => differs(n) >= 0)) seen.push('a trace differs from itself');
    other.values[product].value[0] += 1;
    if (values.findIndex((v, n) => differs(n) >= 0) !== product) seen.push('a number that differs is not found');
    show();
    if (document.getElementById('beside').hidden) seen.push('the other trace is not shown');
    if (!seen.length) seen.push(`ok, ${count} elements as the program has them`);
  }
  return seen.join('; ') || 'ok';
})()
