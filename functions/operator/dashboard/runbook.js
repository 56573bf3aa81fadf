// Links to the runbook, which the operator serves beside the dashboard. Its anchors are made of its headings.

import { h } from './element.js';

/** The address of a section, such as `alert-parked`; without one, of the whole runbook. */
export const runbook = (section) => `../runbook${section ? `#${section}` : ''}`;

/** A link to a section, whose label says what the section is about. */
export const runbookLink = (section, about) =>
  h('a', { class: 'small', href: runbook(section), 'aria-label': `Runbook: ${about}` }, 'Runbook');
