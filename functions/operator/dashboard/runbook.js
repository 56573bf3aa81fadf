// Links to the runbook, which the operator serves beside the dashboard. Its headings are the sections' names.

import { h } from './element.js';

/** The address of a section, such as `alert-parked`; without one, of the whole runbook. */
export const runbook = (section) => `../runbook${section ? `#${section}` : ''}`;

/** A link that says for those who hear the page what it is about. */
export const runbookLink = (section, about) =>
  h('a', { class: 'small', href: runbook(section) }, 'Runbook', h('span', { class: 'hidden-text' }, `: ${about}`));
