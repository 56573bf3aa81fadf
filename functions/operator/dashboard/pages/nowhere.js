// An address that no page has.

import { h } from '../element.js';
import { empty } from '../panel.js';

export const nowhere = {
  path: '*',
  everyMs: 0,
  title: () => 'No such page',
  view: () =>
    empty(
      'This address leads nowhere',
      'A link may be cut short, or of another version.',
      h('p', null, h('a', { href: '#/' }, 'To the overview')),
    ),
};
