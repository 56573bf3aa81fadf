// Failures: what doesn't get through, by cause, with what to do about each and the button that tries again.

import { get } from '../api.js';
import { actButton, batchNumbers, lookOnly } from '../act.js';
import { h } from '../element.js';
import { badge, stateBadge } from '../badge.js';
import { since } from '../clock.js';
import { facts, tile, tiles } from '../facts.js';
import { textField } from '../field.js';
import { count, counted, words } from '../format.js';
import { empty, note, panel } from '../panel.js';
import { link, segment } from '../router.js';
import { runbookLink } from '../runbook.js';
import { table } from '../table.js';

const LARGE_BATCHES = 100;
const LIMIT_MAX = 1_000;

export const failures = {
  path: '/failures',
  everyMs: 10_000,
  title: () => 'Failures',
  lead: () =>
    'What failed uses up attempts and is parked in the end; what a service broke off is only deferred, and goes on by itself.',
  load: ({ query, signal }) => get('/failures', { cause: query.cause }, signal),
  view: (visit) => {
    const { data, query } = visit;
    const { totals } = data;
    return [
      tiles(
        tile({
          name: 'Parked',
          figure: count(totals.parkedBatches),
          tone: totals.parkedBatches ? 'bad' : undefined,
          beside: 'batches that wait for people',
          href: '#/batches?status=parked',
        }),
        tile({
          name: 'Being retried',
          figure: count(totals.retryingBatches),
          tone: totals.retryingBatches ? 'warn' : undefined,
          beside: 'batches, by themselves',
        }),
        tile({
          name: 'Deferred',
          figure: count(totals.deferredBatches),
          tone: totals.deferredBatches ? 'warn' : undefined,
          beside: 'batches, for a service’s sake',
        }),
        tile({
          name: 'Missing',
          figure: count(totals.missingMessages),
          tone: totals.missingMessages ? 'warn' : undefined,
          beside: 'messages, missing from the archive',
        }),
        tile({
          name: 'Quarantined',
          figure: count(totals.quarantinedMessages),
          tone: totals.quarantinedMessages ? 'warn' : undefined,
          beside: 'messages that can’t be exported',
        }),
      ),
      query.cause
        ? note({
            title: `Only ${words(query.cause)}`,
            acts: h('a', { class: 'button small', href: '#/failures' }, 'All causes'),
          })
        : null,
      lookOnly(),
      data.failures.length === 0
        ? h(
            'section',
            { class: 'panel' },
            empty(
              query.cause ? 'Nothing fails for this cause' : 'Nothing fails',
              'No batch is failed, parked or deferred, and no message is set aside.',
            ),
          )
        : data.failures.map((failure) => group(visit, failure)),
    ];
  },
};

function group(visit, failure) {
  const { cause } = failure;
  return panel(
    {
      title: words(cause),
      key: cause,
      aside: stateBadge(failure.kind),
      acts: [
        failure.needsPeople ? badge('needs people', 'bad') : badge('goes on by itself', 'off'),
        retryButton(visit, failure),
      ],
    },
    failure.remedy
      ? note({ tone: failure.needsPeople ? 'warn' : undefined, title: 'What to do' }, h('p', null, failure.remedy))
      : null,
    facts([
      [
        'Parked',
        `${counted(failure.parked?.batches ?? 0, 'batch', 'batches')}, ${counted(failure.parked?.messages ?? 0, 'message')}`,
      ],
      ['Being retried', counted(failure.retrying?.batches ?? 0, 'batch', 'batches')],
      ['Deferred', counted(failure.deferred?.batches ?? 0, 'batch', 'batches')],
      ['Windows', failure.windows ? count(failure.windows) : undefined],
      ['Messages', count(failure.messages)],
      ['First seen', since(failure.firstSeen)],
      ['Last seen', since(failure.lastSeen)],
      ['Next try', failure.nextTry ? since(failure.nextTry) : undefined],
    ]),
    failure.samples?.length ? samples(failure) : null,
    failure.messageSamples?.length ? messageSamples(failure) : null,
    h(
      'p',
      { class: 'row small' },
      runbookLink(`${failure.kind === 'exception' ? 'outcome' : 'cause'}-${cause}`, words(cause)),
      failure.kind === 'exception' ? null : h('a', { href: link('/batches', { cause }) }, 'All batches of this cause'),
    ),
  );
}

