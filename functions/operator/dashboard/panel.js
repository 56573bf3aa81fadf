// Panels, and what they show when there is nothing to show or something went wrong.

import { h } from './element.js';
import { icon } from './icons.js';

/** A part of a page with a heading of its own. `flush`: its content reaches the edges, as tables do. */
export function panel({ title, aside, acts, flush, key }, ...children) {
  const id = `p-${title.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`;
  return h(
    'section',
    { class: 'panel', 'aria-labelledby': id, key },
    h(
      'div',
      { class: 'panel-head' },
      h('h2', { id }, title),
      aside ? h('span', { class: 'aside' }, aside) : null,
      acts ? h('div', { class: 'row' }, acts) : null,
    ),
    h('div', { class: flush ? 'panel-body flush' : 'panel-body' }, children),
  );
}

/** Nothing is there, and why that may be, or what to do. */
export const empty = (title, text, ...acts) =>
  h('div', { class: 'empty' }, h('strong', null, title), text ? h('p', null, text) : null, acts);

/** A sentence that people must not miss. tone: good, warn, bad or none. */
export function note({ tone, title, acts, key }, ...children) {
  const mark = { good: 'check', warn: 'failures', bad: 'failures' }[tone] ?? 'info';
  return h(
    'div',
    { class: `note ${tone ?? ''}`, key, role: tone === 'bad' ? 'alert' : undefined },
    icon(mark),
    h('div', null, title ? h('p', null, h('strong', null, title)) : null, children),
    acts ? h('div', { class: 'note-acts' }, acts) : null,
  );
}

/** What the API refused, in its own words: what is wrong, what to do, and the number under which the log has it. */
export function problemNote(problem, { title, acts } = {}) {
  return note(
    { tone: 'bad', title: title ?? problem.title ?? 'Something went wrong', acts },
    h('p', null, problem.detail ?? String(problem.message ?? problem)),
    problem.remedy ? h('p', { class: 'remedy' }, problem.remedy) : null,
    problem.requestId ? h('p', { class: 'remedy small' }, 'Request ', h('code', null, problem.requestId)) : null,
  );
}

export const loading = (text = 'Loading…') => h('p', { class: 'loading', role: 'status' }, text);
