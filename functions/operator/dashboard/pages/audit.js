// The audit: who did what, why, and what it changed.

import { get } from '../api.js';
import { h } from '../element.js';
import { at } from '../clock.js';
import { filterText, filters, instantOf, noneFound } from '../field.js';
import { label, shortId } from '../format.js';
import { panel } from '../panel.js';
import { pager, table } from '../table.js';

const SHOWN_CHARS_MAX = 160;

export const audit = {
  path: '/audit',
  everyMs: 15_000,
  title: () => 'Audit',
  lead: () => 'Every change, written down before its answer was given.',
  load: ({ query, signal }) =>
    get(
      '/audit',
      {
        who: query.who,
        action: query.action,
        from: instantOf(query.from),
        to: instantOf(query.to),
        cursor: query.cursor,
      },
      signal,
    ),
  view: ({ data, query }) => [
    filters(
      query,
      filterText(query, 'action', 'Action', { placeholder: 'migrate.retry_failed', class: 'input wide' }),
      filterText(query, 'who', 'Who', { placeholder: 'ada' }),
      filterText(query, 'from', 'From (UTC)', { placeholder: '2026-11-22' }),
      filterText(query, 'to', 'Before (UTC)', { placeholder: '2026-11-23' }),
    ),
    panel(
      { title: 'Changes', aside: 'the newest first', flush: true },
      table({
        caption: 'Changes, the newest first',
        rows: data.entries,
        key: (entry) => entry.id,
        nothing: noneFound(query, 'No changes', 'What people and the clock change is written down here.'),
        columns: [
          { name: 'When', cell: (entry) => [at(entry.at), request(entry)] },
          { name: 'Action', head: true, cell: (entry) => h('code', null, entry.action) },
          { name: 'Who', cell: (entry) => [entry.who, address(entry)] },
          { name: 'Asked for', kind: 'text', cell: (entry) => members(asked(entry)) },
          { name: 'What changed', kind: 'text', cell: (entry) => effect(entry.effect) },
          { name: 'Why', kind: 'text', cell: (entry) => entry.reason ?? '–' },
        ],
      }),
      pager(data.nextCursor, data.entries.length),
    ),
  ],
};

const address = (entry) => (entry.address ? h('p', { class: 'aside nowrap' }, 'from ', entry.address) : null);

// Under this number the log has the request.
const request = ({ requestId }) =>
  requestId
    ? h('p', { class: 'aside nowrap', title: requestId }, 'request ', h('code', null, `…${shortId(requestId)}`))
    : null;

// The reason has a column of its own.
function asked({ arguments: given }) {
  const { reason: _, ...rest } = given ?? {};
  return rest;
}

// Before and after stand side by side, name by name; whatever else there is follows.
function effect(of) {
  if (!of || Object.keys(of).length === 0) return '–';
  const { before, after, ...rest } = of;
  if (!isPlain(before) || !isPlain(after)) return members(of);
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return h(
    'div',
    { class: 'diff' },
    names.map((name) =>
      h(
        'span',
        { key: name },
        h('span', { class: 'name' }, `${label(name)}: `),
        shown(before[name]),
        ' → ',
        h('strong', null, shown(after[name])),
      ),
    ),
    Object.keys(rest).length ? members(rest) : null,
  );
}

function members(of) {
  const named = Object.entries(of ?? {}).filter(([, value]) => value !== null && value !== undefined);
  if (named.length === 0) return '–';
  return h(
    'div',
    { class: 'diff' },
    named.map(([name, value]) =>
      h('span', { key: name, class: 'wrap' }, h('span', { class: 'name' }, `${label(name)}: `), shown(value)),
    ),
  );
}

const isPlain = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

function shown(value) {
  const text = inWords(value);
  return text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…` : text;
}

function inWords(value) {
  if (value === undefined || value === null) return 'none';
  if (Array.isArray(value)) return value.length ? value.map(inWords).join(', ') : 'none';
  if (!isPlain(value)) return String(value);
  return Object.entries(value)
    .map(([name, inner]) => `${label(name)} ${inWords(inner)}`)
    .join(', ');
}
