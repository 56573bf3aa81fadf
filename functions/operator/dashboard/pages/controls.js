// Controls: what runs and what doesn't, the live settings, and the things people start by hand.

import { get } from '../api.js';
import { actButton, batchNumbers, foretoldChanges, foretoldSwitches, lookOnly, perform } from '../act.js';
import { backfill } from '../backfill.js';
import { consumersPart } from '../consumers.js';
import { h } from '../element.js';
import { badge, switchBadge } from '../badge.js';
import { at, since } from '../clock.js';
import { choiceField, textField } from '../field.js';
import { capital, count, counted, label } from '../format.js';
import { panel, problemNote } from '../panel.js';
import { mayChange } from '../session.js';
import { allowed } from '../slow.js';
import { table } from '../table.js';
import { keep } from '../watch.js';

const STAGES = [
  [
    'harvest',
    'Harvest',
    'Ids are read from the source and put on record.',
    'No window is opened or read on. Messages wait at the source.',
  ],
  [
    'export',
    'Export',
    'Batches are sent to the queues, exported and settled.',
    'Nothing is sent or claimed. Workers finish what they have in hand.',
  ],
];

export const controls = {
  path: '/controls',
  everyMs: 10_000,
  title: () => 'Controls',
  lead: () => 'What is changed here holds at once, and is written into the audit with your reason.',
  load: async (visit) => {
    const now = Date.now();
    const [overview, scheduler, consumers, tune] = await Promise.all([
      get('/overview', {}, visit.signal),
      allowed(get('/migrate/scheduler/status', {}, visit.signal)),
      allowed(get('/queue/consumers/status', {}, visit.signal)),
      allowed(get('/tune', {}, visit.signal)),
    ]);
    keep(overview, now);
    return { overview, scheduler, consumers, tune };
  },
  view: (visit) => [
    lookOnly(),
    stages(visit),
    byHand(visit),
    settings(visit),
    schedules(visit),
    consumersPart(visit, visit.data.consumers),
  ],
};

function stages(visit) {
  const paused = (stage) => (visit.data.overview.pauses ?? []).find((pause) => pause.stage === stage);
  return panel(
    { title: 'Stages' },
    h(
      'div',
      { class: 'halves' },
      STAGES.map(([stage, name, does, stops]) =>
        h(
          'div',
          { class: 'stack tight', key: stage },
          h(
            'div',
            { class: 'row apart' },
            h('h3', null, name),
            paused(stage) ? badge('paused', 'warn') : badge('running', 'good'),
          ),
          h(
            'p',
            { class: 'small muted' },
            paused(stage)
              ? [
                  'Since ',
                  since(paused(stage).since),
                  `, by ${paused(stage).by}${paused(stage).reason ? `: ${paused(stage).reason}` : ''}. ${stops}`,
                ]
              : does,
          ),
          h('div', { class: 'row' }, paused(stage) ? resume(visit, stage, name) : pause(visit, stage, name, stops)),
        ),
      ),
    ),
  );
}

const pause = (visit, stage, name, stops) =>
  actButton(visit, {
    label: `Pause ${name.toLowerCase()}`,
    title: `Pause the ${name.toLowerCase()}?`,
    explain: h('p', null, stops),
    path: '/pause',
    body: { stage },
    foretell: foretoldSteering,
    danger: true,
    act: 'Pause',
    done: () => `${name} is paused.`,
  });
const resume = (visit, stage, name) =>
  actButton(visit, {
    label: `Resume ${name.toLowerCase()}`,
    title: `Resume the ${name.toLowerCase()}?`,
    explain: h('p', null, 'It goes on where it was.'),
    path: '/resume',
    body: { stage },
    foretell: foretoldSteering,
    act: 'Resume',
    done: () => `${name} goes on.`,
  });

const foretoldSteering = ({ stages: meant, before, after }) =>
  foretoldChanges(meant.map((stage) => [capital(stage), before[stage], after[stage]]));

