// One batch: what it holds, where it is, and every attempt at it along a line of time.

import { get } from '../api.js';
import { actButton } from '../act.js';
import { h } from '../element.js';
import { batchBadge, stateBadge, toneOf } from '../badge.js';
import { at, since } from '../clock.js';
import { facts } from '../facts.js';
import { bytes, count, counted, label, milliseconds, shortId, time, words } from '../format.js';
import { empty, note, panel } from '../panel.js';
import { link, segment } from '../router.js';

const HOUR_MS = 3_600_000;

export const batch = {
  path: '/batches/:id',
  room: '/batches',
  above: ['/batches', 'Batches'],
  everyMs: 5_000,
  title: ({ params }) => `Batch ${params.id}`,
  lead: ({ data }) =>
    data
      ? `${counted(data.batch.messages, 'message')} of the hour from ${time(data.batch.hour).slice(0, 16)} on`
      : undefined,
  load: ({ params, signal }) => get(`/migrate/batch/${segment(params.id)}`, {}, signal),
  acts: (visit) => [retryButton(visit), exportAgain(visit)],
  view: ({ data }) => [
    trouble(data.batch),
    panel({ title: 'Now', acts: [batchBadge(data.batch)] }, facts(standing(data.batch))),
    data.batch.object ? panel({ title: 'Object' }, facts(object(data.batch))) : null,
    panel(
      { title: 'Attempts', aside: data.hasMoreAttempts ? 'the newest 200' : 'the newest first' },
      attempts(data.attempts),
    ),
  ],
};

function trouble(one) {
  if (!one.errorCode || one.status === 'success' || one.status === 'cancelled') return null;
  return note(
    {
      tone: one.parked ? 'bad' : 'warn',
      title: one.parked ? `Parked: ${words(one.errorCode)}` : `The last attempt ended with ${words(one.errorCode)}`,
      acts: h('a', { class: 'button small', href: link('/failures', { cause: one.errorCode }) }, 'What to do'),
    },
    h('p', null, one.error ?? 'Its worker left no reason.'),
    h(
      'p',
      { class: 'remedy' },
      one.parked
        ? 'It has no attempt left, and waits for people.'
        : one.notBefore
          ? ['It is tried again ', since(one.notBefore), '.']
          : 'It is tried again by itself.',
    ),
  );
}

const standing = (one) => [
  [
    'Migration',
    h('a', { href: `#/migrations/${segment(one.migrationId)}` }, `${one.jobType} …${shortId(one.migrationId)}`),
  ],
  [
    'Window',
    one.windowId
      ? h(
          'a',
          {
            href: link('/windows', {
              from: one.hour,
              to: new Date(Date.parse(one.hour) + HOUR_MS).toISOString(),
              window: one.windowId,
            }),
          },
          String(one.windowId),
        )
      : undefined,
  ],
  [
    'Attempts',
    `${one.attempts}${one.retryCount ? `, after ${counted(one.retryCount, 'retry', 'retries')} by people` : ''}`,
  ],
  ['Generation', String(one.generation)],
  ['Fence', String(one.fence)],
  ['Priority', String(one.priority)],
  ['Sent', sent(one)],
  ['Last sent', one.enqueuedAt ? at(one.enqueuedAt) : undefined],
  ['Worker', one.worker ? h('span', { class: 'mono' }, one.worker) : undefined],
  ['Lease until', one.leaseUntil ? since(one.leaseUntil) : undefined],
  ['Deferred since', one.deferredSince ? since(one.deferredSince) : undefined],
  ['Deferrals in a row', one.deferrals ? count(one.deferrals) : undefined],
  ['Parked at', one.parkedAt ? at(one.parkedAt) : undefined],
  ['Last retry by people', one.lastRetryAt ? at(one.lastRetryAt) : undefined],
  ['Recorded', at(one.createdAt)],
  ['Settled', one.settledAt ? at(one.settledAt) : undefined],
];

function sent({ sends, status, enqueuedAt }) {
  if (!sends) return 'not sent yet';
  return `${counted(sends, 'time')}${status === 'pending' && !enqueuedAt ? ', to be sent again' : ''}`;
}

