// Shares as bars: how far something is, and what a whole consists of.

import { h } from './element.js';
import { count, percent } from './format.js';

const whole = (value) => Math.min(100, Math.max(0, Number(value) || 0));

/** How far something is, 0 to 100. */
export function progressBar(value, name, slim) {
  const part = whole(value);
  return h(
    'div',
    {
      class: slim ? 'meter slim' : 'meter',
      role: 'progressbar',
      'aria-label': name,
      'aria-valuemin': 0,
      'aria-valuemax': 100,
      'aria-valuenow': part,
      'aria-valuetext': percent(part),
    },
    part > 0 ? h('span', { style: { '--part': `${part}%` } }) : null,
  );
}

/** What a whole consists of: [{name, value, tone, href}, …], with a legend that has the numbers. */
function composition(parts, name, unit = '') {
  const sum = parts.reduce((total, part) => total + (part.value || 0), 0);
  const shown = parts.filter((part) => part.value > 0);
  return h(
    'div',
    { class: 'stack tight' },
    h(
      'div',
      {
        class: 'meter',
        role: 'img',
        'aria-label': `${name}: ${parts.map((part) => `${part.name} ${count(part.value)}`).join(', ')}`,
      },
      shown.map((part) =>
        h('span', { key: part.name, class: part.tone, style: { '--part': `${(part.value / sum) * 100}%` } }),
      ),
    ),
    h(
      'ul',
      { class: 'legend' },
      parts.map((part) =>
        h(
          'li',
          { key: part.name },
          h('span', { class: `swatch ${part.tone}` }),
          part.href ? h('a', { href: part.href }, part.name) : part.name,
          h('strong', null, `${count(part.value)}${unit ? ` ${unit}` : ''}`),
        ),
      ),
    ),
  );
}

/** The statuses of batches or messages, in the order of their lives. */
export function statuses(counts, name, links = {}) {
  return composition(
    [
      { name: 'success', value: counts.success, tone: 'good' },
      { name: 'processing', value: counts.processing, tone: 'run' },
      { name: 'pending', value: counts.pending, tone: 'wait' },
      { name: 'failed', value: counts.failed, tone: 'bad' },
    ].map((part) => ({ ...part, value: part.value ?? 0, href: links[part.name] })),
    name,
  );
}