function byHand(visit) {
  return panel(
    { title: 'By hand' },
    h(
      'div',
      { class: 'stack' },
      deed(
        'Run now',
        'Everything that is due, in order: what is unsent, what dead workers held, what failed.',
        actButton(visit, processAll),
      ),
      deed(
        'Start a backfill',
        'A dry run first: counts by day, objects, bytes, time and cost.',
        actButton(visit, backfill()),
      ),
      deed(
        'Take back stuck work',
        'What dead workers held is given to others, without waiting for the reaper.',
        actButton(visit, completeProcessing),
      ),
      deed(
        'Close what is stuck',
        'Migrations and windows whose state no longer matches their batches.',
        actButton(visit, fixStuck),
      ),
      deed(
        'Give owners to messages',
        'Messages that nobody owns, as after a cancellation, get batches.',
        actButton(visit, adopt),
      ),
    ),
  );
}

const deed = (name, text, button) =>
  h(
    'div',
    { class: 'row apart', key: name },
    h('div', null, h('h3', null, name), h('p', { class: 'small muted' }, text)),
    button,
  );

const processAll = {
  label: 'Run now',
  title: 'Run everything that is due?',
  explain: h('p', null, 'What the reaper does each minute, at once.'),
  path: '/migrate/process-all',
  foretell: ({ found }) =>
    h(
      'ul',
      null,
      h('li', null, `${counted(found.unsent, 'batch', 'batches')} to send`),
      h('li', null, `${counted(found.deadWorkers, 'batch', 'batches')} to take back from dead workers`),
      h(
        'li',
        null,
        `${counted(found.failedDue, 'failed batch', 'failed batches')} to retry; ${count(found.failedWaiting)} not due yet`,
      ),
      h('li', null, `${count(found.parked)} parked: they wait for people, on the page of failures`),
    ),
  done: ({ sent, takenBack, retried, isComplete }) =>
    `${count(sent)} sent, ${count(takenBack)} taken back, ${count(retried)} retried.${isComplete ? '' : ' There is more: run it again.'}`,
};

const completeProcessing = {
  label: 'Take back',
  title: 'Take back what dead workers hold?',
  path: '/migrate/complete-processing',
  foretell: ({ found, batches }) => [
    h('p', null, `${counted(found, 'batch', 'batches')} would be taken back.`),
    batchNumbers(batches),
  ],
  done: ({ takenBack }) => `${counted(takenBack, 'batch', 'batches')} taken back.`,
};

const fixStuck = {
  label: 'Close',
  title: 'Close what is stuck?',
  path: '/migrate/fix-stuck-jobs',
  foretell: ({ found }) =>
    h(
      'p',
      null,
      `${counted(found.windows.length, 'window')} would be handed back, ${counted(found.toDrain.length, 'migration')} drained, ${count(found.toComplete.length)} completed, ${counted(found.batchesToRelease, 'batch', 'batches')} released.`,
    ),
  done: ({ windowsHandedBack, drained, completed }) =>
    `${counted(windowsHandedBack, 'window')} handed back, ${count(drained)} drained, ${counted(completed, 'migration')} completed.`,
};

const adopt = {
  label: 'Give owners',
  title: 'Give owners to messages that have none?',
  path: '/migrate/create-missing-migrations',
  foretell: ({ result, message }) =>
    h(
      'p',
      null,
      result
        ? `${counted(result.found, 'message')} would get batches.${result.hasMore ? ' There are more.' : ''}`
        : message,
    ),
  done: ({ result }) => `${counted(result?.adopted ?? 0, 'message')} got batches.`,
};

function settings(visit) {
  const { tune } = visit.data;
  if (tune.problem)
    return panel({ title: 'Settings' }, problemNote(tune.problem, { title: 'The settings can’t be shown' }));
  return panel(
    { title: 'Settings', aside: 'they hold from the next tick or batch on', flush: true },
    table({
      caption: 'Live settings',
      rows: tune.settings,
      key: (setting) => setting.name,
      columns: [
        {
          name: 'Setting',
          head: true,
          kind: 'text',
          cell: (setting) => [
            h('span', null, settingName(setting)),
            h('p', { class: 'aside small' }, setting.appliesTo),
          ],
        },
        { name: 'Value', kind: 'number', cell: (setting) => `${count(setting.value)} ${setting.unit ?? ''}` },
        { name: 'From', cell: origin },
        {
          name: 'Possible',
          cell: (setting) => h('span', { class: 'nowrap' }, `${count(setting.min)} to ${count(setting.max)}`),
        },
        {
          name: 'Changed',
          cell: (setting) =>
            setting.changedAt
              ? [at(setting.changedAt), h('p', { class: 'aside nowrap' }, `by ${setting.changedBy}`)]
              : '–',
        },
        { name: 'Acts', cell: (setting) => h('div', { class: 'row' }, change(visit, setting), reset(visit, setting)) },
      ],
    }),
  );
}

