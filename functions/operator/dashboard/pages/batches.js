// Batches, by filters that live in the address.

import { get } from '../api.js';
import { h } from '../element.js';
import { batchBadge } from '../badge.js';
import { since } from '../clock.js';
import { filterChoice, filterText, filters, instantOf, noneFound } from '../field.js';
import { CAUSES } from '../causes.js';
import { bytes, count, counted, milliseconds, shortId, time, words } from '../format.js';
import { panel } from '../panel.js';
import { segment } from '../router.js';
import { pager, table } from '../table.js';

const STATUSES = ['pending', 'processing', 'success', 'failed', 'parked', 'cancelled'];
const KINDS = ['continuous', 'backfill', 'selection'];

export const batches = {
  path: '/batches',
  everyMs: 5_000,
  title: () => 'Batches',
  lead: () => 'Up to a batch’s size of messages of one hour: one object in the archive.',
  load: ({ query, signal }) => {
    const { status, jobType, parentJobId, cause, cursor } = query;
    return get(
      '/migrate/jobs',
      { status, jobType, parentJobId, cause, from: instantOf(query.from), to: instantOf(query.to), cursor },
      signal,
    );
  },
  view: ({ data, query }) => [
    filters(
      query,
      filterChoice(query, 'status', 'Status', [['', 'any'], ...STATUSES.map((status) => [status, status])]),
      filterChoice(query, 'jobType', 'Kind of migration', [['', 'any'], ...KINDS.map((kind) => [kind, kind])]),
      filterChoice(query, 'cause', 'Cause', [['', 'any'], ...CAUSES.map((cause) => [cause, words(cause)])]),
      filterText(query, 'from', 'Hours from (UTC)', { placeholder: '2026-11-22' }),
      filterText(query, 'to', 'Before (UTC)', { placeholder: '2026-11-23' }),
      filterText(query, 'parentJobId', 'Migration', { placeholder: 'uuid' }),
    ),
    panel(
      { title: 'Batches', aside: 'the newest number first', flush: true },
      batchTable(data.jobs, query),
      pager(data.nextCursor, data.jobs.length),
    ),
  ],
};

const batchTable = (rows, query) =>
  table({
    caption: 'Batches, the newest first',
    rows,
    key: (batch) => batch.id,
    nothing: noneFound(query, 'No batches', 'The harvester makes them of what it finds at the source.'),
    columns: [
      { name: 'Batch', head: true, cell: (batch) => h('a', { href: `#/batches/${batch.id}` }, String(batch.id)) },
      { name: 'Status', cell: batchBadge },
      { name: 'Hour', cell: (batch) => h('span', { class: 'nowrap' }, time(batch.hour).slice(0, 16)) },
      { name: 'Messages', kind: 'number', cell: (batch) => count(batch.messages) },
      { name: 'Attempts', kind: 'number', cell: attempts },
      { name: 'Stored', kind: 'number', cell: (batch) => (batch.object ? bytes(batch.object.bytesStored) : '–') },
      {
        name: 'Cause',
        kind: 'text',
        cell: (batch) =>
          batch.errorCode
            ? h(
                'span',
                { class: 'clamp', title: batch.error ?? '' },
                h('strong', null, words(batch.errorCode)),
                batch.error ? `: ${batch.error}` : '',
              )
            : '–',
      },
      { name: 'Settled', cell: (batch) => settledOr(batch) },
      {
        name: 'Migration',
        cell: (batch) =>
          h(
            'a',
            { class: 'nowrap', href: `#/migrations/${segment(batch.migrationId)}` },
            `…${shortId(batch.migrationId)}`,
          ),
      },
    ],
  });

// How often it was tried, how long the last attempt took or has taken so far, and how often people gave it new ones.
const attempts = ({ attempts: number, retryCount, processingDuration: took, status }) => [
  count(number),
  took === null
    ? null
    : h('p', { class: 'aside' }, `${status === 'processing' ? 'for' : 'last:'} ${milliseconds(took)}`),
  retryCount ? h('p', { class: 'aside' }, `after ${counted(retryCount, 'retry', 'retries')}`) : null,
];

function settledOr({ status, settledAt, notBefore }) {
  if (settledAt) return since(settledAt);
  return notBefore && status !== 'success' ? ['tried again ', since(notBefore)] : '–';
}