const samples = ({ cause, kind, samples: some }) =>
  table({
    caption: `Some batches of ${words(cause)}, the newest first`,
    rows: some,
    key: (sample) => sample.batch,
    columns: [
      {
        name: 'Batch',
        head: true,
        cell: (sample) => h('a', { href: `#/batches/${sample.batch}` }, String(sample.batch)),
      },
      {
        name: 'Status',
        cell: (sample) => stateBadge(sample.parked ? 'parked' : kind === 'deferral' ? 'deferred' : sample.status),
      },
      { name: 'Attempts', kind: 'number', cell: (sample) => count(sample.attempts) },
      { name: 'Messages', kind: 'number', cell: (sample) => count(sample.messages) },
      { name: 'Seen', cell: (sample) => since(sample.seenAt) },
      { name: 'Error', kind: 'text', cell: (sample) => sample.error },
    ],
  });

const messageSamples = ({ cause, messageSamples: some }) =>
  table({
    caption: `Some messages that are ${words(cause)}`,
    rows: some,
    key: (sample) => sample.messageId,
    columns: [
      {
        name: 'Message',
        head: true,
        cell: (sample) => h('a', { class: 'mono', href: `#/trace/${segment(sample.messageId)}` }, sample.messageId),
      },
      {
        name: 'Batch',
        cell: (sample) => (sample.batch ? h('a', { href: `#/batches/${sample.batch}` }, String(sample.batch)) : '–'),
      },
      { name: 'Reason', kind: 'text', cell: (sample) => sample.reason },
    ],
  });

function recallButton(visit, { cause, batches }) {
  return actButton(visit, {
    label: 'Retry',
    small: true,
    title: `Retry ${words(cause)} messages?`,
    explain: h(
      'p',
      null,
      'They leave their batches, which stay as they are, for batches of their own. A message that is still gone, or still can’t be exported, ends as before.',
    ),
    path: '/migrate/retry-failed',
    body: ({ limit }) => ({ cause, limit }),
    fields: [limitField(batches)],
    foretell: ({ exceptions }) => [
      h(
        'p',
        null,
        `${counted(exceptions.missing + exceptions.quarantined, 'message')} of ${counted(exceptions.foundBatches, 'batch', 'batches')} would be exported again.`,
      ),
    ],
    act: 'Retry them',
    danger: batches > LARGE_BATCHES,
    typed: batches > LARGE_BATCHES ? cause : undefined,
    done: ({ exceptions }) => `${counted(exceptions.recalled, 'message')} will be exported again within a minute.`,
  });
}

const limitField =
  (batches) =>
  ({ fault }) =>
    textField({
      name: 'limit',
      label: 'At most so many batches',
      place: 'dialog',
      inputmode: 'numeric',
      value: String(Math.min(batches || LIMIT_MAX, LIMIT_MAX)),
      fault: fault('limit'),
    });

function retryButton(visit, failure) {
  const { cause, kind, parked } = failure;
  if (kind === 'exception') return recallButton(visit, failure);
  return actButton(visit, {
    label: 'Retry',
    small: true,
    title: `Retry what is parked for ${words(cause)}?`,
    explain: h(
      'p',
      null,
      'Mend the cause first: what fails again uses up its attempts again. A small limit tries a few before the rest.',
    ),
    path: '/migrate/retry-failed',
    body: ({ limit }) => ({ cause, limit }),
    fields: [limitField(parked?.batches)],
    foretell: ({ found, batches, hasMore }) => [
      h('p', null, `${counted(found, 'batch', 'batches')} would get ${found === 1 ? 'its' : 'their'} attempts again.`),
      batchNumbers(batches, hasMore),
    ],
    act: 'Retry them',
    danger: (parked?.batches ?? 0) > LARGE_BATCHES,
    typed: (parked?.batches ?? 0) > LARGE_BATCHES ? cause : undefined,
    done: ({ retried }) => `${counted(retried, 'batch', 'batches')} will be tried again within a minute.`,
    disabled: !parked?.batches,
    why: 'Nothing of this cause is parked: it is tried again by itself.',
  });
}