// What holds without tuning is worth a word only where something was tuned.
const origin = ({ source, environment }) =>
  source === 'tuned'
    ? [badge('tuned', 'run'), h('p', { class: 'aside nowrap' }, `else ${count(environment)}`)]
    : badge(source, 'off');

// The unit stands beside the value, so the name can do without.
const settingName = ({ name }) => capital(label(name.replace(/(Ms|Seconds)$/, '')));

const change = (visit, setting) =>
  actButton(visit, {
    label: 'Change',
    small: true,
    title: `Change “${settingName(setting)}”?`,
    explain: h('p', null, setting.appliesTo),
    path: '/tune',
    fields: [
      ({ fault }) =>
        textField({
          name: 'value',
          label: `From ${count(setting.min)} to ${count(setting.max)} ${setting.unit ?? ''}`,
          place: 'dialog',
          value: String(setting.value),
          inputmode: 'numeric',
          required: true,
          fault: fault(setting.name),
        }),
    ],
    body: ({ value }) => ({ [setting.name]: value }),
    foretell: foretoldChange,
    done: () => `“${settingName(setting)}” is changed.`,
  });

// Where nothing was tuned there is nothing to take back, and no button.
const reset = (visit, setting) =>
  setting.source === 'tuned' && mayChange()
    ? h(
        'button',
        {
          type: 'button',
          class: 'button small plain',
          onclick: () =>
            perform(visit, {
              act: 'Reset',
              title: `Reset “${settingName(setting)}”?`,
              explain: h(
                'p',
                null,
                `The deployment’s own ${count(setting.environment ?? setting.default)} holds again.`,
              ),
              path: '/tune',
              body: { [setting.name]: null },
              foretell: foretoldChange,
              done: () => `“${settingName(setting)}” is reset.`,
            }),
        },
        'Reset',
      )
    : null;

const foretoldChange = ({ changes }) =>
  foretoldChanges(changes.map((one) => [settingName(one), count(one.before), count(one.after)]));

function schedules(visit) {
  const { scheduler } = visit.data;
  if (scheduler.problem)
    return panel({ title: 'Scheduler' }, problemNote(scheduler.problem, { title: 'The schedules can’t be asked' }));
  const which = () =>
    choiceField({
      name: 'schedule',
      label: 'Schedule',
      place: 'dialog',
      value: '',
      options: [['', 'both'], ...scheduler.schedules.map((one) => [one.schedule, one.schedule])],
    });
  const body = ({ schedule }) => ({ schedule });
  const foretell = ({ schedules: all }) => foretoldSwitches(all.map((one) => [capital(one.schedule), one]));
  return panel(
    {
      title: 'Scheduler',
      aside: switchBadge(scheduler.status),
      flush: true,
      acts: [
        actButton(visit, {
          label: 'Start',
          small: true,
          title: 'Start the scheduler?',
          explain: h('p', null, 'Harvester and reaper are called again each minute.'),
          path: '/migrate/scheduler/start',
          fields: [which],
          body,
          foretell,
          done: ({ message }) => message ?? 'The scheduler runs.',
        }),
        actButton(visit, {
          label: 'Stop',
          small: true,
          danger: true,
          title: 'Stop the scheduler?',
          explain: h(
            'p',
            null,
            'Without the harvester nothing new is put on record; without the reaper nothing is sent again, retried or told.',
          ),
          path: '/migrate/scheduler/stop',
          fields: [which],
          body,
          foretell,
          typed: 'scheduler',
          done: ({ message }) => message ?? 'The scheduler is stopped.',
        }),
      ],
    },
    table({
      caption: 'Schedules',
      rows: scheduler.schedules,
      key: (one) => one.schedule,
      columns: [
        { name: 'Schedule', head: true, cell: (one) => one.schedule },
        { name: 'State', cell: (one) => (one.enabled ? badge('on', 'good') : badge('off', 'warn')) },
        { name: 'When', cell: (one) => h('code', null, one.expression) },
        { name: 'Name', kind: 'text', cell: (one) => h('span', { class: 'mono small' }, `${one.group}/${one.name}`) },
        { name: 'Changed', cell: (one) => at(one.modifiedAt) },
      ],
    }),
  );
}
