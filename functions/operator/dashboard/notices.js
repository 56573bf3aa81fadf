// Short words about what was done. They are read out, and leave by themselves unless they are bad news.

import { draw, h } from './element.js';
import { icon } from './icons.js';

const SHOWN_MS = 7_000;
const SHOWN_MAX = 4;

const shown = [];
let number = 0;
let place;

/** Says that something was done; `bad` stays until somebody closes it. */
export function notice(text, tone = 'good') {
  const one = { id: (number += 1), text, tone };
  shown.push(one);
  if (shown.length > SHOWN_MAX) shown.shift();
  if (tone !== 'bad') setTimeout(() => take(one), SHOWN_MS);
  redraw();
}

function take(one) {
  const at = shown.indexOf(one);
  if (at >= 0) shown.splice(at, 1);
  redraw();
}

function redraw() {
  // It is there before the first words come: those who hear the page would miss the words otherwise.
  if (!place) place = prepareNotices();
  draw(
    place,
    shown.map((one) =>
      h(
        'div',
        { key: one.id, class: `notice ${one.tone}` },
        h('p', null, one.text),
        h(
          'button',
          {
            type: 'button',
            class: 'button plain small icon-only',
            'aria-label': 'Close this message',
            onclick: () => take(one),
          },
          icon('close'),
        ),
      ),
    ),
  );
}

/** The region in which they appear. */
export function prepareNotices() {
  if (place) return place;
  place = document.createElement('div');
  place.className = 'notices';
  place.setAttribute('role', 'status');
  place.setAttribute('aria-live', 'polite');
  document.body.append(place);
  return place;
}
