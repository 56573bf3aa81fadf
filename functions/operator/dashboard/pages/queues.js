// Queues: what waits in SQS, who takes from it, who works at this moment, and probes that go through it all.

import { get } from '../api.js';
import { actButton, lookOnly } from '../act.js';
import { h } from '../element.js';
import { badge, stateBadge } from '../badge.js';
import { throughputChart } from '../chart.js';
import { at, since } from '../clock.js';
import { tile, tiles } from '../facts.js';
import { choiceField, textField } from '../field.js';
import { between, count, counted, duration, milliseconds, rate, shortId, words } from '../format.js';
import { empty, note, panel, problemNote } from '../panel.js';
import { allowed, forget, seldom } from '../slow.js';
import { pager, table } from '../table.js';
import { consumersPart } from '../consumers.js';

const PROBES_SHOWN = 20;

const SLOW_EVERY_MS = 15_000;
const MINUTE_SECS = 60;
const NAMES = {
  batches: 'batches',
  batchesPriority: 'batches-priority',
  batchesDeadLetters: 'dead-letters',
  batchesPriorityDeadLetters: 'dead-letters-priority',
};
const LETTERS = ['dead-letters', 'dead-letters-priority'];

export const queues = {
  path: '/queues',
  everyMs: 5_000,
  title: () => 'Queues',
  lead: () => 'Messages in queues are hints: the ledger decides. A queue can be purged and is filled again from it.',
  load: async (visit) => {
    const [monitoring, workers, health, consumers] = await Promise.all([
      get('/queue/monitoring', {}, visit.signal),
      allowed(get('/queue/workers/stats', { cursor: visit.query.cursor }, visit.signal)),
      seldom(visit, 'health', SLOW_EVERY_MS, () => get('/queue/health', {}, visit.signal)),
      seldom(visit, 'consumers', SLOW_EVERY_MS, () => get('/queue/consumers/status', {}, visit.signal)),
    ]);
    return { monitoring, workers, health, consumers };
  },
  view: (visit) => {
    const { monitoring, health } = visit.data;
    return [
      health.problem ? problemNote(health.problem, { title: 'The health of the queues is unknown' }) : illness(health),
      numbers(monitoring),
      lookOnly(),
      depths(visit),
      panel(
        { title: 'Throughput', aside: 'archived, last hour' },
        throughputChart(perMinute(monitoring.rates), 'Throughput of the last hour', visit),
      ),
      consumersPart(again(visit), visit.data.consumers),
      workersPart(visit),
      probes(visit),
    ];
  },
};

// A change of triggers is looked at anew, whatever was known of them.
const again = (visit) => ({
  ...visit,
  refresh: () => {
    forget(visit);
    return visit.refresh();
  },
});

function illness({ checks }) {
  const ill = (checks ?? []).filter((check) => check.status !== 'up');
  if (ill.length === 0) return null;
  const isDown = ill.some((check) => check.status === 'down');
  return note(
    { tone: isDown ? 'bad' : 'warn', title: 'Not as it should be' },
    ill.map((check) =>
      h('p', { key: check.check }, h('strong', null, words(check.check)), `: ${check.reason ?? check.status}`),
    ),
  );
}

function numbers({ queues: depth, attempts, rates, oldestUnsent }) {
  const waiting = (depth.batches?.waiting ?? 0) + (depth.batchesPriority?.waiting ?? 0);
  const dead = (depth.batchesDeadLetters?.waiting ?? 0) + (depth.batchesPriorityDeadLetters?.waiting ?? 0);
  return tiles(
    tile({ name: 'Waiting', figure: count(waiting), beside: 'messages of both lanes' }),
    tile({
      name: 'Workers',
      figure: count(attempts.inFlight),
      beside: attempts.oldestSince ? ['the oldest began ', since(attempts.oldestSince)] : 'none at this moment',
    }),
    tile({
      name: 'Overdue',
      figure: count(attempts.overdue),
      tone: attempts.overdue ? 'bad' : undefined,
      beside: 'their lease is over',
    }),
    tile({
      name: 'Rate',
      figure: rate(rates.messagesPerMinute / MINUTE_SECS),
      beside: `${rates.batchesPerMinute.toFixed(1)} batches a minute`,
    }),
    tile({
      name: 'Dead letters',
      figure: count(dead),
      tone: dead ? 'bad' : undefined,
      beside: dead ? 'look, then redrive' : 'none',
    }),
    tile({
      name: 'Oldest unsent',
      figure: oldestUnsent ? duration(oldestUnsent.ageSeconds) : 'none',
      tone: oldestUnsent?.ageSeconds > 5 * MINUTE_SECS ? 'warn' : undefined,
      beside: oldestUnsent
        ? h('a', { href: `#/batches/${oldestUnsent.batchId}` }, `batch ${oldestUnsent.batchId}`)
        : 'everything due was sent',
    }),
  );
}

