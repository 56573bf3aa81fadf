// The question that starts a migration: what of, and what it would mean, before it is made.

import { h } from './element.js';
import { range } from './clock.js';
import { bytes, count, duration } from './format.js';
import { checkField, instantOf, textField } from './field.js';
import { facts } from './facts.js';
import { note } from './panel.js';
import { table } from './table.js';
import { go } from './router.js';

const DAYS_SHOWN_MAX = 14;

/** What `actButton` needs to start a migration, with these values in the form at first. */
export const backfill = (given = {}) => ({
  label: 'Start a backfill',
  title: 'Start a backfill',
  explain: h(
    'p',
    null,
    'A migration exports what the source holds in a range and the archive doesn’t. What is archived already is left alone, so an empty form is safe: it means everything that is pending.',
  ),
  path: '/migrate',
  fields: [
    ({ fault }) =>
      h(
        'div',
        { class: 'form-grid' },
        textField({
          name: 'from',
          label: 'From (event time)',
          place: 'dialog',
          value: given.from,
          placeholder: '2026-11-01',
          hint: 'UTC, or with an offset. Empty: the first message.',
          fault: fault('from'),
        }),
        textField({
          name: 'to',
          label: 'Before',
          place: 'dialog',
          value: given.to,
          placeholder: '2026-11-02T12:00',
          hint: 'Empty: up to now, less the lag.',
          fault: fault('to'),
        }),
        textField({
          name: 'batchSize',
          label: 'Messages in a batch',
          place: 'dialog',
          inputmode: 'numeric',
          hint: 'Empty: the deployment’s.',
          fault: fault('batchSize'),
        }),
        textField({
          name: 'priority',
          label: 'Priority, 0 to 9',
          place: 'dialog',
          inputmode: 'numeric',
          hint: '5 and more use the faster queue.',
          fault: fault('priority'),
        }),
      ),
    ({ fault }) =>
      textField({
        name: 'query',
        label: 'Only messages that match (query DSL, JSON)',
        kind: 'long',
        place: 'dialog',
        class: 'input mono',
        placeholder: '{"term": {"customer": "acme"}}',
        fault: fault('filters.query') ?? fault('filters'),
      }),
    () =>
      checkField({
        name: 'reExport',
        label: 'Export sealed hours again',
        place: 'dialog',
        hint: 'Their messages are archived and their rows are purged: they would stand in the bucket twice.',
      }),
  ],
  body: bodyOf,
  foretell: foretold,
  act: 'Start it',
  done: (answer) =>
    answer.migrationId ? 'The migration is made. The harvester begins with it within a minute.' : answer.message,
  after: (answer) => answer.migrationId && go(`/migrations/${answer.migrationId}`),
});

function bodyOf({ from, to, query, ...rest }) {
  return { ...rest, from: instantOf(from), to: instantOf(to), ...(query ? { filters: { query: parsed(query) } } : {}) };
}

// What is no JSON goes as it is: the API says what is wrong with it, and under which name.
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function foretold(answer) {
  if (!answer.range) return h('p', null, answer.message);
  const { estimate, perDay, inLedger } = answer;
  return h(
    'div',
    { class: 'stack' },
    h('p', null, h('strong', null, range(answer.range.from, answer.range.to)), ' · ', answer.kind),
    facts([
      ['In the source', count(answer.inSource)],
      ['On record', count(inLedger?.known)],
      ['New at least', count(answer.newAtLeast)],
      ['Objects', count(estimate?.objects)],
      ['Stored', estimate?.bytesStored === null ? 'not measured yet' : bytes(estimate?.bytesStored)],
      ['Takes about', estimate?.durationSeconds === null ? 'not measured yet' : duration(estimate?.durationSeconds)],
      [
        'Costs about',
        estimate?.cost
          ? `${money(estimate.cost.total, estimate.cost.currency)}, then ${money(estimate.cost.storagePerMonth, estimate.cost.currency)} a month`
          : undefined,
      ],
    ]),
    [...(answer.notes ?? []), ...(estimate?.notes ?? [])].map((text) => note({ key: text }, h('p', null, text))),
    perDay?.length
      ? h(
          'details',
          null,
          h('summary', null, 'By day'),
          table({
            caption: 'What would be migrated, by day',
            cards: false,
            rows: perDay.slice(0, DAYS_SHOWN_MAX),
            key: (day) => day.day,
            columns: [
              { name: 'Day', head: true, cell: (day) => day.day },
              { name: 'In the source', kind: 'number', cell: (day) => count(day.inSource) },
              { name: 'On record', kind: 'number', cell: (day) => count(day.inLedger) },
              { name: 'New', kind: 'number', cell: (day) => count(day.new) },
            ],
          }),
          perDay.length > DAYS_SHOWN_MAX
            ? h('p', { class: 'aside' }, `and ${perDay.length - DAYS_SHOWN_MAX} more days`)
            : null,
        )
      : null,
  );
}

const money = (amount, currency) =>
  new Intl.NumberFormat('en', { style: 'currency', currency: currency ?? 'USD', maximumSignificantDigits: 2 }).format(
    amount ?? 0,
  );