const object = (one) => [
  ['Exported', count(one.exported)],
  ['Missing', count(one.missing)],
  ['Quarantined', count(one.quarantined)],
  ['Raw', bytes(one.object.bytesRaw)],
  ['Stored', bytes(one.object.bytesStored)],
  ['Key', h('span', { class: 'mono' }, one.object.key), 'wide'],
  ['SHA-256', h('span', { class: 'mono' }, one.object.sha256), 'wide'],
];

function attempts(all) {
  if (!all?.length) return empty('Nobody has tried yet', 'The batch waits to be sent, or to be taken from its queue.');
  return h(
    'ol',
    { class: 'line-of-time' },
    all.map((attempt) =>
      h(
        'li',
        { key: attempt.number, class: toneOf(attempt.outcome ?? 'in_flight') },
        h(
          'div',
          { class: 'row' },
          h('strong', null, `Attempt ${attempt.number}`),
          stateBadge(attempt.outcome ?? 'in_flight'),
          at(attempt.startedAt),
          h('span', { class: 'aside' }, `took ${milliseconds(attempt.durationMs)}`),
          attempt.generation > 1 ? h('span', { class: 'aside' }, `generation ${attempt.generation}`) : null,
        ),
        attempt.errorCode
          ? h(
              'p',
              { class: 'wrap' },
              h('strong', null, words(attempt.errorCode)),
              attempt.error ? `: ${attempt.error}` : '',
            )
          : null,
        phases(attempt.timings),
        h('p', { class: 'aside wrap' }, 'Worker ', h('span', { class: 'mono' }, attempt.worker)),
      ),
    ),
  );
}

function phases(timings) {
  const named = Object.entries(timings ?? {}).filter(([, value]) => typeof value === 'number');
  if (named.length === 0) return null;
  return h(
    'p',
    { class: 'small' },
    named.map(([phase, value]) => `${label(phase)} ${milliseconds(value)}`).join(' · '),
  );
}

function retryButton(visit) {
  const { batch: one } = visit.data;
  const after = new Date(Date.parse(one.hour) + HOUR_MS).toISOString();
  return actButton(visit, {
    label: 'Retry',
    title: 'Retry the parked batches of this hour?',
    explain: h(
      'p',
      null,
      `Batch ${one.id} and whatever else of its migration and hour is parked for the same cause get their attempts again.`,
    ),
    path: '/migrate/retry-failed',
    body: { migrationId: one.migrationId, cause: one.errorCode, from: one.hour, to: after },
    foretell: ({ found }) => h('p', null, `${counted(found, 'batch', 'batches')} would be tried again.`),
    done: ({ retried }) => `${counted(retried, 'batch', 'batches')} will be tried again.`,
    disabled: !one.parked,
    why: 'Only what is parked needs people: everything else is tried again by itself.',
  });
}

function exportAgain(visit) {
  const { batch: one } = visit.data;
  return actButton(visit, {
    label: 'Export again',
    title: `Export batch ${one.id} again?`,
    explain: h(
      'p',
      null,
      'A new generation is written from what the source holds now; the old object stays on record until the new one is settled. Where the source has lost messages of it, the batch is left alone.',
    ),
    path: '/migrate/reset-pending',
    body: { batchIds: [one.id] },
    foretell: foretoldExport,
    reason: 'required',
    danger: true,
    typed: one.status === 'success' ? String(one.id) : undefined,
    disabled: one.status !== 'success' && !one.parked,
    why: 'Only a completed or parked batch can be exported again.',
    done: ({ result }) => `${counted(result?.asked, 'batch', 'batches')} will be exported again.`,
  });
}

const foretoldExport = (answer) => h('p', null, foretoldOutcome(answer));

// It is looked for at the source and read back from the bucket, which may take longer than an answer.
function foretoldOutcome({ result, message }) {
  if (!result) return `${message} The page of long jobs has what it comes to.`;
  const [lost] = result.wouldLose;
  if (lost) return `It would be left alone: the source no longer has ${counted(lost.messages, 'message')} of it.`;
  if (!result.asked) return 'It would be left alone: it is sealed, or neither completed nor parked any more.';
  const replaced = result.bytesStored ? ` Its object of ${bytes(result.bytesStored)} would be replaced.` : '';
  return `${counted(result.messages, 'message')} would be exported again.${replaced}`;
}
