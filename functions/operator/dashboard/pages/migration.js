// One migration: how far it is, how fast, what holds it up, and what can be done with it.

import { get } from '../api.js';
import { actButton } from '../act.js';
import { h } from '../element.js';
import { stateBadge } from '../badge.js';
import { byMinute, throughputChart } from '../chart.js';
import { at, range, since } from '../clock.js';
import { facts, tile, tiles } from '../facts.js';
import { capital, count, counted, outlook, percent, rate, shortId, words } from '../format.js';
import { progressBar, statuses } from '../meter.js';
import { note, panel } from '../panel.js';
import { link, segment } from '../router.js';
import { table } from '../table.js';
import { verifyQuestion } from '../verifying.js';

// The API counts the batches of these hours, whichever migration they belong to.
const HOURS_OF_RANGE = 'Archived in the hours of its range';

export const migration = {
  path: '/migrations/:id',
  room: '/migrations',
  above: ['/migrations', 'Migrations'],
  everyMs: 5_000,
  title: ({ params, data }) => `${capital(data?.migration.kind ?? 'migration')} …${shortId(params.id)}`,
  lead: ({ data }) => (data ? range(data.migration.from, data.migration.to) : undefined),
  load: async ({ params, signal }) => {
    const answer = await get(`/migrate/status/${segment(params.id)}`, {}, signal);
    return { ...answer, done: answer.progress.known - answer.open };
  },
  acts: (visit) => [
    h('a', { class: 'button', href: link('/batches', { parentJobId: visit.params.id }) }, 'Its batches'),
    actButton(visit, {
      ...retryOf(visit.params.id),
      disabled: !visit.data.parked,
      why: 'Nothing of it is parked.',
    }),
    actButton(visit, verifyQuestion({ migrationId: visit.params.id })),
    cancelButton(visit),
  ],
  view: (visit) => {
    const { data } = visit;
    const { migration: one, progress, windows } = data;
    return [
      standing(data),
      tiles(
        tile({
          name: 'Archived',
          figure: percent(data.percentage),
          beside: `${count(data.done)} of ${count(progress.known)} messages`,
        }),
        tile({
          name: 'Left',
          figure: count(data.open),
          beside: data.open ? endOf(data) : 'nothing waits',
        }),
        tile({
          name: 'Rate',
          figure: data.open ? rate(data.pace?.messagesPerSecond) : '–',
          beside: 'over the last 15 minutes',
        }),
        tile({
          name: 'Ids on record',
          figure: percent(data.idsPercentage),
          beside: `${counted(windows.recorded + windows.verified, 'window')} of ${count(windows.open + windows.harvesting + windows.recorded + windows.verified)}`,
        }),
        tile({
          name: 'Failed',
          figure: count(progress.failed),
          tone: progress.failed ? 'bad' : undefined,
          beside: 'messages',
          href: link('/batches', { parentJobId: one.id, status: 'failed' }),
        }),
        tile({
          name: 'Verdict',
          figure: one.verdict ? words(one.verdict) : 'none yet',
          tone: { COMPLETE: 'good', INCOMPLETE: 'bad', PENDING: 'warn', DRIFTED: 'warn' }[one.verdict],
          beside: 'of its newest verification',
        }),
      ),
      panel(
        { title: 'Progress' },
        h(
          'div',
          { class: 'stack tight' },
          h('div', { class: 'row apart' }, h('span', null, 'Archived'), h('strong', null, percent(data.percentage))),
          progressBar(data.percentage, 'Archived'),
        ),
        h(
          'div',
          { class: 'stack tight' },
          h(
            'div',
            { class: 'row apart' },
            h('span', null, 'Ids on record'),
            h('strong', null, percent(data.idsPercentage)),
          ),
          progressBar(data.idsPercentage, 'Ids on record'),
        ),
        statuses(progress, 'Messages by status'),
      ),
      data.pace
        ? panel(
            { title: HOURS_OF_RANGE, aside: `whoever asked for it, last ${data.pace.minutes} minutes` },
            throughputChart(byMinute(data.pace, data.timestamp), HOURS_OF_RANGE, visit),
          )
        : null,
      held(data.deferrals),
      h('div', { class: 'halves' }, windowsPart(windows, one), about(one, data)),
    ];
  },
};

/** When nothing of a migration will be open, by the answer about how far it is. */
export const endOf = ({ pace, open, parked, parkedMessages }) =>
  outlook({ seconds: pace?.etaSeconds, parked, moving: Math.max(0, open - parkedMessages) });

