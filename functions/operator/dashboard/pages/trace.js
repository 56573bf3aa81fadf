// A message's life: where it was seen, who owns it, every attempt at it, its line in the archive, and what the source
// says of it now. Its contents are shown nowhere.

import { get } from '../api.js';
import { h } from '../element.js';
import { stateBadge, toneOf } from '../badge.js';
import { at, range } from '../clock.js';
import { facts } from '../facts.js';
import { textField, valuesOf } from '../field.js';
import { bytes, count, counted, milliseconds, shortId, words } from '../format.js';
import { empty, note, panel } from '../panel.js';
import { go, link, segment } from '../router.js';

const STATES = {
  waiting: 'It is on record and waits to be exported.',
  in_work: 'A worker has its batch in hand.',
  failed: 'The last attempt at its batch failed; it is tried again by itself.',
  parked: 'Its batch has no attempt left, and waits for people.',
  archived: 'It is in the archive.',
  missing: 'The source no longer had it when it was to be exported. The manifest says so.',
  quarantined: 'It can’t be exported; its raw bytes are kept for people.',
  released: 'Nobody owns it: its migration was cancelled. The next migration over its time takes it.',
  re_exporting: 'It is in the archive, and is being exported again.',
};
const CHANGES = {
  unchanged: 'The source still has the version that is archived.',
  updated: 'The source has changed it since. An update isn’t exported again by itself.',
  gone: 'The source no longer has it.',
  unknown: 'Whether the source has changed it is not known.',
};

export const traceSearch = {
  path: '/trace',
  everyMs: 0,
  title: () => 'Message trace',
  lead: () => 'What became of one message, from the source to its line in the archive.',
  view: () => panel({ title: 'Which message' }, search('')),
};

// A dot, or two of them, is no id to a path but a way.
const address = (id) =>
  id === '.' || id === '..' ? ['/messages/trace', { id }] : [`/messages/${segment(id)}/trace`, {}];

const search = (value) =>
  h(
    'form',
    { class: 'row foot', role: 'search', onsubmit: find },
    h(
      'div',
      { class: 'grow' },
      textField({ name: 'id', label: 'Message id', place: 'trace', value, required: true, class: 'input mono' }),
    ),
    h('button', { type: 'submit', class: 'button main-act' }, 'Trace'),
  );

function find(event) {
  event.preventDefault();
  const { id } = valuesOf(event.target);
  if (id) go(`/trace/${segment(id)}`);
}

export const trace = {
  path: '/trace/:id',
  room: '/trace',
  above: ['/trace', 'Message trace'],
  everyMs: 15_000,
  title: () => 'Message trace',
  lead: ({ params }) => h('span', { class: 'mono' }, params.id),
  load: async (visit) => {
    try {
      return await get(...address(visit.params.id), visit.signal);
    } catch (problem) {
      if (problem.status === 404) return { absent: problem };
      throw problem;
    }
  },
  view: (visit) => {
    const { data } = visit;
    if (data.absent) return [absent(visit), panel({ title: 'Another one' }, search(visit.params.id))];
    return [
      note(
        { tone: { good: 'good', bad: 'bad', warn: 'warn' }[toneOf(data.state)], title: words(data.state) },
        h('p', null, STATES[data.state]),
      ),
      data.batch?.remedy && data.state !== 'archived'
        ? note({ title: 'What to do' }, h('p', null, data.batch.remedy))
        : null,
      h('div', { class: 'halves' }, seen(data), owner(data)),
      data.object ? archive(visit) : null,
      sourceNow(data.source),
      data.attempts?.length
        ? panel({ title: 'Attempts at its batch', aside: 'the newest first' }, attempts(data.attempts))
        : null,
      data.superseded?.length ? replaced(data.superseded) : null,
      panel({ title: 'Another one' }, search('')),
    ];
  },
};

const absent = ({ data: { absent: problem } }) =>
  h(
    'section',
    { class: 'panel' },
    empty('The ledger has no such message', problem.detail, problem.remedy ? h('p', null, problem.remedy) : null),
  );

const seen = ({ message, window, migration }) =>
  panel(
    { title: 'Seen at the source' },
    facts([
      ['Event time', at(message.eventTime)],
      ['Index', h('span', { class: 'mono' }, message.index)],
      ['Document', message.docId ? h('span', { class: 'mono' }, message.docId) : undefined],
      ['Routing', message.routing ? h('span', { class: 'mono' }, message.routing) : undefined],
      ['Outcome', message.outcome ? stateBadge(message.outcome) : undefined],
      ['Reason', message.reason ?? undefined],
      [
        'Window',
        window
          ? h(
              'a',
              { href: link('/windows', { from: window.from, to: window.to, window: window.id }) },
              range(window.from, window.to),
            )
          : null,
      ],
      ['Recorded', at(window?.recordedAt)],
      ['Verified', at(window?.verifiedAt)],
      [
        'Migration',
        migration
          ? h('a', { href: `#/migrations/${segment(migration.id)}` }, `${migration.kind} …${shortId(migration.id)}`)
          : null,
      ],
    ]),
  );

