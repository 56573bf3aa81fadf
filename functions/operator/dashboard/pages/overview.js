// Overview: whether messages arrive in the archive, how fast, what waits and why, and who is to do something about it.

import { get } from '../api.js';
import { h } from '../element.js';
import { badge, stateBadge } from '../badge.js';
import { throughputChart } from '../chart.js';
import { at, since } from '../clock.js';
import { tile, tiles } from '../facts.js';
import { ago, bytes, count, counted, label, outlook, rate, roughly, short, words } from '../format.js';
import { statuses } from '../meter.js';
import { empty, note, panel } from '../panel.js';
import { verifiedRange } from '../report.js';
import { link, segment } from '../router.js';
import { seldom } from '../slow.js';
import { table } from '../table.js';
import { keep } from '../watch.js';

// Health asks every service, schedules and triggers are AWS': none of them changes with each breath.
const HEALTH_EVERY_MS = 30_000;
const OLD_SECS = 3 * 3_600;
const MINUTE_SECS = 60;

export const overview = {
  path: '/',
  everyMs: 5_000,
  title: () => 'Overview',
  lead: ({ data }) =>
    data
      ? `Version ${data.version}. ${data.harvestedTo ? `Messages up to ${ago(data.harvestedTo)} are on record.` : 'Nothing is on record yet.'}`
      : undefined,
  load: async (visit) => {
    const now = Date.now();
    const [answer, health, scheduler, consumers, source] = await Promise.all([
      get('/overview', {}, visit.signal),
      seldom(visit, 'health', HEALTH_EVERY_MS, () => get('/health', {}, visit.signal)),
      seldom(visit, 'scheduler', HEALTH_EVERY_MS, () => get('/migrate/scheduler/status', {}, visit.signal)),
      seldom(visit, 'consumers', HEALTH_EVERY_MS, () => get('/queue/consumers/status', {}, visit.signal)),
      seldom(visit, 'source', HEALTH_EVERY_MS, () => get('/source/stats', {}, visit.signal)),
    ]);
    keep(answer, now);
    return { ...answer, health, scheduler, consumers, source };
  },
  view: (visit) => {
    const { data } = visit;
    return [
      illness(data),
      h('p', { class: 'proof' }, data.proof.line),
      numbers(data),
      panel(
        { title: 'Throughput', aside: 'archived, last 24 hours' },
        throughputChart(data.throughput, 'Throughput of the last 24 hours', visit),
      ),
      h(
        'div',
        { class: 'halves' },
        panel(
          { title: 'Batches', aside: h('a', { href: '#/batches' }, 'All batches') },
          statuses(data.batches, 'Batches by status', batchLinks),
          h(
            'p',
            { class: 'small muted' },
            `${counted(data.messages.success, 'message')} archived in ${counted(data.batches.success, 'object')}, ${bytes(data.bytesStored)} stored.`,
          ),
        ),
        panel({ title: 'What runs' }, running(data)),
      ),
      deferrals(data),
      outside(data.source),
      h('div', { class: 'halves' }, work(data), verdicts(data)),
      alertsPart(data),
    ];
  },
};

const batchLinks = {
  success: link('/batches', { status: 'success' }),
  processing: link('/batches', { status: 'processing' }),
  pending: link('/batches', { status: 'pending' }),
  failed: link('/batches', { status: 'failed' }),
};

function illness({ health }) {
  if (health.problem)
    return note({ tone: 'bad', title: 'The health of the services is unknown' }, h('p', null, health.problem.detail));
  const ill = (health.services ?? []).filter((service) => service.status !== 'up');
  if (ill.length === 0) return null;
  return note(
    { tone: 'bad', title: `Not well: ${ill.map(({ service }) => service).join(', ')}` },
    ill.map(({ service, reason }) => h('p', { key: service }, h('strong', null, service), `: ${reason}`)),
  );
}

// Documents that no window holds: nothing of them is archived.
function outside({ outside: counted }) {
  const kinds = [
    ['withoutTime', 'without an event time'],
    ['inFuture', 'in the future'],
    ['beforeFirstWindow', 'before the first window'],
  ].filter(([name]) => counted?.[name]);
  if (kinds.length === 0) return null;
  return note(
    { tone: 'warn', title: 'The source has documents that are in no window' },
    h(
      'p',
      null,
      `${kinds.map(([name, where]) => `${count(counted[name])} ${where}`).join(', ')}. They are not archived. Counted `,
      at(counted.countedAt),
      '.',
    ),
  );
}

function numbers(data) {
  const oldest = data.oldestUnexported;
  const perSecond = ({ messagesPerMinute }) => rate(messagesPerMinute / MINUTE_SECS);
  return tiles(
    tile({
      name: 'Backlog',
      figure: short(data.backlog.messages),
      beside: `${counted(data.backlog.batches, 'batch', 'batches')}${data.backlog.batches ? ` · ${endOf(data)}` : ''}`,
      href: '#/batches?status=pending',
    }),
    tile({
      name: 'Rate',
      figure: perSecond(data.rate.last15Minutes),
      beside: `${perSecond(data.rate.last60Minutes)} over the last hour`,
    }),
    tile({
      name: 'Oldest unexported',
      figure: oldest ? roughly(oldest.ageSeconds) : 'none',
      tone: oldest?.ageSeconds > OLD_SECS ? 'warn' : undefined,
      beside: oldest
        ? oldest.batch
          ? h('a', { href: `#/batches/${oldest.batch}` }, `batch ${oldest.batch}`)
          : at(oldest.eventTime)
        : 'everything on record is archived',
    }),
    tile({
      name: 'Parked',
      figure: count(data.parked),
      tone: data.parked ? 'bad' : undefined,
      beside: data.parked ? 'no attempt left: waits for you' : 'nothing waits for people',
      href: '#/failures',
    }),
    tile({
      name: 'Failed',
      figure: count(data.batches.failed),
      tone: data.batches.failed ? 'warn' : undefined,
      beside: 'batches, the parked ones among them',
      href: '#/batches?status=failed',
    }),
    tile({
      name: 'Open alerts',
      figure: count(data.openAlerts),
      tone: data.openAlerts ? 'warn' : undefined,
      beside: data.openAlerts ? 'conditions that last' : 'nothing lasts',
      href: '#/alerts?open=true',
    }),
  );
}