const perMinute = (rates) => ({ bucketSeconds: MINUTE_SECS, buckets: rates.perMinute ?? [] });

function depths(visit) {
  const { queues: depth } = visit.data.monitoring;
  const rows = Object.entries(NAMES)
    .filter(([key]) => depth[key])
    .map(([key, name]) => ({ name, ...depth[key] }));
  const held = rows.reduce((sum, row) => sum + row.waiting + row.inFlight + row.delayed, 0);
  return panel(
    { title: 'Depths', flush: true, acts: [redrive(visit), purgeAll(visit, held)] },
    table({
      caption: 'What the queues hold, as SQS counts it',
      rows,
      key: (row) => row.name,
      columns: [
        { name: 'Queue', head: true, cell: (row) => h('code', null, row.name) },
        { name: 'Waiting', kind: 'number', cell: (row) => count(row.waiting) },
        { name: 'In flight', kind: 'number', cell: (row) => count(row.inFlight) },
        { name: 'Delayed', kind: 'number', cell: (row) => count(row.delayed) },
        { name: 'Acts', cell: (row) => purge(visit, row) },
      ],
    }),
  );
}

function purge(visit, row) {
  return actButton(visit, {
    label: 'Purge',
    small: true,
    title: `Purge ${row.name}?`,
    explain: h(
      'p',
      null,
      LETTERS.includes(row.name)
        ? 'Its messages are gone for good. The batches they were about stay in the ledger.'
        : 'Its messages are gone; their batches are put back to unsent, and are sent again.',
    ),
    path: `/queue/purge/${row.name}`,
    body: { confirm: row.name },
    foretell: foretoldPurge,
    danger: true,
    typed: row.name,
    done: donePurge,
  });
}

const purgeAll = (visit, held) =>
  actButton(visit, {
    label: 'Purge all',
    small: true,
    title: 'Purge all four queues?',
    explain: h('p', null, `${counted(held, 'message')} would go, and every batch that waits is put back to unsent.`),
    path: '/queue/purge-all',
    body: { confirm: 'purge-all' },
    foretell: foretoldPurge,
    danger: true,
    typed: 'purge-all',
    done: donePurge,
  });

const foretoldPurge = ({ purged, batchesPutBack }) => [
  h(
    'ul',
    null,
    purged.map((one) => h('li', { key: one.queue }, `${one.queue}: ${counted(one.held, 'message')}`)),
  ),
  h('p', null, `${counted(batchesPutBack, 'batch', 'batches')} would be put back to unsent.`),
];
const donePurge = ({ batchesPutBack, isComplete }) =>
  `Purged; ${counted(batchesPutBack, 'batch', 'batches')} put back to unsent.${isComplete ? '' : ' Ask again for the rest.'}`;

const redrive = (visit) =>
  actButton(visit, {
    label: 'Redrive dead letters',
    small: true,
    title: 'Redrive the dead letters?',
    explain: h(
      'p',
      null,
      'They go back to the queue they came from. What made them dead letters should be mended first: the alerts say what it was.',
    ),
    path: '/queue/retry-dlq',
    body: ({ queue, ratePerSecond }) => ({ queue, ratePerSecond }),
    fields: [
      () =>
        choiceField({
          name: 'queue',
          label: 'Which',
          place: 'dialog',
          value: '',
          options: [['', 'both'], ...LETTERS.map((name) => [name, name])],
        }),
      ({ fault }) =>
        textField({
          name: 'ratePerSecond',
          label: 'Messages a second at most',
          place: 'dialog',
          value: '100',
          inputmode: 'numeric',
          fault: fault('ratePerSecond'),
        }),
    ],
    foretell: ({ found, queues: some }) => [
      h('p', null, `${counted(found, 'message')} would be sent again.`),
      h(
        'ul',
        null,
        (some ?? []).map((one) => h('li', { key: one.queue }, `${one.queue} → ${one.to}: ${count(one.found)}`)),
      ),
    ],
    done: ({ moved, isComplete }) =>
      moved === null
        ? 'SQS moves them now.'
        : `${counted(moved, 'message')} sent again.${isComplete ? '' : ' There are more: ask again.'}`,
  });

