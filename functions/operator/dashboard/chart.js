// Columns over time, drawn as SVG: throughput by quarter of an hour, by minute, by whatever the API counts in.
//
// What a pointer reads from a column, arrow keys read too, and the numbers stand below as a table for whoever wants them.

import { h } from './element.js';
import { bytes, clock, count, counted, day, duration, short, time } from './format.js';
import { table } from './table.js';

// The columns live in a plane of their own: x in columns, y in thousandths. Texts stand outside, where they aren't stretched.
const HEIGHT = 1000;
const TICKS = 4;
const HOUR_LABELS_MAX = 6;
const GAP = 0.16;
const MINUTE_MS = 60_000;
const ROUND = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10];

/**
 * throughput: {bucketSeconds, buckets: [{at, messages, batches, bytes}]}; `name` says of what. `visit.state` remembers the
 * column that somebody points at.
 */
export function throughputChart(throughput, name, visit) {
  const buckets = throughput?.buckets ?? [];
  const most = niceMost(Math.max(0, ...buckets.map((bucket) => bucket.messages)));
  const total = buckets.reduce((sum, bucket) => sum + bucket.messages, 0);
  const pointed = buckets[visit.state.pointed];
  const seconds = throughput?.bucketSeconds ?? MINUTE_MS / 1000;
  const each = seconds * 1000 === MINUTE_MS ? 'minute' : duration(seconds);
  const summary = `${name}: ${counted(total, 'message')} from ${time(buckets[0]?.at)} on, a column per ${each}.`;
  const point = (place) => {
    if (visit.state.pointed === place) return;
    visit.state.pointed = place;
    visit.redraw();
  };
  return h(
    'figure',
    { class: 'chart' },
    h(
      'figcaption',
      null,
      h('span', null, `Messages per ${each} · ${count(total)} in all`),
      h('output', { 'aria-live': 'polite' }, pointed ? said(pointed) : ''),
    ),
    h(
      'div',
      {
        class: 'plot',
        tabindex: '0',
        role: 'group',
        'aria-label': `${summary} Arrow keys read single columns.`,
        onpointermove: (event) => point(placeOf(event, buckets.length)),
        onpointerleave: () => point(undefined),
        onblur: () => point(undefined),
        onkeydown: (event) => step(event, visit.state.pointed, buckets.length, point),
      },
      ticks(most),
      columns(buckets, most, visit.state.pointed),
    ),
    h('div', { class: 'hours', 'aria-hidden': 'true' }, hourLabels(buckets)),
    asTable(buckets, name),
  );
}

/** Columns for every minute of a pace, whose answer leaves out those in which nothing was settled. */
export function byMinute({ minutes, throughput }, now) {
  const settled = new Map(throughput.map((minute) => [Date.parse(minute.at), minute]));
  const last = Math.floor(Date.parse(now) / MINUTE_MS) * MINUTE_MS;
  const buckets = Array.from({ length: minutes }, (_, place) => {
    const start = last - (minutes - 1 - place) * MINUTE_MS;
    return settled.get(start) ?? { at: new Date(start).toISOString(), batches: 0, messages: 0 };
  });
  return { bucketSeconds: MINUTE_MS / 1000, buckets };
}

const said = (bucket) =>
  `${time(bucket.at).slice(5, 16)} · ${counted(bucket.messages, 'message')} · ${counted(bucket.batches, 'batch', 'batches')}${bucket.bytes === undefined ? '' : ` · ${bytes(bucket.bytes)}`}`;

function columns(buckets, most, pointed) {
  return h(
    'svg',
    {
      viewBox: `0 0 ${Math.max(1, buckets.length)} ${HEIGHT}`,
      preserveAspectRatio: 'none',
      'aria-hidden': 'true',
      focusable: 'false',
    },
    Array.from({ length: TICKS }, (_, tick) =>
      h('line', {
        class: 'gridline',
        x1: 0,
        x2: buckets.length,
        y1: (HEIGHT / TICKS) * tick,
        y2: (HEIGHT / TICKS) * tick,
      }),
    ),
    buckets.map((bucket, place) => {
      const height = (bucket.messages / most) * HEIGHT;
      return h('rect', {
        key: bucket.at,
        class: place === pointed ? 'column pointed' : 'column',
        x: place + GAP / 2,
        width: 1 - GAP,
        y: HEIGHT - height,
        height,
      });
    }),
  );
}

function ticks(most) {
  return Array.from({ length: TICKS + 1 }, (_, tick) =>
    h(
      'span',
      { class: 'tick', 'aria-hidden': 'true', style: { '--top': `${(100 / TICKS) * tick}%` } },
      short((most / TICKS) * (TICKS - tick)),
    ),
  );
}

function hourLabels(buckets) {
  const every = Math.max(1, Math.ceil(buckets.length / HOUR_LABELS_MAX));
  return buckets
    .map((bucket, place) => ({ bucket, place }))
    .filter(({ place }) => place % every === 0)
    .map(({ bucket, place }) =>
      h('span', { key: bucket.at, style: { '--left': `${(place / buckets.length) * 100}%` } }, clock(bucket.at)),
    );
}

function placeOf(event, length) {
  const box = event.currentTarget.getBoundingClientRect();
  const place = Math.floor(((event.clientX - box.left) / box.width) * length);
  return place >= 0 && place < length ? place : undefined;
}

function step(event, from, length, point) {
  const last = length - 1;
  const to = {
    ArrowLeft: from === undefined ? last : Math.max(0, from - 1),
    ArrowRight: from === undefined ? 0 : Math.min(last, from + 1),
    Home: 0,
    End: last,
  }[event.key];
  if (to === undefined || length === 0) return;
  event.preventDefault();
  point(to);
}

// The least number above that makes every tick a round one.
function niceMost(most) {
  const step = Math.max(1, most / TICKS);
  const power = 10 ** Math.floor(Math.log10(step));
  const nice = ROUND.map((one) => one * power).find((one) => Number.isInteger(one) && one >= step);
  return nice * TICKS;
}

function asTable(buckets, name) {
  const filled = buckets.filter((bucket) => bucket.batches > 0).reverse();
  return h(
    'details',
    null,
    h('summary', null, 'Show the numbers'),
    table({
      caption: `${name}, columns that aren't empty, newest first`,
      cards: false,
      rows: filled,
      key: (bucket) => bucket.at,
      columns: [
        { name: 'From', head: true, cell: (bucket) => `${day(bucket.at)} ${clock(bucket.at)}` },
        { name: 'Messages', kind: 'number', cell: (bucket) => count(bucket.messages) },
        { name: 'Batches', kind: 'number', cell: (bucket) => count(bucket.batches) },
        { name: 'Stored', kind: 'number', cell: (bucket) => bytes(bucket.bytes) },
      ],
    }),
  );
}
