// The calendar of windows: every hour between the first and the last, so that what was never read shows.

import { h } from '../element.js';
import { stateBadge } from '../badge.js';
import { count, time, words } from '../format.js';
import { link } from '../router.js';

const HOURS = 24;
// More windows of one hour than this get smaller cells.
const TALL_MAX = 3;
const DAY_MS = 86_400_000;

// The signs in the cells, so that colour is not all there is. The states are the API's, in its order, the best
// first; a test holds them to its document.
export const SIGNS = {
  verified: ['good', '✓', 'archive and source hold the same'],
  complete: ['done', '●', 'archived, not yet compared with the source'],
  cancelled: ['off', '–', 'its migration was given up'],
  exporting: ['run', '↑', 'some of it is on its way to the archive'],
  open: ['wait', '…', 'its ids are being read, or will be'],
  drifted: ['warn', '≈', 'the archive has messages that the source no longer shows'],
  late: ['warn', '!', 'waits for longer than it should'],
  incomplete: ['bad', '≠', 'a verification found that source and archive differ here'],
  failing: ['bad', '✕', 'a part of it fails'],
};

const NOTHING_FOUND = ['off', '○', 'it was read, and the source was empty'];
const GAP = ['gap', '∅', 'never harvested: no window covers it'];

/** What the signs mean. */
export const legend = () => [
  h('ul', { class: 'legend calendar-legend' }, Object.entries(SIGNS).map(legendLine)),
  h('ul', { class: 'legend calendar-others' }, Object.entries({ empty: NOTHING_FOUND, gap: GAP }).map(legendLine)),
];

const legendLine = ([state, [tone, sign, said]]) =>
  h(
    'li',
    { key: state },
    h('span', { class: `cell key ${tone}`, 'aria-hidden': 'true' }, sign),
    h('strong', null, words(state)),
    `— ${said}`,
  );

/** The windows by day, with every hour between the first and the last of them. */
export function calendar(all, query) {
  // Where only some windows are asked for, an hour without one may have others.
  const isWhole = !query.state && !query.migrationId;
  const days = byDay(all);
  const first = all.find((one) => String(one.id) === query.window) ?? days[0].hours.flat().at(-1);
  return h(
    'div',
    { class: 'days', onkeydown: moveBetweenCells },
    h(
      'div',
      { class: 'calendar-day head', 'aria-hidden': 'true' },
      h('span', null, 'Day'),
      h(
        'div',
        { class: 'calendar-hours' },
        Array.from({ length: HOURS }, (_, hour) =>
          h('span', null, hour % 3 === 0 ? two(hour) : ''),
        ),
      ),
    ),
    days.map(({ date, hours }, place) => [
      place > 0 ? daysBetween(date, days[place - 1].date, all, isWhole) : null,
      h(
        'div',
        { class: 'calendar-day', key: date },
        h('div', { class: 'row apart' }, h('strong', null, date), stateBadge(worst(hours.flat()))),
        h(
          'div',
          { class: 'calendar-hours', role: 'group', 'aria-label': `Windows of ${date}` },
          hours.map((inHour, hour) => hourOf(date, hour, inHour, { query, first, all, isWhole })),
        ),
      ),
    ]),
  );
}

function hourOf(date, hour, inHour, { query, first, all, isWhole }) {
  if (inHour.length === 0)
    return h('span', { class: 'hour', key: hour }, hourWithout(`${date} ${two(hour)}`, { query, all, isWhole }));
  return h(
    'span',
    { class: inHour.length > TALL_MAX ? 'hour many' : 'hour', key: hour },
    inHour.map((one) => cellOf(one, query, one === first)),
  );
}

function cellOf(one, query, isEntry) {
  const [tone, sign, said] = signOf(one);
  const text = `${time(one.from).slice(0, 16)}, ${one.kind}: ${words(one.state)} — ${said}; ${count(one.found)} found`;
  return h(
    'a',
    {
      key: one.id,
      class: `cell ${tone}`,
      href: link('/windows', { ...query, window: one.id }),
      title: text,
      'aria-label': text,
      // One stop for the tab key; arrow keys do the rest.
      tabindex: isEntry ? '0' : '-1',
      'aria-current': String(one.id) === query.window ? 'true' : undefined,
    },
    sign,
  );
}

