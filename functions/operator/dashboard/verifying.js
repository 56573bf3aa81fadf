// The question that starts a verification.

import { h } from './element.js';
import { checkField, choiceField, instantOf, textField } from './field.js';
import { go } from './router.js';

const WAYS = [
  ['', 'Only look'],
  ['dryRun', 'Look, and say what a repair would do'],
  ['repair', 'Look, and repair what is found'],
];

/** What `actButton` needs to start a verification; of one migration, where one is given. */
export const verifyQuestion = ({ migrationId } = {}) => ({
  label: 'Verify',
  title: migrationId ? 'Verify this migration?' : 'Verify',
  explain: h(
    'p',
    null,
    'Three sets of ids are compared, hour by hour: what the source shows, what the ledger has on record, and what is read back from the objects.',
  ),
  path: '/verify',
  fields: [
    ({ fault }) =>
      migrationId
        ? null
        : h(
            'div',
            { class: 'form-grid' },
            textField({
              name: 'from',
              label: 'From (event time)',
              place: 'dialog',
              placeholder: '2026-11-21',
              hint: 'UTC. Empty: from the first message on.',
              fault: fault('from'),
            }),
            textField({
              name: 'to',
              label: 'Before',
              place: 'dialog',
              placeholder: '2026-11-22',
              hint: 'Empty: up to where the harvest is.',
              fault: fault('to'),
            }),
          ),
    ({ fault }) =>
      choiceField({
        name: 'way',
        label: 'What to do about findings',
        options: WAYS,
        value: '',
        place: 'dialog',
        hint: fault('repair'),
      }),
    () =>
      checkField({
        name: 'quick',
        label: 'Quick: compare counts and manifests only',
        place: 'dialog',
        hint: 'Says CONSISTENT at best, and repairs nothing.',
      }),
    ({ fault }) =>
      checkField({
        name: 'content',
        label: 'Content: compare every message with the source',
        place: 'dialog',
        hint: fault('content') ?? 'Reads each document once more. Without it, 20 messages of each object are compared.',
      }),
    ({ fault }) =>
      checkField({
        name: 'archiveOnly',
        label: "Archive only: don't read the source",
        place: 'dialog',
        hint: fault('archiveOnly') ?? 'For a source that was cleaned up: compares the ledger with the archive.',
      }),
  ],
  body: ({ from, to, way, quick, content, archiveOnly }) => ({
    migrationId,
    from: instantOf(from),
    to: instantOf(to),
    quick,
    content: content || undefined,
    archiveOnly: archiveOnly || undefined,
    repair: way ? true : undefined,
    dryRun: way === 'dryRun' ? true : undefined,
  }),
  act: 'Start',
  done: ({ result }) => `The verdict: ${result?.verdict ?? 'on its way'}.`,
  after: ({ operationId }) => go(`/operations/${operationId}`),
});