function workersPart(visit) {
  const { workers } = visit.data;
  if (workers.problem) return problemNote(workers.problem, { title: 'The workers can’t be listed' });
  const { counter } = workers;
  const counts = ['completed', 'failed', 'deferred', 'handed_back', 'reaped', 'cancelled'].filter(
    (name) => counter?.[name],
  );
  return panel(
    {
      title: 'Workers',
      aside: 'attempts in flight',
      flush: true,
      acts: [
        actButton(visit, {
          label: 'Reset counter',
          small: true,
          title: 'Count attempts from now on?',
          explain: h('p', null, 'Only this counter begins anew; the attempts stay on record.'),
          path: '/queue/workers/reset-counter',
          foretell: ({ before }) =>
            h('p', null, `${counted(before.total, 'attempt')} since `, at(before.since), ' would be left out.'),
          done: () => 'The counter begins anew.',
        }),
      ],
    },
    h(
      'p',
      { class: 'aside inset' },
      'Since ',
      at(counter?.since),
      `: ${counted(counter?.total, 'attempt')}${counts.length ? ` (${counts.map((name) => `${count(counter[name])} ${words(name)}`).join(', ')})` : ''}.`,
    ),
    table({
      caption: 'Attempts in flight',
      rows: workers.workers,
      key: (worker) => `${worker.batchId}/${worker.fence}`,
      nothing: empty('Nobody works at this moment'),
      columns: [
        {
          name: 'Batch',
          head: true,
          cell: (worker) => h('a', { href: `#/batches/${worker.batchId}` }, String(worker.batchId)),
        },
        { name: 'Attempt', kind: 'number', cell: (worker) => count(worker.attempt) },
        { name: 'Messages', kind: 'number', cell: (worker) => count(worker.messages) },
        { name: 'For', kind: 'number', cell: (worker) => duration(between(worker.since)) },
        { name: 'Lease', cell: (worker) => (worker.isOverdue ? badge('over', 'bad') : since(worker.leaseUntil)) },
        { name: 'Worker', kind: 'text', cell: (worker) => h('span', { class: 'mono small' }, worker.worker) },
      ],
    }),
    pager(workers.nextCursor, workers.workers.length),
  );
}

function probes(visit) {
  const lane = () =>
    choiceField({
      name: 'queue',
      label: 'Queue',
      place: 'dialog',
      value: 'batches',
      options: [
        ['batches', 'batches'],
        ['batches-priority', 'batches-priority'],
      ],
    });
  const done = ({ sent, failed }) =>
    `${counted(sent, 'probe')} sent${failed?.length ? `, ${failed.length} failed` : ''}.`;
  return panel(
    {
      title: 'Probes',
      aside: 'test messages that go through the queue and come back',
      flush: true,
      acts: [
        actButton(visit, {
          label: 'Send one',
          small: true,
          title: 'Send a probe?',
          explain: h('p', null, 'An exporter acknowledges it and says so. No batch is touched.'),
          path: '/queue/test-publish',
          fields: [lane],
          done,
        }),
        actButton(visit, {
          label: 'Send some',
          small: true,
          title: 'Send probes?',
          path: '/queue/test-batch',
          fields: [
            lane,
            ({ fault }) =>
              textField({
                name: 'count',
                label: 'How many, up to 100',
                place: 'dialog',
                value: '10',
                inputmode: 'numeric',
                fault: fault('count'),
              }),
          ],
          done,
        }),
      ],
    },
    table({
      caption: 'The newest probes',
      rows: (visit.data.monitoring.probes ?? []).slice(0, PROBES_SHOWN),
      key: (probe) => probe.probeId,
      nothing: empty('No probe was sent lately', 'A probe shows whether queue, trigger and exporter hang together.'),
      columns: [
        { name: 'Sent', cell: (probe) => at(probe.sentAt) },
        {
          name: 'Probe',
          head: true,
          cell: (probe) => h('span', { class: 'mono small nowrap' }, `…${shortId(probe.probeId)}`),
        },
        { name: 'Queue', cell: (probe) => h('code', null, probe.queue) },
        { name: 'Status', cell: (probe) => stateBadge(probe.status) },
        { name: 'There and back', kind: 'number', cell: (probe) => milliseconds(probe.roundTripMs) },
        {
          name: 'Worker',
          kind: 'text',
          cell: (probe) => (probe.worker ? h('span', { class: 'mono small' }, probe.worker) : '–'),
        },
      ],
    }),
  );
}
