// Alerts: what people were told, and what of it still lasts.

import { get } from '../api.js';
import { h } from '../element.js';
import { badge } from '../badge.js';
import { CAUSES } from '../causes.js';
import { at } from '../clock.js';
import { filterChoice, filters, noneFound } from '../field.js';
import { count, words } from '../format.js';
import { panel } from '../panel.js';
import { link } from '../router.js';
import { runbookLink } from '../runbook.js';
import { pager, table } from '../table.js';

// Those that have a headline in the domain; the runbook has a section for each.
const KINDS = [
  'parked',
  'parked_over',
  'exceptions',
  'exceptions_over',
  'failure_rate',
  'failure_rate_over',
  'deferred',
  'deferred_over',
  'export_stalled',
  'export_stalled_over',
  'documents_late',
  'documents_late_over',
  'documents_without_time',
  'documents_without_time_over',
  'source_problem',
  'source_problem_over',
  'documents_in_future',
  'documents_in_future_over',
  'documents_too_early',
  'documents_too_early_over',
  'invariant',
  'archive_conflict',
  'unreadable_message',
  'replaced_object_kept',
  'unproven_object',
  'ledger_restored',
  'ledger_identity',
  'ledger_identity_over',
  'unproven',
  'unproven_over',
  'consumers_off',
  'consumers_off_over',
  'ledger_login',
  'ledger_login_over',
  'test',
];

export const alerts = {
  path: '/alerts',
  everyMs: 15_000,
  title: () => 'Alerts',
  lead: () => 'One for each subject, published with its number: the same number twice is the same alert.',
  load: ({ query, signal }) => get('/alerts', { open: query.open, kind: query.kind, cursor: query.cursor }, signal),
  view: ({ data, query }) => [
    filters(
      query,
      filterChoice(query, 'open', 'State', [
        ['', 'any'],
        ['true', 'open'],
        ['false', 'over'],
      ]),
      filterChoice(query, 'kind', 'Kind', [['', 'any'], ...KINDS.map((kind) => [kind, words(kind)])]),
    ),
    panel(
      { title: 'Alerts', aside: 'the newest first', flush: true },
      table({
        caption: 'Alerts, the newest first',
        rows: data.alerts,
        key: (alert) => alert.id,
        nothing: noneFound(query, 'No alerts', 'Nothing has happened that people had to be told.'),
        columns: [
          { name: 'Number', kind: 'number', cell: (alert) => alert.id },
          {
            name: 'Alert',
            head: true,
            cell: (alert) => [alert.headline ?? words(alert.kind), h('p', { class: 'aside' }, causeOf(alert))],
          },
          { name: 'State', cell: (alert) => (alert.open ? badge('open', 'warn') : badge('over', 'off')) },
          {
            name: 'Text',
            kind: 'text',
            cell: (alert) => [
              h('p', null, alert.text),
              alert.remedy ? h('p', { class: 'aside' }, alert.remedy) : null,
              h('p', null, runbookLink(`alert-${alert.kind}`, words(alert.kind))),
            ],
          },
          { name: 'When', cell: (alert) => [at(alert.createdAt), repeated(alert), told(alert), over(alert)] },
        ],
      }),
      pager(data.nextCursor, data.alerts.length),
    ),
  ],
};

// Only what batches fail for has its place among the failures.
function causeOf({ cause }) {
  if (!cause) return null;
  return CAUSES.includes(cause) ? h('a', { href: link('/failures', { cause }) }, words(cause)) : words(cause);
}

// An alert is sent within a minute; only what isn't is worth a word.
const told = ({ publishedAt }) => (publishedAt ? null : h('p', { class: 'warn small' }, 'not sent yet'));
const repeated = ({ occurrences, lastAt }) =>
  lastAt ? h('p', { class: 'aside' }, `${count(occurrences)} times, last `, at(lastAt)) : null;
const over = ({ overAt }) => (overAt ? h('p', { class: 'aside' }, 'over ', at(overAt)) : null);
