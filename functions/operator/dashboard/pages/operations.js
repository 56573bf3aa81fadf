// Long jobs: those that are under way, and one with its progress and what it came to.

import { actButton } from '../act.js';
import { get } from '../api.js';
import { h } from '../element.js';
import { stateBadge } from '../badge.js';
import { at, range, since } from '../clock.js';
import { facts } from '../facts.js';
import { filterChoice, filters, noneFound } from '../field.js';
import { between, capital, count, duration, label, percent } from '../format.js';
import { progressBar } from '../meter.js';
import { note, panel } from '../panel.js';
import { segment } from '../router.js';
import { pager, table } from '../table.js';
import { report } from '../report.js';

const STATES = ['waiting', 'running', 'succeeded', 'failed', 'cancelled'];
// The jobs of `shared/operations`, and the restart of the consumers, which is the operator's own.
const KINDS = ['verify', 'sweep', 'purge', 're_export', 'bulk', 'adopt', 'rebuild', 'seed', 'clear', 'consumers.restart'];
const LOOK_MS = 2_000;

export const operations = {
  path: '/operations',
  everyMs: 5_000,
  title: () => 'Long jobs',
  lead: () => 'What takes longer than a request may: worked on in slices by the reaper’s ticks, and by whoever looks.',
  load: ({ query, signal }) =>
    get('/operations', { kind: query.kind, state: query.state, cursor: query.cursor }, signal),
  view: ({ data, query }) => [
    filters(
      query,
      filterChoice(query, 'state', 'State', [['', 'any'], ...STATES.map((state) => [state, state])]),
      filterChoice(query, 'kind', 'Kind', [['', 'any'], ...KINDS.map((kind) => [kind, label(kind)])]),
    ),
    panel(
      { title: 'Jobs', aside: 'the newest first', flush: true },
      list(data.operations, query),
      pager(data.nextCursor, data.operations.length),
    ),
  ],
};

const list = (rows, query) =>
  table({
    caption: 'Long jobs, the newest first',
    rows,
    key: (one) => one.operationId,
    nothing: noneFound(query, 'No long jobs', 'Verifications, sweeps, purges and large changes appear here.'),
    columns: [
      {
        name: 'Job',
        head: true,
        cell: (one) => h('a', { href: `#/operations/${segment(one.operationId)}` }, label(one.kind)),
      },
      { name: 'State', cell: (one) => stateBadge(one.state) },
      { name: 'By', cell: (one) => one.requestedBy },
      { name: 'Asked for', cell: (one) => at(one.createdAt) },
      { name: 'Moved last', cell: (one) => since(one.updatedAt) },
      {
        name: 'Took',
        kind: 'number',
        cell: (one) => (one.finishedAt ? duration(between(one.createdAt, one.finishedAt)) : '–'),
      },
      { name: 'Error', kind: 'text', cell: (one) => one.error ?? '–' },
    ],
  });

export const operation = {
  path: '/operations/:id',
  room: '/operations',
  above: ['/operations', 'Long jobs'],
  everyMs: LOOK_MS,
  title: ({ data }) => (data ? `${capital(label(data.operation.kind))}` : 'Long job'),
  lead: ({ data, params }) =>
    data ? ['Asked for ', since(data.operation.createdAt), ` by ${data.operation.requestedBy}.`] : params.id,
  load: ({ params, signal }) => get(`/operations/${segment(params.id)}`, {}, signal),
  acts: (visit) => cancelButton(visit),
  view: ({ data }) => {
    const { operation: one } = data;
    return [
      one.error
        ? note(
            {
              tone: one.state === 'failed' ? 'bad' : 'warn',
              title: one.state === 'failed' ? 'It was given up' : 'Its last slice failed; the next one tries again',
            },
            h('p', null, one.error),
          )
        : null,
      isOver(one) ? null : underWay(one),
      one.kind === 'verify' ? report(one) : plainResult(one),
      panel(
        { title: 'About it' },
        facts([
          ['State', stateBadge(one.state)],
          ['Id', h('span', { class: 'mono' }, one.id)],
          ['Asked for', at(one.createdAt)],
          ['Moved last', at(one.updatedAt)],
          ['Ended', one.finishedAt ? at(one.finishedAt) : undefined],
          ['Took', one.finishedAt ? duration(between(one.createdAt, one.finishedAt)) : undefined],
          ['What exactly', h('pre', { class: 'source' }, JSON.stringify(one.arguments, null, 2)), 'wide'],
        ]),
      ),
    ];
  },
};

const isOver = (one) => ['succeeded', 'failed', 'cancelled'].includes(one.state);

function cancelButton(visit) {
  const { operation: one } = visit.data;
  const isRestart = one.kind === 'consumers.restart';
  return actButton(visit, {
    label: 'Cancel it',
    title: 'Cancel this job?',
    explain: h('p', null, 'What it has done stays done. A step in hand comes to its end, and no other begins.'),
    path: `/operations/${segment(one.id)}`,
    foretell: ({ message }) => h('p', null, message),
    danger: true,
    act: 'Cancel the job',
    disabled: isOver(one) || isRestart,
    why: isRestart ? 'A restart of the consumers must come to its end.' : `It is ${one.state}.`,
  });
}

function underWay(one) {
  const percentage = one.progress?.percent;
  const scope = one.progress?.scope?.range;
  return panel(
    { title: 'Under way', aside: stateBadge(one.state) },
    percentage === undefined
      ? null
      : [
          progressBar(percentage, 'Progress'),
          h('p', { class: 'small muted' }, percent(percentage), scope ? [' of ', range(scope.from, scope.to)] : ''),
        ],
    one.progress && percentage === undefined
      ? h('pre', { class: 'source' }, JSON.stringify(one.progress, null, 2))
      : null,
    one.progress ? null : h('p', { class: 'muted' }, 'Nobody has begun with it; the reaper does within a minute.'),
  );
}

// Results of other jobs are counts and short lists: shown as they are, named as people read them.
function plainResult(one) {
  if (!one.result) return null;
  const simple = Object.entries(one.result).filter(([, value]) => value === null || typeof value !== 'object');
  const nested = Object.fromEntries(
    Object.entries(one.result).filter(([, value]) => value !== null && typeof value === 'object'),
  );
  return panel(
    { title: 'What it came to' },
    facts(
      simple.map(([name, value]) => [
        label(name),
        typeof value === 'number' ? count(value) : value === null ? null : String(value),
      ]),
    ),
    Object.keys(nested).length
      ? h(
          'pre',
          { class: 'source', tabindex: '0', 'aria-label': 'More of the result' },
          JSON.stringify(nested, null, 2),
        )
      : null,
  );
}
