// Single numbers and named values.

import { h } from './element.js';

/** A number that is looked at often, with its name and a word beside it. With `href` the tile leads on. */
export function tile({ name, figure, beside, tone, href }) {
  const content = [
    h('dt', null, name),
    h('dd', { class: 'figure' }, figure),
    beside ? h('dd', { class: 'beside' }, beside) : null,
  ];
  return h(
    'div',
    { class: `tile ${tone ?? ''}` },
    href ? [h('dt', null, h('a', { href }, name)), ...content.slice(1)] : content,
  );
}

export const tiles = (...children) => h('dl', { class: 'tiles' }, children);

/** Named values: [[name, value], …]; one that is undefined isn't shown, one in a third place is wide. */
export function facts(pairs) {
  const shown = pairs.filter(Boolean).filter(([, value]) => value !== undefined);
  return h(
    'dl',
    { class: 'facts' },
    shown.map(([name, value, width]) =>
      h(
        'div',
        { key: name, class: width },
        h('dt', null, name),
        h('dd', null, value === null || value === '' ? '–' : value),
      ),
    ),
  );
}
