// The gate: asks for a token and has the API look at it before it is kept.

import { h } from './element.js';
import { sign } from './icons.js';
import { problemNote } from './panel.js';
import { send } from './api.js';
import { textField } from './field.js';

const state = { busy: false, problem: null };

export function gate({ problem, enter, redraw }) {
  const shown = state.problem ?? problem;
  return h(
    'main',
    { class: 'gate', key: 'gate' },
    h('p', { class: 'brand' }, sign(), 'Granary'),
    h('h1', null, 'Sign in to the desk'),
    h(
      'p',
      { class: 'muted' },
      'A viewer’s token may look, an operator’s may change things. It is kept in this tab alone, and forgotten when the tab is closed.',
    ),
    h(
      'form',
      {
        class: 'stack',
        onsubmit: (event) => submit(event, enter, redraw),
        'aria-busy': state.busy ? 'true' : undefined,
      },
      textField({
        name: 'token',
        label: 'Token',
        kind: 'password',
        place: 'gate',
        required: true,
        autofocus: true,
        autocomplete: 'current-password',
        made: (element) => element.focus(),
      }),
      shown ? problemNote(shown) : null,
      h('button', { type: 'submit', class: 'button main-act' }, state.busy ? 'Asking…' : 'Sign in'),
    ),
  );
}

async function submit(event, enter, redraw) {
  event.preventDefault();
  const form = event.currentTarget;
  const token = form.elements.token.value.trim();
  if (!token || state.busy) return;
  Object.assign(state, { busy: true, problem: null });
  redraw();
  try {
    const health = await send('GET', '/health', { token });
    Object.assign(state, { busy: false, problem: null });
    enter(token, health);
  } catch (problem) {
    Object.assign(state, { busy: false, problem });
    redraw();
  }
}
