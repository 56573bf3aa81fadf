// Migrations: the continuous one, the backfills and the selections, with how far each is.

import { get } from '../api.js';
import { actButton } from '../act.js';
import { backfill } from '../backfill.js';
import { h } from '../element.js';
import { stateBadge } from '../badge.js';
import { range, since } from '../clock.js';
import { filterChoice, filters, noneFound } from '../field.js';
import { count, percent, rate, shortId } from '../format.js';
import { progressBar } from '../meter.js';
import { panel } from '../panel.js';
import { segment } from '../router.js';
import { allowed } from '../slow.js';
import { pager, table } from '../table.js';
import { endOf } from './migration.js';

// Each costs a count over its range: enough for those that a person watches at once.
const WATCHED_MAX = 8;

export const migrations = {
  path: '/migrations',
  everyMs: 5_000,
  title: () => 'Migrations',
  lead: () => 'A message belongs to the source; a migration asks for it. Two may overlap: nothing is exported twice.',
  acts: (visit) => actButton(visit, backfill()),
  load: async (visit) => {
    const { status, kind, cursor } = visit.query;
    const answer = await get('/migrate', { status, kind, cursor }, visit.signal);
    const going = answer.migrations.filter((one) => !one.finishedAt).slice(0, WATCHED_MAX);
    const looks = await Promise.all(
      going.map((one) => allowed(get(`/migrate/status/${segment(one.id)}`, {}, visit.signal))),
    );
    const statuses = new Map(going.map((one, place) => [one.id, looks[place]]));
    return {
      ...answer,
      rows: answer.migrations.map((one) => ({ ...one, ...howFar(one, statuses.get(one.id)) })),
    };
  },
  view: ({ data, query }) => [
    filters(
      query,
      filterChoice(query, 'status', 'State', [
        ['', 'any'],
        ['open', 'open'],
        ['draining', 'draining'],
        ['completed', 'completed'],
        ['cancelled', 'cancelled'],
      ]),
      filterChoice(query, 'kind', 'Kind', [
        ['', 'any'],
        ['continuous', 'continuous'],
        ['backfill', 'backfill'],
        ['selection', 'selection'],
      ]),
    ),
    panel({ title: 'Migrations', flush: true }, list(data.rows, query), pager(data.nextCursor, data.rows.length)),
  ],
};

function howFar(one, status) {
  if (!status || status.problem)
    return { percentage: one.percentage ?? (one.state === 'completed' ? 100 : undefined), progress: one.progress };
  return {
    percentage: status.percentage,
    progress: status.progress,
    open: status.open,
    perSecond: status.pace?.messagesPerSecond,
    end: endOf(status),
  };
}

const list = (rows, query) =>
  table({
    caption: 'Migrations, the newest first',
    rows,
    key: (one) => one.id,
    nothing: noneFound(
      query,
      'No migrations',
      'The harvester makes the continuous one at its first tick; a backfill is yours to start.',
    ),
    columns: [
      {
        name: 'Migration',
        head: true,
        cell: (one) =>
          h('a', { class: 'nowrap', href: `#/migrations/${segment(one.id)}` }, `${one.kind} …${shortId(one.id)}`),
      },
      { name: 'State', cell: (one) => stateBadge(one.state) },
      { name: 'Archived', cell: (one) => progress(one) },
      { name: 'Left', kind: 'number', cell: (one) => (one.open === undefined ? '–' : count(one.open)) },
      { name: 'Pace', kind: 'number', cell: (one) => (one.open ? pace(one) : '–') },
      { name: 'Range', cell: (one) => range(one.from, one.to) },
      {
        name: 'Made',
        cell: (one) => [since(one.createdAt), h('p', { class: 'aside nowrap' }, `by ${one.requestedBy}`)],
      },
      { name: 'Verdict', cell: (one) => (one.verdict ? stateBadge(one.verdict) : '–') },
    ],
  });

const pace = ({ perSecond, end }) => [rate(perSecond), h('p', { class: 'aside' }, end)];

function progress(one) {
  if (one.percentage === undefined) return '–';
  return h(
    'div',
    { class: 'stack tight' },
    progressBar(one.percentage, `Archived of ${one.kind} ${shortId(one.id)}`, true),
    h('span', { class: 'small' }, percent(one.percentage)),
  );
}
