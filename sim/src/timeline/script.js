// The log and its filter, what is seen when something is pointed at, and the way from a shape to its line and back.
'use strict';
const { first, kinds, lanes, lines } = JSON.parse(document.getElementById('data').textContent);
const find = (id) => document.getElementById(id);
const [tip, body, scroll, rows, cursor] = ['tip', 'lines', 'scroll', 'rows', 'cursor'].map(find);
if (body) start();

function start() {
  const shapes = new Map();
  for (const shape of scroll.querySelectorAll('[data-line]')) {
    const line = Number(shape.dataset.line);
    shapes.set(line, [...(shapes.get(line) ?? []), shape]);
  }
  const drawn = [...shapes.keys()].sort((a, b) => a - b);
  const table = lines.map(row);
  body.append(...table);

  let selected = -1;
  let focused = drawn[0];

  // What stands in the address for a line. No element is called so: the browser would scroll there by itself.
  function hash(index) {
    return `#l${first + index}`;
  }

  function row([clock, epoch, lane, kind, text], index) {
    const tr = document.createElement('tr');
    tr.className = kinds[kind];
    const link = document.createElement('a');
    link.href = hash(index);
    link.textContent = first + index;
    for (const content of [link, clock, epoch, lanes[lane], kinds[kind], text]) {
      const td = document.createElement('td');
      td.append(content);
      tr.append(td);
    }
    return tr;
  }

  // Marks one line in both places, and brings it into view where it was not chosen.
  function select(index, from) {
    if (!table[index]) return;
    for (const shape of shapes.get(selected) ?? []) shape.classList.remove('on');
    table[selected]?.removeAttribute('aria-current');
    selected = index;
    table[index].setAttribute('aria-current', 'true');
    for (const shape of shapes.get(index) ?? []) shape.classList.add('on');
    const x = position(index);
    for (const end of ['x1', 'x2']) cursor.setAttribute(end, x);
    cursor.removeAttribute('hidden');
    if (from !== 'picture') scroll.scrollLeft = x - scroll.clientWidth / 2;
    if (from !== 'log') reveal(table[index], from === 'picture');
    if (from === 'link') scroll.scrollIntoView({ block: 'nearest' });
    if (drawn.includes(index)) focused = index;
    try {
      history.replaceState(null, '', hash(index));
    } catch {
      // Some browsers keep no history of files.
    }
  }

  // Puts a row near the top of the log, and scrolls the page no further than to it.
  function reveal(tr, page) {
    if (tr.hidden) {
      find('filter').reset();
      filter();
    }
    rows.scrollTop = tr.offsetTop - 90;
    if (page) tr.scrollIntoView({ block: 'nearest' });
  }

  // Where a line stands in the picture, from the left.
  function position(index) {
    const shape = shapes.get(index)?.at(-1);
    if (!shape) return 0;
    const { x, width } = shape.getBBox();
    return shape.classList.contains('bar') ? x : x + width / 2;
  }

  function show(shape, x) {
    const told = [shape.dataset.line, shape.dataset.to].filter((line) => line !== undefined);
    tip.replaceChildren(...told.map((line) => paragraph(lines[line])));
    tip.hidden = false;
    const box = shape.getBoundingClientRect();
    const left = (x ?? Math.max(box.left, scroll.getBoundingClientRect().left)) - 12;
    tip.style.left = `${Math.max(8, Math.min(left, document.documentElement.clientWidth - tip.offsetWidth - 8))}px`;
    const below = Math.min(box.bottom, innerHeight) + 8;
    const fits = below + tip.offsetHeight < innerHeight;
    tip.style.top = `${fits ? below : Math.max(8, box.top - tip.offsetHeight - 8)}px`;
  }

  function paragraph([clock, epoch, lane, kind, text]) {
    const p = document.createElement('p');
    const small = document.createElement('small');
    small.textContent = `${clock}  process ${epoch}  ${lanes[lane]}  ${kinds[kind]}`;
    p.append(small, text);
    return p;
  }

  function focus(index) {
    const shape = shapes.get(index)?.at(-1);
    if (!shape) return;
    for (const other of scroll.querySelectorAll('[tabindex]')) other.removeAttribute('tabindex');
    focused = index;
    shape.setAttribute('tabindex', '0');
    shape.setAttribute('role', 'button');
    shape.setAttribute('aria-label', lines[index][4]);
    return shape;
  }

  const shapeOf = (event) => event.target.closest?.('[data-line]');
  scroll.addEventListener('pointermove', (event) => {
    const shape = shapeOf(event);
    if (shape) show(shape, event.clientX);
    else tip.hidden = true;
  });
  scroll.addEventListener('pointerleave', () => (tip.hidden = true));
  scroll.addEventListener('focusin', (event) => shapeOf(event) && show(shapeOf(event)));
  scroll.addEventListener('focusout', () => (tip.hidden = true));
  scroll.addEventListener('scroll', () => (tip.hidden = true));
  scroll.addEventListener('click', (event) => {
    const shape = shapeOf(event);
    if (shape) select(Number(shape.dataset.line), 'picture');
  });
  scroll.addEventListener('keydown', (event) => {
    const at = drawn.indexOf(focused);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: drawn.length - 1 }[event.key];
    if (drawn[to] !== undefined) {
      const shape = focus(drawn[to]);
      scroll.scrollLeft = position(drawn[to]) - scroll.clientWidth / 2;
      shape.focus({ preventScroll: true });
    } else if (event.key === 'Enter' || event.key === ' ') {
      select(focused, 'picture');
    } else if (event.key === 'Escape') {
      tip.hidden = true;
    } else {
      return;
    }
    event.preventDefault();
  });

  body.addEventListener('click', (event) => {
    const tr = event.target.closest('tr');
    if (!tr || String(getSelection())) return;
    event.preventDefault();
    select(table.indexOf(tr), 'log');
  });

  // A row is shown if its lane and its kind are chosen and it contains the text.
  function filter() {
    const lane = find('lane').value;
    const text = find('find').value.toLowerCase();
    const chosen = new Set([...document.querySelectorAll('#filter :checked[type]')].map((box) => Number(box.value)));
    let count = 0;
    lines.forEach((line, index) => {
      const isIn = (lane === '' || line[2] === Number(lane)) && chosen.has(line[3]);
      const shown = isIn && (text === '' || line[4].toLowerCase().includes(text));
      table[index].hidden = !shown;
      count += shown;
    });
    find('count').textContent = `${count} of ${lines.length} lines`;
  }
  find('filter').addEventListener('input', filter);
  find('filter').addEventListener('submit', (event) => event.preventDefault());
  filter();

  // Links to lines lead to both places.
  document.querySelector('main').addEventListener('click', (event) => {
    const link = event.target.closest('a[href^="#l"]');
    if (!link || body.contains(link)) return;
    event.preventDefault();
    select(Number(link.hash.slice(2)) - first, 'link');
  });
  const follow = () => select(Number(location.hash.slice(2)) - first, 'link');
  addEventListener('hashchange', follow);
  focus(focused);
  if (location.hash.startsWith('#l')) follow();
}
