// What people should see on whichever page they are: that a stage is paused, and how much waits for them.
//
// It is asked beside the page's own numbers and seldom; where that fails nothing is shown, since the page itself says
// what is out of reach.

import { get } from './api.js';
import { h } from './element.js';
import { note } from './panel.js';
import { since } from './clock.js';

const EVERY_MS = 20_000;

/** The newest answer of `GET /overview`. */
export const summary = { overview: null };

let askedAt = 0;
let outdatedAt = 0;

/** Asks if the last answer is old. */
export async function watch(changed) {
  const now = Date.now();
  if (now - askedAt < EVERY_MS) return;
  askedAt = now;
  try {
    keep(await get('/overview'), now);
    changed();
  } catch {
    summary.overview = null;
  }
}

/** An overview that was asked for at `since`. What was asked for before a change may not show it. */
export function keep(overview, since) {
  if (since < outdatedAt) return;
  askedAt = since;
  summary.overview = overview;
}

/** Something was changed: the next look asks again, and answers that are on their way don't count. */
export function outdate() {
  outdatedAt = Date.now();
  askedAt = 0;
}

/** Numbers beside the names of pages. */
export function tallies({ overview }) {
  if (!overview) return {};
  return { '/failures': overview.parked, '/alerts': overview.openAlerts };
}

/** One line for each stage that is paused. */
export function pauses({ overview }) {
  const paused = overview?.pauses ?? [];
  if (paused.length === 0) return null;
  return h(
    'div',
    { class: 'stack pauses' },
    paused.map((pause) =>
      note(
        {
          key: pause.stage,
          tone: 'warn',
          title: `${pause.stage === 'harvest' ? 'Harvest' : 'Export'} is paused`,
          acts: h('a', { class: 'button small', href: '#/controls' }, 'To the controls'),
        },
        h(
          'p',
          null,
          `Since `,
          since(pause.since),
          pause.by ? `, by ${pause.by}` : '',
          pause.reason ? `: ${pause.reason}` : '',
          '. Nothing is lost meanwhile; it waits.',
        ),
      ),
    ),
  );
}
