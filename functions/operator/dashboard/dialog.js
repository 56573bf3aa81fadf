// Changes, asked for in a dialog: what will happen first, then the reason, then the deed.
//
// Where the API can foretell a change (`dryRun`), it is asked before anybody may confirm, and its own numbers are shown.
// What is large, or can't be taken back, wants its name typed. A refusal is shown where the question was, and the
// question stays open; the API decides anew at each try, so asking twice does no harm.

import { draw, h } from './element.js';
import { textField, valuesOf } from './field.js';
import { send } from './api.js';
import { problemNote } from './panel.js';

const REASON_MAX = 500;

/**
 * Asks, and does it. Resolves to the API's answer, or to undefined where somebody thought better of it.
 *
 * title, explain       what it is, in a question and a sentence or nodes
 * method, path, body   the request; body may be a function of the form's values
 * fields               functions that draw fields, given {values, fault(name)}
 * foretell             (answer) → nodes: asks with `dryRun: true` first, and shows that
 * act                  the word on the button
 * danger               it destroys or stops something
 * typed                the name that must be typed
 */
export function ask(question) {
  const dialog = document.createElement('dialog');
  document.body.append(dialog);
  const state = { dialog, question, values: {}, typed: '', foretold: null, problem: null, busy: false };
  const answered = new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      resolve(state.answer);
      draw(dialog);
      dialog.remove();
    });
  });
  show(state);
  dialog.showModal();
  // With fields the form comes first; without any there is nothing to wait for.
  if (question.foretell && !question.fields) foretell(state);
  return answered;
}

function show(state) {
  const { dialog, question, busy, problem, foretold, typed } = state;
  const mustForetell = question.foretell && !foretold;
  const isNamed = !question.typed || typed === question.typed;
  dialog.setAttribute('aria-labelledby', 'dialog-title');
  draw(
    dialog,
    h(
      'form',
      {
        method: 'dialog',
        'aria-busy': busy ? 'true' : undefined,
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
        h('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Cancel'),
        mustForetell
          ? h(
              'button',
              { key: 'foretell', type: 'submit', class: 'button main-act' },
              busy ? 'Looking…' : 'Show what would happen',
            )
          : h(
              'button',
              {
                key: 'act',
                type: 'submit',
                class: `button main-act${question.danger ? ' danger' : ''}`,
                disabled: !isNamed,
              },
              busy ? 'Working…' : question.act,
            ),
      ),
    ),
  );
}

function foretoldPart({ foretold, question, busy }) {
  return h(
    'div',
    { class: 'foretold', tabindex: '-1' },
    foretold
      ? [h('h3', null, 'What would happen'), question.foretell(foretold)]
      : h(
          'p',
          { class: 'muted' },
          busy ? 'Asking what would happen…' : 'Nothing changes before you have seen what would happen.',
        ),
  );
}

const faultOf = (problem, name) => (problem?.field === name ? problem.detail : undefined);

// What was foretold holds for what was asked; another question has to be foretold again.
function typedInto(event, state) {
  const { name } = event.target;
  if (name === 'typed') state.typed = event.target.value.trim();
  else if (name !== 'reason') state.foretold = null;
  show(state);
}

async function submit(event, state) {
  event.preventDefault();
  if (state.busy) return;
  state.values = valuesOf(event.target);
  if (state.question.foretell && !state.foretold) await foretell(state);
  else await act(state);
}

async function foretell(state) {
  await busily(state, async () => {
    state.foretold = await request(state, { dryRun: true });
  });
  // The button that was pressed is gone, and the other one mustn't be hit in its place.
  if (state.foretold) state.dialog.querySelector('.foretold')?.focus();
}

async function act(state) {
  await busily(state, async () => {
    state.answer = await request(state, {});
    state.dialog.close();
  });
}

async function busily(state, work) {
  Object.assign(state, { busy: true, problem: null });
  show(state);
  try {
    await work();
  } catch (problem) {
    state.problem = problem;
  }
  state.busy = false;
  if (!state.dialog.open) return;
  show(state);
  if (state.problem) toWhatIsWrong(state.dialog);
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
  return send(question.method ?? 'POST', path, { body: { ...body, ...(reason ? { reason } : {}), ...more } });
}
