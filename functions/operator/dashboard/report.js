// The report of a verification: the verdict, the numbers behind it, and what was found, worst first.

import { h } from './element.js';
import { range } from './clock.js';
import { stateBadge } from './badge.js';
import { facts, tile, tiles } from './facts.js';
import { bytes, capital, count, counted, label, milliseconds, time, words } from './format.js';
import { empty, note, panel } from './panel.js';
import { segment } from './router.js';
import { runbook } from './runbook.js';
import { table } from './table.js';

const VERDICTS = {
  COMPLETE: ['good', 'The three sets of ids are equal, and every object and manifest is what the ledger says.'],
  CONSISTENT: ['good', 'Counts and manifests agree. A full verification compares the ids as well.'],
  DRIFTED: ['warn', 'Nothing is missing, but the archive has ids that the source no longer shows there.'],
  PENDING: ['wait', 'Nothing is lost, but some batches are pending, in progress, failed or parked.'],
  INCOMPLETE: [
    'bad',
    'The source shows ids that can’t be read from the archive, or the archive isn’t what the ledger says.',
  ],
  INCONSISTENT: ['bad', 'Counts or manifests differ. A full verification says which messages it is about.'],
};
const REMEDIES = {
  harvest: 'is harvested again',
  re_export: 'is exported again',
  under_way: 'is being exported again already',
  later: 'is left to another run',
};

/** The range that a verification is about; none is told before its end. */
export const verifiedRange = ({ scope }) => (scope ? range(scope.range.from, scope.range.to) : 'not known yet');

/** A verification while it runs, or once it is over. */
export function report(operation) {
  const account = operation.result ?? operation.progress?.account;
  if (!account) return null;
  const { verdict, acceptedExceptions } = operation.result ?? {};
  const [tone, text] = VERDICTS[verdict] ?? [];
  const scope = operation.result?.scope ?? operation.progress?.scope;
  return [
    verdict
      ? note(
          {
            tone,
            title: acceptedExceptions
              ? `${verdict}, ${counted(acceptedExceptions, 'accepted exception')}`
              : verdict,
          },
          h('p', null, text),
          scope ? h('p', { class: 'remedy' }, verifiedRange({ scope }), scope.quick ? ', quick' : '') : null,
        )
      : null,
    numbers(account.counts),
    repairs(account.repairs),
    exceptions(account.exceptions),
    findings(account),
    panel(
      { title: 'How it was looked at' },
      facts([
        ['Hours', count(account.hours)],
        ['Of these, sealed', account.sealedHours ? count(account.sealedHours) : undefined],
        ['Batches', count(account.batchesChecked)],
        ['Objects read back', count(account.objectsChecked)],
        ['Read from S3', bytes(account.bytesRead)],
        ['Content equal', count(account.content?.equal)],
        ['Content different', count(account.content?.different)],
        ['Updated since export', count(account.content?.updated)],
        ['Outside of every window', outside(operation.result?.outside)],
        ['Worked', milliseconds(account.workedMs)],
        ['Digest of the source', digest(account.digests?.source), 'wide'],
        ['Digest of the ledger', digest(account.digests?.ledger), 'wide'],
        ['Digest of the archive', digest(account.digests?.archive), 'wide'],
      ]),
    ),
  ];
}

// They don't change the verdict.
function outside(counts) {
  const parts = [
    [counts?.withoutTime, 'without an event time'],
    [counts?.beforeFirstWindow, 'before the first window'],
    [counts?.inFuture, 'in the future'],
  ];
  const some = parts.filter(([documents]) => documents > 0);
  return some.length ? some.map(([documents, why]) => `${count(documents)} ${why}`).join(', ') : undefined;
}

const digest = (value) =>
  value === undefined
    ? undefined
    : h('span', { class: 'mono' }, typeof value === 'string' ? value : JSON.stringify(value));