const endOf = ({ eta, batches, parked }) =>
  outlook({ seconds: eta?.seconds, parked, moving: batches.pending + batches.processing + batches.failed - parked });

function running({ scheduler, pauses, consumers }) {
  const paused = (stage) => (pauses ?? []).find((pause) => pause.stage === stage);
  const stage = (name, of) =>
    line(
      name,
      paused(of) ? badge('paused', 'warn') : badge('running', 'good'),
      paused(of) ? ['since ', since(paused(of).since)] : 'not paused',
    );
  return h(
    'ul',
    { class: 'stack tight' },
    stage('Harvest', 'harvest'),
    stage('Export', 'export'),
    scheduler.schedules?.map((schedule) =>
      line(
        `Schedule of the ${schedule.schedule}`,
        schedule.enabled ? badge('on', 'good') : badge('off', 'warn'),
        schedule.expression,
      ),
    ) ?? line('Schedules', badge('unknown', 'off'), 'they can’t be asked'),
    consumers.consumers?.map((consumer) =>
      line(
        `Trigger of ${consumer.queue}`,
        badge(consumer.enabled ? 'on' : words(consumer.state).toLowerCase(), consumer.enabled ? 'good' : 'warn'),
        consumer.maximumConcurrency ? `up to ${consumer.maximumConcurrency} at once` : '',
      ),
    ) ?? line('Triggers', badge('unknown', 'off'), 'they can’t be asked'),
  );
}

const line = (name, state, beside) =>
  h(
    'li',
    { class: 'row apart one-line', key: name },
    h('span', null, name),
    h('span', { class: 'row one-line' }, h('span', { class: 'aside' }, beside), state),
  );

function deferrals({ deferrals: deferred }) {
  if (!deferred?.length) return null;
  return panel(
    { title: 'Deferred', aside: 'waits for a service; no attempt is used up', flush: true },
    table({
      caption: 'What is deferred, by cause',
      rows: deferred,
      key: (deferral) => deferral.cause,
      columns: [
        {
          name: 'Cause',
          head: true,
          cell: (deferral) => h('a', { href: link('/failures', { cause: deferral.cause }) }, words(deferral.cause)),
        },
        { name: 'Batches', kind: 'number', cell: (deferral) => count(deferral.batches) },
        { name: 'Messages', kind: 'number', cell: (deferral) => count(deferral.messages) },
        { name: 'Windows', kind: 'number', cell: (deferral) => count(deferral.windows) },
        { name: 'Since', cell: (deferral) => since(deferral.since) },
        { name: 'Next try', cell: (deferral) => since(deferral.nextTry) },
        { name: 'Reason', kind: 'text', cell: (deferral) => deferral.reason },
      ],
    }),
  );
}

function work({ operations }) {
  return panel(
    { title: 'Long jobs', aside: h('a', { href: '#/operations' }, 'All'), flush: true },
    operations?.length
      ? table({
          caption: 'Long jobs that are not over',
          rows: operations,
          key: (operation) => operation.operationId,
          columns: [
            {
              name: 'Job',
              head: true,
              cell: (operation) =>
                h('a', { href: `#/operations/${segment(operation.operationId)}` }, label(operation.kind)),
            },
            { name: 'State', cell: (operation) => stateBadge(operation.state) },
            { name: 'Asked for', cell: (operation) => since(operation.createdAt) },
          ],
        })
      : empty('No long job is under way'),
  );
}

function verdicts({ verdicts: found }) {
  return panel(
    { title: 'Newest verdicts', aside: h('a', { href: '#/verify' }, 'All'), flush: true },
    found?.length
      ? table({
          caption: 'The newest verifications',
          rows: found,
          key: (one) => one.operationId,
          columns: [
            {
              name: 'Range',
              head: true,
              cell: (one) => h('a', { href: `#/operations/${segment(one.operationId)}` }, verifiedRange(one)),
            },
            { name: 'Verdict', cell: (one) => (one.verdict ? stateBadge(one.verdict) : stateBadge(one.state)) },
            { name: 'When', cell: (one) => since(one.finishedAt) },
          ],
        })
      : empty(
          'Nothing was verified yet',
          'Complete is a verdict, not an empty queue.',
          h('p', null, h('a', { href: '#/verify' }, 'Verify something')),
        ),
  );
}

function alertsPart({ alerts }) {
  if (!alerts?.length) return null;
  return panel(
    { title: 'Newest alerts', aside: h('a', { href: '#/alerts' }, 'All'), flush: true },
    table({
      caption: 'The newest alerts',
      rows: alerts.slice(0, 5),
      key: (alert) => alert.id,
      columns: [
        { name: 'When', cell: (alert) => since(alert.createdAt) },
        { name: 'Alert', head: true, cell: (alert) => alert.headline ?? words(alert.kind) },
        { name: 'State', cell: (alert) => (alert.open ? badge('open', 'warn') : badge('over', 'off')) },
        { name: 'Text', kind: 'text', cell: (alert) => h('span', { class: 'clamp' }, alert.text) },
      ],
    }),
  );
}
