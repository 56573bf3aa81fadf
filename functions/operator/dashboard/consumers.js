// The triggers that hand messages of the queues to exporters: how they stand, and their switches.

import { actButton, foretoldSwitches } from './act.js';
import { h } from './element.js';
import { badge, switchBadge } from './badge.js';
import { at } from './clock.js';
import { choiceField } from './field.js';
import { count, counted, words } from './format.js';
import { note, panel, problemNote } from './panel.js';
import { segment } from './router.js';
import { table } from './table.js';

const LANES = [
  ['', 'both'],
  ['batches', 'batches'],
  ['batches-priority', 'batches-priority'],
];

export function consumersPart(visit, status) {
  if (status.problem)
    return panel({ title: 'Consumers' }, problemNote(status.problem, { title: 'The triggers can’t be asked' }));
  return panel(
    { title: 'Consumers', aside: switchBadge(status.status), flush: true, acts: switches(visit) },
    status.restart ? restarting(status.restart) : null,
    table({
      caption: 'The triggers of the queues',
      rows: status.consumers,
      key: (consumer) => consumer.id,
      columns: [
        { name: 'Queue', head: true, cell: (consumer) => h('code', null, consumer.queue) },
        {
          name: 'State',
          cell: (consumer) =>
            badge(
              words(consumer.state).toLowerCase(),
              consumer.enabled ? 'good' : consumer.state === 'Disabled' ? 'warn' : 'run',
            ),
        },
        { name: 'Batch size', kind: 'number', cell: (consumer) => count(consumer.batchSize) },
        { name: 'At once', kind: 'number', cell: (consumer) => count(consumer.maximumConcurrency) },
        { name: 'Changed', cell: (consumer) => at(consumer.modifiedAt) },
        { name: 'Last result', kind: 'text', cell: (consumer) => consumer.lastResult ?? '–' },
      ],
    }),
  );
}

const restarting = (restart) =>
  h(
    'div',
    { class: 'inset' },
    note(
      {
        title: `A restart is under way: ${restart.phase}`,
        acts: h('a', { class: 'button small', href: `#/operations/${segment(restart.operationId)}` }, 'How far it is'),
      },
      h('p', null, 'Off, wait until nobody works, on again.'),
    ),
  );

function switches(visit) {
  const lane = () => choiceField({ name: 'queue', label: 'Queue', place: 'dialog', value: '', options: LANES });
  const body = ({ queue }) => ({ queue });
  return [
    actButton(visit, {
      label: 'Start',
      small: true,
      title: 'Start the consumers?',
      explain: h('p', null, 'SQS hands messages to exporters again.'),
      path: '/queue/consumers/start',
      fields: [lane],
      body,
      foretell: foretoldSwitch,
      done: () => 'The triggers are being switched on.',
    }),
    actButton(visit, {
      label: 'Stop',
      small: true,
      danger: true,
      title: 'Stop the consumers?',
      explain: h(
        'p',
        null,
        'Exporters finish what they have in hand; nothing more is handed to them. Messages wait in their queues.',
      ),
      path: '/queue/consumers/stop',
      fields: [lane],
      body,
      foretell: foretoldSwitch,
      done: () => 'The triggers are being switched off.',
    }),
    actButton(visit, {
      label: 'Restart',
      small: true,
      title: 'Restart the consumers?',
      explain: h('p', null, 'Off, wait until nobody works, on again.'),
      path: '/queue/consumers/restart',
      foretell: ({ attemptsInFlight }) => h('p', null, `${counted(attemptsInFlight, 'attempt')} would be waited for.`),
      done: () => 'The consumers were restarted.',
    }),
  ];
}

const foretoldSwitch = ({ consumers, restartsEnded }) => [
  foretoldSwitches(consumers.map((consumer) => [consumer.queue, consumer])),
  restartsEnded.length ? h('p', null, 'The restart that is under way would end with it.') : null,
];