function owner({ batch }) {
  if (!batch)
    return panel(
      { title: 'Its batch' },
      empty('Nobody owns it', 'Under Controls, messages without an owner can be given one.'),
    );
  return panel(
    { title: 'Its batch', aside: h('a', { href: `#/batches/${batch.id}` }, `Batch ${batch.id}`) },
    facts([
      ['Status', stateBadge(batch.parkedAt ? 'parked' : batch.status)],
      ['Messages', count(batch.messages)],
      ['Attempts', count(batch.attempts)],
      ['Generation', String(batch.generation)],
      ['Recorded', at(batch.createdAt)],
      ['Last sent', at(batch.enqueuedAt)],
      ['Settled', batch.settledAt ? at(batch.settledAt) : undefined],
      ['Next try', batch.notBefore ? at(batch.notBefore) : undefined],
      ['Error', batch.error ? `${words(batch.errorCode)}: ${batch.error}` : undefined, 'wide'],
    ]),
  );
}

function archive(visit) {
  const { object } = visit.data;
  return panel(
    { title: 'In the archive' },
    object.lineRead !== 'read'
      ? note(
          { tone: 'warn', title: `Its line: ${words(object.lineRead)}` },
          object.lineReason ? h('p', null, object.lineReason) : null,
        )
      : null,
    facts([
      ['Line', object.line === null ? null : `${count(object.line)} of ${count(object.exported)}`],
      ['Line is', object.lineBytes === null ? null : bytes(object.lineBytes)],
      ['Version', object.version === null ? null : String(object.version)],
      ['Object', `${bytes(object.bytesStored)} stored, ${bytes(object.bytesRaw)} raw`],
      ['Key', h('span', { class: 'mono' }, object.key), 'wide'],
      ['Manifest', object.manifestKey ? h('span', { class: 'mono' }, object.manifestKey) : undefined, 'wide'],
      ['SHA-256 of the line', object.lineSha256 ? h('span', { class: 'mono' }, object.lineSha256) : null, 'wide'],
      ['SHA-256 of the object', h('span', { class: 'mono' }, object.sha256), 'wide'],
    ]),
    contents(visit.data),
  );
}

// Contents may be personal, and the desk is looked at over shoulders: what is shown is where they are, and how those who
// may read the bucket read them.
function contents({ object }) {
  if (object.line === null) return h('p', { class: 'aside' }, 'The contents of messages are not shown here.');
  const command = `aws s3 cp "s3://$BUCKET/${object.key}" - ${unpacked(object.key)}| sed -n ${object.line}p`;
  return h(
    'details',
    null,
    h('summary', null, 'Its contents are not shown here: how to read them'),
    h('pre', { class: 'source', tabindex: '0', 'aria-label': 'Command that prints the line' }, command),
  );
}

const unpacked = (key) => (key.endsWith('.zst') ? '| zstd -dc ' : key.endsWith('.gz') ? '| gzip -dc ' : '');

function sourceNow(source) {
  if (!source) return null;
  return panel(
    { title: 'At the source now', aside: stateBadge(source.change) },
    h('p', null, CHANGES[source.change]),
    source.reason ? h('p', { class: 'muted' }, source.reason) : null,
    source.version === null || source.version === undefined
      ? null
      : h('p', { class: 'small muted' }, `Version ${source.version}.`),
  );
}

const attempts = (all) =>
  h(
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
          attempt.endedAt
            ? h(
                'span',
                { class: 'aside' },
                `took ${milliseconds(Date.parse(attempt.endedAt) - Date.parse(attempt.startedAt))}`,
              )
            : null,
        ),
        attempt.errorCode
          ? h(
              'p',
              { class: 'wrap' },
              h('strong', null, words(attempt.errorCode)),
              attempt.error ? `: ${attempt.error}` : '',
            )
          : null,
        h('p', { class: 'aside wrap' }, 'Worker ', h('span', { class: 'mono' }, attempt.worker)),
      ),
    ),
  );

const replaced = (all) =>
  panel(
    { title: 'Objects that were replaced' },
    h(
      'ul',
      { class: 'stack tight' },
      all.map((one) =>
        h(
          'li',
          { key: one.generation },
          h(
            'p',
            null,
            `Generation ${one.generation}, ${counted(one.exported, 'message')}: ${one.reason ?? 'exported again'} (`,
            at(one.askedAt),
            ')',
          ),
          h('p', { class: 'mono small' }, one.key),
          h(
            'p',
            { class: 'aside' },
            one.removedAt
              ? ['Taken away ', at(one.removedAt)]
              : one.keptAt
                ? ['Kept on purpose ', at(one.keptAt)]
                : 'Still there.',
          ),
        ),
      ),
    ),
  );
