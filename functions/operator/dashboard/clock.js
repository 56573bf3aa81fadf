// Instants in the document: readable by programs, with the other ways to say them at hand.

import { h } from './element.js';
import { HERE, ago, day, time, zoneName } from './format.js';

/** 2026-11-22 06:00:00, with how long ago that is on pointing at it. */
export function at(instant) {
  if (!instant) return '–';
  return h(
    'time',
    {
      class: 'when',
      datetime: instant,
      title: `${ago(instant)} · ${time(instant, 'UTC')} UTC · ${time(instant, HERE)} here`,
    },
    time(instant),
  );
}

/** 5 min ago, with the instant itself on pointing at it. */
export function since(instant) {
  if (!instant) return '–';
  return h('time', { class: 'when', datetime: instant, title: `${time(instant)} ${zoneName()}` }, ago(instant));
}

/** From and to, the day only once where it is the same. A line may be broken before the arrow alone. */
export function range(from, to) {
  const end = to ? time(to).slice(0, 16) : 'open end';
  return [unbroken(time(from).slice(0, 16)), ' ', unbroken(`→ ${to && day(from) === day(to) ? end.slice(11) : end}`)];
}

const unbroken = (text) => h('span', { class: 'nowrap' }, text);
