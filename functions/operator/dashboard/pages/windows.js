// Windows: hours of event time by day, each with what became of it. One is chosen by its cell; the address keeps it.

import { get } from '../api.js';
import { h } from '../element.js';
import { stateBadge } from '../badge.js';
import { at, range } from '../clock.js';
import { facts } from '../facts.js';
import { capital, count, shortId, time, words, zoneName } from '../format.js';
import { filterChoice, filterText, filters, instantOf, noneFound } from '../field.js';
import { empty, note, panel } from '../panel.js';
import { link, segment } from '../router.js';
import { pager } from '../table.js';

const LIMIT = 500;
const HOURS = 24;
// More windows of one hour than this get smaller cells.
const TALL_MAX = 3;

// What stands in a cell, so that its colour is not all there is. The states are the API's and stand as there, the best
// first; a test holds them to its document.
const SIGNS = {
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

export const windows = {
  path: '/windows',
  everyMs: 15_000,
  title: () => 'Windows',
  lead: () => `Each cell is an hour of event time (${zoneName()}). Arrow keys move from one to the next.`,
  load: ({ query, signal }) =>
    get(
      '/windows',
      {
        from: instantOf(query.from),
        to: instantOf(query.to),
        migrationId: query.migrationId,
        state: query.state,
        cursor: query.cursor,
        limit: LIMIT,
      },
      signal,
    ),
  view: ({ data, query }) => {
    const all = data.days.flatMap((day) => day.windows);
    const chosen = all.find((one) => String(one.id) === query.window);
    return [
      filters(
        query,
        filterText(query, 'from', 'From (UTC)', { placeholder: '2026-11-22' }),
        filterText(query, 'to', 'Before (UTC)', { placeholder: '2026-11-23' }),
        filterChoice(query, 'state', 'State', [
          ['', 'any'],
          ...Object.keys(SIGNS).map((state) => [state, words(state)]),
        ]),
        filterText(query, 'migrationId', 'Migration', { placeholder: 'uuid' }),
      ),
      chosen ? details(chosen) : query.window ? note({ title: 'That window is not on this page' }) : null,
      panel(
        { title: 'By day', flush: true },
        all.length === 0 ? noWindows(data, query) : [legend(), calendar(all, query)],
        pager(data.nextCursor, all.length),
      ),
    ];
  },
};

// A state is no column of the ledger: the API looks at so many windows for a page, whether or not one is in it.
const noWindows = ({ nextCursor }, query) =>
  nextCursor
    ? empty('No windows', 'None among those looked at; there are more on the next page.')
    : noneFound(query, 'No windows', 'The harvester opens one for each hour that is due.');

const legend = () =>
  h(
    'ul',
    { class: 'legend calendar-legend' },
    Object.entries(SIGNS).map(([state, [tone, sign, said]]) =>
      h(
        'li',
        { key: state },
        h('span', { class: `cell key ${tone}`, 'aria-hidden': 'true' }, sign),
        h('strong', null, words(state)),
        `— ${said}`,
      ),
    ),
  );

function calendar(all, query) {
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
          h('span', null, hour % 3 === 0 ? String(hour).padStart(2, '0') : ''),
        ),
      ),
    ),
    days.map(({ date, hours }) =>
      h(
        'div',
        { class: 'calendar-day', key: date },
        h('div', { class: 'row apart' }, h('strong', null, date), stateBadge(worst(hours.flat()))),
        h(
          'div',
          { class: 'calendar-hours', role: 'group', 'aria-label': `Windows of ${date}` },
          hours.map((inHour, hour) => hourOf(date, hour, inHour, { query, first })),
        ),
      ),
    ),
  );
}

function hourOf(date, hour, inHour, { query, first }) {
  if (inHour.length === 0)
    return h(
      'span',
      { class: 'hour', key: hour },
      h('span', { class: 'cell nothing', title: `${date} ${String(hour).padStart(2, '0')}: no window` }),
    );
  return h(
    'span',
    { class: inHour.length > TALL_MAX ? 'hour many' : 'hour', key: hour },
    inHour.map((one) => cellOf(one, query, one === first)),
  );
}

function cellOf(one, query, isEntry) {
  const [tone, sign, said] = SIGNS[one.state] ?? ['wait', '?', 'this page is older than the API'];
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

function details(one) {
  return panel(
    {
      title: `Window ${one.id}`,
      aside: range(one.from, one.to),
      acts: [h('a', { class: 'button small', href: link('/batches', { from: one.from, to: one.to }) }, 'Its batches')],
    },
    one.error ? note({ tone: 'warn', title: 'The last reading was broken off' }, h('p', null, one.error)) : null,
    differing(one),
    facts([
      ['State', stateBadge(one.state)],
      ['Harvest', stateBadge(one.harvest)],
      [
        'Migration',
        h('a', { href: `#/migrations/${segment(one.migrationId)}` }, `${one.kind} …${shortId(one.migrationId)}`),
      ],
      ['Found at the source', count(one.found)],
      ['Of these, recorded', count(one.recorded)],
      ['Adopted', count(one.adopted)],
      ['Owned elsewhere', count(one.ownedElsewhere)],
      ['Duplicates at the source', count(one.duplicates)],
      ['Without an id', count(one.withoutId)],
      ['Came late', count(one.lateMessages)],
      ['Purged', one.purged ? 'its rows were taken out of the ledger' : undefined],
      [
        'Batches',
        one.batches
          ? `${count(one.batches.all)}: ${count(one.batches.pending)} pending, ${count(one.batches.processing)} processing, ${count(one.batches.failed)} failed`
          : undefined,
      ],
      ['Parked', count(one.batches?.parked)],
      ['Messages not yet archived', count(one.openMessages)],
      ['Opened', at(one.createdAt)],
      ['Recorded at', at(one.recordedAt)],
      ['Verified at', at(one.verifiedAt)],
    ]),
  );
}

// Which messages they are is in the report; a window only knows that there are some.
function differing({ state }) {
  if (state !== 'incomplete' && state !== 'drifted') return null;
  const [tone, , said] = SIGNS[state];
  const acts = h('a', { class: 'button small', href: '#/verify' }, 'Verifications');
  const title = `${capital(words(state))} — ${said}`;
  return note({ tone, title, acts }, h('p', null, 'The report names the messages.'));
}
