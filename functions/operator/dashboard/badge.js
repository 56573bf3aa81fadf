// States as coloured words. The word says it all; colour and shape only help the eye.

import { h } from './element.js';
import { words } from './format.js';

const TONES = {
  // Batches and attempts.
  pending: 'wait',
  processing: 'run',
  in_progress: 'run',
  success: 'good',
  completed: 'good',
  failed: 'bad',
  cancelled: 'off',
  parked: 'bad',
  deferred: 'warn',
  handed_back: 'wait',
  reaped: 'bad',
  in_flight: 'run',
  // Migrations and windows.
  open: 'run',
  draining: 'run',
  harvesting: 'run',
  recorded: 'run',
  verified: 'good',
  paused: 'warn',
  complete: 'done',
  exporting: 'run',
  failing: 'bad',
  incomplete: 'bad',
  late: 'warn',
  drifted: 'warn',
  // Operations.
  waiting: 'wait',
  running: 'run',
  succeeded: 'good',
  // Verdicts.
  COMPLETE: 'good',
  CONSISTENT: 'good',
  DRIFTED: 'warn',
  PENDING: 'wait',
  INCOMPLETE: 'bad',
  INCONSISTENT: 'bad',
  // Messages.
  archived: 'good',
  in_work: 'run',
  missing: 'warn',
  quarantined: 'warn',
  released: 'wait',
  re_exporting: 'run',
  unchanged: 'good',
  updated: 'warn',
  gone: 'warn',
  unknown: 'off',
  // Services, queues, schedules.
  up: 'good',
  down: 'bad',
  degraded: 'warn',
  partly: 'warn',
  changing: 'run',
  stopped: 'warn',
  arrived: 'good',
  'under-way': 'run',
  overdue: 'bad',
  // What was found.
  failure: 'bad',
  deferral: 'warn',
  exception: 'warn',
};

/** A word with its tone: good, done, run, wait, warn, bad, off. */
export const badge = (text, tone = 'wait') => h('span', { class: `badge ${tone}` }, text);

/** A state of the API under its own name. */
export function stateBadge(name, shown = words(name)) {
  return name ? badge(shown, TONES[name] ?? 'wait') : h('span', { class: 'muted' }, '–');
}

/** Whether schedules or triggers are on: running is as it should be, not work in progress. */
export const switchBadge = (status) => badge(words(status), status === 'running' ? 'good' : (TONES[status] ?? 'off'));

export const toneOf = (name) => TONES[name] ?? 'wait';

/** The state of a batch: parked says more than failed. */
export const batchBadge = (batch) =>
  stateBadge(batch.parked ? 'parked' : batch.deferredSince && batch.status === 'pending' ? 'deferred' : batch.status);
