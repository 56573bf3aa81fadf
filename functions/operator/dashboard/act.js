// Buttons that change something: for those who may, with a question before and a word after.

import { h } from './element.js';
import { ask } from './dialog.js';
import { notice } from './notices.js';
import { mayChange, session } from './session.js';
import { go } from './router.js';
import { counted } from './format.js';
import { outdate } from './watch.js';

const LOOK_ONLY = 'Your token may look, not change. An operator’s token may.';
const BEING_CHECKED = 'Your token is being checked.';

// Nobody is taken for a viewer before the API has said so.
const whyNot = () => (session.role ? LOOK_ONLY : BEING_CHECKED);

/**
 * A button that asks `question` (see dialog.js) and then refreshes the page. `done(answer)` says what was done; a long
 * job (202) leads to its own page instead.
 */
export function actButton(visit, { label, small, plain, done, after, disabled, why, ...question }) {
  const may = mayChange();
  const isOff = !may || disabled;
  const tone = question.danger ? ' danger' : '';
  return h(
    'button',
    {
      type: 'button',
      class: `button${small ? ' small' : ''}${plain ? ' plain' : ''}${tone}`,
      disabled: isOff,
      title: may ? (disabled ? why : undefined) : whyNot(),
      onclick: () => perform(visit, { act: label, ...question, done, after }),
    },
    label,
  );
}

/** Asks and does, and says what came of it. */
export async function perform(visit, { done, after, ...question }) {
  const answer = await ask(question);
  if (!answer) return;
  outdate();
  if (answer.accepted && answer.operationId) {
    notice('This takes longer. Its page shows how far it is.');
    go(`/operations/${answer.operationId}`);
    return;
  }
  notice(done?.(answer) ?? answer.message ?? 'Done.');
  after?.(answer);
  await visit.refresh();
}

/** What viewers are told once, instead of wondering at grey buttons. */
export const lookOnly = () => (mayChange() ? null : h('p', { class: 'aside' }, whyNot()));

/** What would become of what, for a dialog: [[name, before, after], …]. */
export function foretoldChanges(all) {
  const changes = all.filter(([, before, after]) => before !== after);
  if (changes.length === 0) return h('p', null, 'Nothing would change.');
  return h(
    'ul',
    null,
    changes.map(([name, before, after]) => h('li', { key: name }, `${name}: ${before} → `, h('strong', null, after))),
  );
}

/** The same for what is on or off: [[name, {wasEnabled, enabled}], …], as the API foretells switches. */
export const foretoldSwitches = (all) =>
  foretoldChanges(all.map(([name, { wasEnabled, enabled }]) => [name, onOrOff(wasEnabled), onOrOff(enabled)]));
const onOrOff = (isOn) => (isOn ? 'on' : 'off');

/** Batches by number, the first of many. */
export function batchNumbers(numbers, hasMore) {
  if (!numbers?.length) return null;
  const named = numbers.slice(0, 12).join(', ');
  const left = numbers.length - 12;
  return h(
    'p',
    { class: 'small muted' },
    `Batches ${named}${left > 0 ? ` and ${counted(left, 'other')}` : ''}${hasMore ? ', and more' : ''}.`,
  );
}