function numbers(counts) {
  const odd = (name, tone) =>
    tile({ name: capital(label(name)), figure: count(counts[name]), tone: counts[name] ? tone : undefined });
  return tiles(
    tile({ name: 'At the source', figure: count(counts.source) }),
    tile({ name: 'On record', figure: count(counts.ledger) }),
    tile({ name: 'Read back', figure: count(counts.archive) }),
    odd('missing', 'bad'),
    odd('drifted', 'warn'),
    odd('open', 'warn'),
    odd('quarantined', 'warn'),
    odd('tombstones'),
    odd('unreadable', 'bad'),
    odd('released', 'warn'),
    odd('withoutId', 'warn'),
    odd('merged', 'warn'),
    odd('elsewhere'),
  );
}

function repairs(of) {
  if (!of || !Object.values(of).some(Boolean)) return null;
  return panel(
    { title: 'Repairs' },
    facts([
      ['Messages harvested again', count(of.harvested)],
      ['Batches exported again', count(of.reExported)],
      ['Batches under way already', count(of.underWay)],
      ['Messages left to another run', count(of.leftMessages)],
      ['Batches left to another run', count(of.leftBatches)],
    ]),
  );
}

function exceptions(found) {
  if (!found?.length) return null;
  return panel(
    { title: 'Exceptions', flush: true },
    table({
      caption: 'Exceptions',
      rows: found,
      columns: [
        { name: 'Kind', head: true, cell: (one) => words(one.kind) },
        { name: 'Index', cell: (one) => h('span', { class: 'mono small' }, one.index) },
        { name: 'Messages', kind: 'number', cell: (one) => count(one.messages) },
        {
          name: 'Accepted',
          kind: 'text',
          cell: (one) =>
            one.accepted
              ? 'yes'
              : `no: granary exceptions accept --kind ${one.kind} --index ${one.index} --max ${one.messages} --reason TEXT`,
        },
      ],
    }),
  );
}

function findings({ findings: found, findingsByKind }) {
  const sum = Object.values(findingsByKind ?? {}).reduce((total, number) => total + number, 0);
  const kinds = Object.entries(findingsByKind ?? {})
    .map(([kind, number]) => `${words(kind)}: ${count(number)}`)
    .join(', ');
  return panel(
    {
      title: 'Findings',
      aside: sum ? `${kinds}${sum > found.length ? `; the first ${found.length} are shown` : ''}` : undefined,
      flush: true,
    },
    table({
      caption: 'Findings',
      rows: found ?? [],
      nothing: empty('Nothing was found', 'Everything is as it should be, as far as was looked.'),
      columns: [
        {
          name: 'Finding',
          head: true,
          cell: (finding) => h('a', { href: runbook(`finding-${finding.kind}`) }, words(finding.kind)),
        },
        { name: 'Hour', cell: (finding) => h('span', { class: 'nowrap' }, time(finding.hour).slice(0, 16)) },
        {
          name: 'Batch',
          cell: (finding) =>
            finding.batch ? h('a', { href: `#/batches/${finding.batch}` }, String(finding.batch)) : '–',
        },
        { name: 'Messages', kind: 'number', cell: (finding) => count(finding.messages) },
        {
          name: 'What',
          kind: 'text',
          cell: (finding) => [
            h('p', null, finding.text),
            finding.key ? h('p', { class: 'mono small' }, finding.key) : null,
            samples(finding.sampleIds),
          ],
        },
        {
          name: 'Repair',
          cell: (finding) =>
            finding.remedy ? stateBadge(finding.remedy, REMEDIES[finding.remedy] ?? words(finding.remedy)) : '–',
        },
      ],
    }),
  );
}

function samples(ids) {
  if (!ids?.length) return null;
  return h(
    'details',
    null,
    h('summary', null, counted(ids.length, 'message')),
    h(
      'ul',
      { class: 'stack tight' },
      ids.map((id) => h('li', { key: id }, h('a', { class: 'mono small', href: `#/trace/${segment(id)}` }, id))),
    ),
  );
}
