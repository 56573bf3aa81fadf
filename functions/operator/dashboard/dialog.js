// Changes, asked for in a dialog: what will happen first, then the reason, then the deed.
//
// Where the API can foretell a change (`dryRun`), it is asked before anybody may confirm, and its own numbers are shown.
// What is large, or can't be taken back, wants its name typed. A refusal is shown where the question was, and the
// question stays open; the API decides anew at each try, so asking twice does no harm. While the deed is on its way the
// question can't be left: what came of it would be told to nobody.

import { draw, h } from './element.js';
import { textField, valuesOf } from './field.js';
import { send } from './api.js';
import { problemNote } from './panel.js';

const REASON_MAX = 500;
const BUSY = { foretell: 'Looking…', act: 'Working…' };

/**
 * Asks, and does it. Resolves to the API's answer, or to undefined where somebody thought better of it.
 *
 * title, explain       what it is, in a question and a sentence or nodes
 * path, body           the request, a POST; body may be a function of the form's values
 * fields               functions that draw fields, given {values, fault(name)}
 * foretell             (answer) → nodes: asks with `dryRun: true` first, and shows that
 * act                  the word on the button
 * danger               it destroys or stops something
 * typed                the name that must be typed
 */
export function ask(question) {
  const dialog = document.createElement('dialog');
  document.body.append(dialog);
  const state = {
    dialog,
    question,
    values: {},
    typed: '',
    foretold: null,
    problem: null,
    // What the API is asked at the moment: `foretell` or `act`; and the fields that somebody has typed in meanwhile.
    doing: null,
    typedIn: new Set(),
  };
  const answered = new Promise((resolve) => {
    dialog.addEventListener('cancel', (event) => {
      if (state.doing === 'act') event.preventDefault();
    });
    dialog.addEventListener('close', () => {
      // A browser lets nobody refuse a second Escape: the question comes back and waits for its outcome.
      if (state.doing === 'act') {
        dialog.showModal();
        return;
      }
      resolve(state.answer);
      draw(dialog);
      dialog.remove();
    });
  });
  show(state);
  dialog.showModal();
  // What has to be filled in comes first; where there is nothing there is nothing to wait for.
  if (question.foretell && !question.fields && question.reason !== 'required') foretell(state);
  return answered;
}

function show(state) {
  const { dialog, question, doing, problem, foretold, typed } = state;
  const mustForetell = question.foretell && !foretold;
  const isNamed = !question.typed || typed === question.typed;
  dialog.setAttribute('aria-labelledby', 'dialog-title');
  draw(
    dialog,
    h(
      'form',
      {
        method: 'dialog',
        'aria-busy': doing ? 'true' : undefined,
        onsubmit: (event) => submit(event, state),
        oninput: (event) => typedInto(event, state),
      },
      h('h2', { id: 'dialog-title' }, question.title),
      h('div', { class: 'stack' }, question.explain ?? null),
      question.fields?.map((field) => field({ values: state.values, fault: (name) => faultOf(problem, name) })) ?? null,
      question.foretell ? foretoldPart(state) : null,
      question.reason === false
        ? null
        : textField({
            name: 'reason',
            label: 'Reason (goes to the audit)',
            place: 'dialog',
            maxlength: REASON_MAX,
            required: question.reason === 'required',
            fault: faultOf(problem, 'reason'),
          }),
      question.typed
        ? textField({ name: 'typed', label: `Type ${question.typed} to confirm`, place: 'dialog', class: 'input mono' })
        : null,
      problem ? problemNote(problem) : null,
      h(
        'div',
        { class: 'acts' },
        h(
          'button',
          { type: 'button', class: 'button', disabled: doing === 'act', onclick: () => dialog.close() },
          'Cancel',
        ),
        mustForetell
          ? h(
              'button',
              { key: 'foretell', type: 'submit', class: 'button main-act' },
              BUSY[doing] ?? 'Show what would happen',
            )
          : h(
              'button',
              {
                key: 'act',
                type: 'submit',
                class: `button main-act${question.danger ? ' danger' : ''}`,
                disabled: !isNamed,
              },
              BUSY[doing] ?? question.act,
            ),
      ),
    ),
  );
}

function foretoldPart({ foretold, question, doing }) {
  return h(
    'div',
    { class: 'foretold', tabindex: '-1' },
    foretold
      ? [h('h3', null, 'What would happen'), question.foretell(foretold)]
      : h(
          'p',
          { class: 'muted' },
          doing === 'foretell'
            ? 'Asking what would happen…'
            : 'Nothing changes before you have seen what would happen.',
        ),
  );
}

const faultOf = (problem, name) => (problem?.field === name ? problem.detail : undefined);

// What was foretold holds for what was asked; another question has to be foretold again.
function typedInto(event, state) {
  const { name } = event.target;
  state.typedIn.add(name);
  if (name === 'typed') state.typed = event.target.value.trim();
  if (isAsked(name)) state.foretold = null;
  show(state);
}

// Neither a reason nor a name that is typed changes what would happen.
const isAsked = (name) => name !== 'reason' && name !== 'typed';

async function submit(event, state) {
  event.preventDefault();
  if (state.doing) return;
  state.values = valuesOf(event.target);
  if (state.question.foretell && !state.foretold) await foretell(state);
  else await act(state);
}

async function foretell(state) {
  await busily(state, 'foretell', async () => {
    const foretold = await request(state, { dryRun: true });
    // Where the question was changed meanwhile, this is the answer to another one.
    if (![...state.typedIn].some(isAsked)) state.foretold = foretold;
  });
  // The button that was pressed is gone, and the other one mustn't be hit in its place. Who types isn't led away.
  if (state.foretold && state.typedIn.size === 0) state.dialog.querySelector('.foretold')?.focus();
}

async function act(state) {
  await busily(state, 'act', async () => {
    state.answer = await request(state, {});
    state.dialog.close();
  });
}

async function busily(state, doing, work) {
  Object.assign(state, { doing, typedIn: new Set(), problem: null });
  show(state);
  try {
    await work();
  } catch (problem) {
    state.problem = problem;
  }
  state.doing = null;
  if (!state.dialog.open) return;
  show(state);
  if (state.problem && state.typedIn.size === 0) toWhatIsWrong(state.dialog);
}

// The field at fault, where it has one; what was refused altogether stands at the end.
function toWhatIsWrong(dialog) {
  const field = dialog.querySelector('[aria-invalid]');
  if (field) field.focus();
  else dialog.querySelector('.note.bad')?.scrollIntoView({ block: 'nearest' });
}

function request({ question, values }, more) {
  const { reason, typed: _, ...given } = values;
  const body = typeof question.body === 'function' ? question.body(given) : { ...question.body, ...given };
  const path = typeof question.path === 'function' ? question.path(given) : question.path;
  return send('POST', path, { body: { ...body, ...(reason ? { reason } : {}), ...more } });
}