// No window begins in this hour: an earlier one reaches into it, or it was never harvested.
function hourWithout(hour, { query, all, isWhole }) {
  const reaches = all.find((one) => time(one.from) < `${hour}:59:59` && time(one.to) > `${hour}:00:00`);
  if (reaches) {
    const text = `${hour}:00: in the window from ${time(reaches.from).slice(0, 16)}: ${signOf(reaches)[2]}`;
    return h(
      'a',
      {
        class: 'cell rest',
        href: link('/windows', { ...query, window: reaches.id }),
        title: text,
        'aria-label': text,
        tabindex: '-1',
      },
      '·',
    );
  }
  const isBetween = all.some((one) => time(one.from) < hour) && all.some((one) => time(one.from) > hour);
  return isWhole && isBetween
    ? h('span', { class: 'cell gap', title: `${hour}:00: ${GAP[2]}` }, GAP[1])
    : h('span', { class: 'cell nothing', title: `${hour}:00: no window on this page` });
}

// The days between two days with windows, in one line.
function daysBetween(older, newer, all, isWhole) {
  const [from, to] = [dayAfter(older, 1), dayAfter(newer, -1)];
  if (from > to) return null;
  const reaches = all.find((one) => time(one.from).slice(0, 10) < from && time(one.to).slice(0, 10) > to);
  const said = reaches ? signOf(reaches)[2] : isWhole ? GAP[2] : 'no window on this page';
  return h(
    'div',
    { class: 'calendar-day between', key: `${from}–${to}` },
    h('strong', null, from === to ? from : `${from} – ${to}`),
    h('span', { class: 'small muted' }, said),
  );
}

const dayAfter = (date, days) => new Date(Date.parse(date) + days * DAY_MS).toISOString().slice(0, 10);
const two = (hour) => String(hour).padStart(2, '0');

// A window that found nothing says so, unless there is something worse to say.
const signOf = (one) =>
  one.found === 0 && ['verified', 'complete'].includes(one.state)
    ? NOTHING_FOUND
    : (SIGNS[one.state] ?? ['wait', '?', 'this page is older than the API']);

function moveBetweenCells(event) {
  const cells = [...event.currentTarget.querySelectorAll('a.cell')];
  const here = cells.indexOf(event.target);
  if (here < 0) return;
  const to = {
    ArrowRight: here + 1,
    ArrowLeft: here - 1,
    Home: 0,
    End: cells.length - 1,
    ArrowDown: below(cells, here, 1),
    ArrowUp: below(cells, here, -1),
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  cells[Math.min(cells.length - 1, Math.max(0, to))]?.focus();
}

// The nearest cell of the next line, by where it stands.
function below(cells, here, way) {
  const from = cells[here].getBoundingClientRect();
  const others = cells
    .map((cell, place) => ({ place, box: cell.getBoundingClientRect() }))
    .filter(({ box }) => (way > 0 ? box.top >= from.bottom : box.bottom <= from.top))
    .map(({ place, box }) => ({ place, far: Math.abs(box.top - from.top) * 1000 + Math.abs(box.left - from.left) }))
    .sort((one, other) => one.far - other.far);
  return others[0]?.place ?? here;
}

// The API's days are UTC; people may want their own.
function byDay(all) {
  const days = new Map();
  for (const one of all) {
    const start = time(one.from);
    const date = start.slice(0, 10);
    if (!days.has(date))
      days.set(
        date,
        Array.from({ length: HOURS }, () => []),
      );
    days.get(date)[Number(start.slice(11, 13))].push(one);
  }
  return [...days].map(([date, hours]) => ({ date, hours })).sort((one, other) => other.date.localeCompare(one.date));
}

const WORST_FIRST = Object.keys(SIGNS).reverse();
const worst = (all) => WORST_FIRST.find((state) => all.some((one) => one.state === state));