// A migration that was completed has open messages again where batches of it are exported once more.
function standing({ migration: one, nothingOpen, open }) {
  if (one.state === 'cancelled')
    return note(
      { title: 'Cancelled' },
      h('p', null, 'What was exported stays in the archive; everything else was released.'),
    );
  if (nothingOpen && open === 0)
    return note(
      { tone: 'good', title: 'Nothing is open' },
      h(
        'p',
        null,
        'Every id of the range is on record, and no message waits. Verify it to prove that nothing is missing.',
      ),
    );
  if (one.finishedAt)
    return note(
      { tone: 'warn', title: 'It was completed, and has open messages again' },
      h('p', null, 'Batches of it were put back, or belong to another migration over the same time.'),
    );
  return null;
}

const retryOf = (migrationId) => ({
  label: 'Retry what is parked',
  title: 'Retry what is parked of this migration?',
  explain: h('p', null, 'Parked batches get their attempts again; the reaper sends them at its next tick.'),
  path: '/migrate/retry-failed',
  body: { migrationId },
  foretell: (answer) => h('p', null, foretoldRetry(answer)),
  done: ({ retried }) => `${counted(retried, 'batch', 'batches')} will be tried again.`,
});

// Parked batches are counted in the hours of its range, whoever owns them; its own are retried.
function foretoldRetry({ found, hasMore }) {
  if (!found) return 'None: what is parked in its range belongs to other migrations. The page of failures has it.';
  const more = hasMore ? '; there are more, for another time' : '';
  return `${counted(found, 'batch', 'batches')} would be tried again${more}.`;
}

function cancelButton(visit) {
  const { migration: one } = visit.data;
  const isOver = one.state === 'completed' || one.state === 'cancelled';
  return actButton(visit, {
    label: 'Cancel it',
    title: 'Cancel this migration?',
    explain: h(
      'p',
      null,
      'What isn’t archived is released: nobody exports it until another migration asks for it. What is archived stays.',
    ),
    path: `/migrate/cancel/${segment(one.id)}`,
    foretell: ({ released }) =>
      h(
        'p',
        null,
        `${counted(released.messages, 'message')} in ${counted(released.batches, 'batch', 'batches')} would be released.`,
      ),
    danger: true,
    typed: shortId(one.id),
    act: 'Cancel the migration',
    disabled: isOver || one.kind === 'continuous',
    why:
      one.kind === 'continuous'
        ? 'The continuous migration has no end. Pause the harvest instead.'
        : `It is ${one.state}.`,
  });
}

function held(deferrals) {
  if (!deferrals?.length) return null;
  return panel(
    { title: 'Deferred', aside: 'waits for a service', flush: true },
    table({
      caption: 'What of this migration is deferred',
      rows: deferrals,
      key: (deferral) => deferral.cause,
      columns: [
        { name: 'Cause', head: true, cell: (deferral) => words(deferral.cause) },
        { name: 'Batches', kind: 'number', cell: (deferral) => count(deferral.batches) },
        { name: 'Windows', kind: 'number', cell: (deferral) => count(deferral.windows) },
        { name: 'Since', cell: (deferral) => since(deferral.since) },
        { name: 'Next try', cell: (deferral) => since(deferral.nextTry) },
        { name: 'Reason', kind: 'text', cell: (deferral) => deferral.reason },
      ],
    }),
  );
}

const windowsPart = (windows, one) =>
  panel(
    { title: 'Windows', aside: h('a', { href: link('/windows', { migrationId: one.id }) }, 'By day') },
    facts([
      ['Open', count(windows.open)],
      ['Being read', count(windows.harvesting)],
      ['Recorded', count(windows.recorded)],
      ['Verified', count(windows.verified)],
      ['Being read again', count(windows.rescanned)],
      ['Found at the source', count(windows.found)],
    ]),
  );

const about = (one, { lateness }) =>
  panel(
    { title: 'About it' },
    facts([
      ['State', stateBadge(one.pausedAt ? 'paused' : one.state)],
      ['Id', h('span', { class: 'mono' }, one.id)],
      ['Priority', String(one.priority)],
      ['Messages in a batch', `up to ${count(one.batchSize)}`],
      ['Asked for by', one.requestedBy],
      ['Made', at(one.createdAt)],
      ['Ended', one.finishedAt ? at(one.finishedAt) : undefined],
      ['Harvested up to', at(one.harvestedTo)],
      [
        'Late messages',
        lateness?.messages
          ? `${count(lateness.late)} of ${count(lateness.messages)} in ${lateness.days} days`
          : undefined,
      ],
      ['Filter', one.filter ? h('pre', { class: 'source' }, JSON.stringify(one.filter, null, 2)) : undefined, 'wide'],
    ]),
  );
