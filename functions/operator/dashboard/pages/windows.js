// Windows: hours of event time by day, each with what became of it. One is chosen by its cell; the address keeps it.

import { get } from '../api.js';
import { h } from '../element.js';
import { stateBadge } from '../badge.js';
import { at, range } from '../clock.js';
import { facts } from '../facts.js';
import { capital, count, shortId, words, zoneName } from '../format.js';
import { filterChoice, filterText, filters, instantOf, noneFound } from '../field.js';
import { empty, note, panel } from '../panel.js';
import { calendar, legend, SIGNS } from './calendar.js';
import { link, segment } from '../router.js';
import { pager } from '../table.js';

const LIMIT = 500;

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
      ['Indices left out', one.leftOutIndices?.join(', ') || undefined],
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
