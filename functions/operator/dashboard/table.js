// Tables: rows under named columns; cards where there is no room for columns.
//
// The roles are written out because a table that is laid out as cards would lose them.

import { h } from './element.js';
import { link, whereabouts } from './router.js';
import { empty } from './panel.js';

/**
 * columns: [{name, cell(row), kind: 'number' | 'text' | undefined, head: true for the one that names the row}, …].
 * The caption is read out; `shown` also draws it.
 */
export function table({ caption, shown, columns, rows, key, nothing, cards = true }) {
  if (rows.length === 0) return nothing ?? empty('Nothing here');
  return h(
    'div',
    { class: 'scroller', tabindex: '0', role: 'region', 'aria-label': caption },
    h(
      'table',
      { class: cards ? 'cards' : undefined, role: 'table' },
      h('caption', { class: shown ? undefined : 'hidden-text' }, caption),
      h(
        'thead',
        { role: 'rowgroup' },
        h(
          'tr',
          { role: 'row' },
          columns.map((column) => h('th', { scope: 'col', role: 'columnheader', class: kindOf(column) }, column.name)),
        ),
      ),
      h(
        'tbody',
        { role: 'rowgroup' },
        rows.map((row, place) =>
          h(
            'tr',
            { key: key ? key(row) : place, role: 'row' },
            columns.map((column) => cell(column, row)),
          ),
        ),
      ),
    ),
  );
}

function cell(column, row) {
  const content = column.cell(row);
  const isBare = content === '–' || content === null || content === undefined || content === '';
  const attributes = {
    'data-label': column.name,
    class: `${kindOf(column) ?? ''}${isBare ? ' bare' : ''}`.trim() || undefined,
  };
  // One element around it, since a card lays a cell out in two columns.
  const inside = h('div', null, isBare ? '–' : content);
  return column.head
    ? h('th', { ...attributes, scope: 'row', role: 'rowheader' }, inside)
    : h('td', { ...attributes, role: 'cell' }, inside);
}

const kindOf = ({ kind }) => ({ number: 'number', text: 'text-cell' })[kind];

/** Onwards and back to the start of a list. Where a list was entered in its middle, back is the browser's. */
export function pager(nextCursor, rows) {
  const { path, query } = whereabouts();
  if (!nextCursor && !query.cursor) return null;
  return h(
    'nav',
    { class: 'pager', 'aria-label': 'Pages of the list' },
    query.cursor
      ? h('a', { class: 'button small', href: link(path, { ...query, cursor: undefined }) }, 'First page')
      : h('span'),
    h('span', { class: 'aside' }, `${rows} on this page`),
    nextCursor
      ? h('a', { class: 'button small', href: link(path, { ...query, cursor: nextCursor }) }, 'Next page')
      : h('span', { class: 'aside' }, 'End of the list'),
  );
}
