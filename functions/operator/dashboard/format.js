// Numbers, sizes, durations and times as people read them. Which zone times are shown in is settings' business.

import { settings } from './settings.js';

const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const ONE_DIGIT = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const SHORT = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const NONE = '–';
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const MINUTE_SECS = 60;
const HOUR_SECS = 3_600;
const DAY_SECS = 86_400;

/** The zone of this browser. */
export const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone;

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

/** 1234567 → 1,234,567 */
export const count = (value) => (isNumber(value) ? WHOLE.format(value) : NONE);

/** 1234567 → 1.2M */
export const short = (value) =>
  isNumber(value) ? (Math.abs(value) < 10_000 ? WHOLE.format(value) : SHORT.format(value)) : NONE;

/** 99.94 → 99.9 %, cut rather than rounded: 100 % means all. */
export const percent = (value) => (isNumber(value) ? `${ONE_DIGIT.format(Math.floor(value * 10) / 10)} %` : NONE);

/** 1536 → 1.5 KiB */
export function bytes(value) {
  if (!isNumber(value)) return NONE;
  let unit = 0;
  let left = value;
  while (left >= 1024 && unit < BYTE_UNITS.length - 1) {
    left /= 1024;
    unit += 1;
  }
  return `${left >= 100 || unit === 0 ? WHOLE.format(left) : ONE_DIGIT.format(left)} ${BYTE_UNITS[unit]}`;
}

/** Per second, with as many digits as help. */
export const rate = (value, unit = 'msg') =>
  isNumber(value) ? `${value < 10 ? ONE_DIGIT.format(value) : short(Math.round(value))} ${unit}/s` : NONE;

/** 3725 → 1 h 2 min */
export function duration(seconds) {
  if (!isNumber(seconds)) return NONE;
  const whole = Math.round(seconds);
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${ONE_DIGIT.format(seconds)} s`;
  if (whole < 2 * MINUTE_SECS) return `${whole} s`;
  if (whole < HOUR_SECS) return `${Math.floor(whole / MINUTE_SECS)} min`;
  if (whole < DAY_SECS) return parts(whole, HOUR_SECS, 'h', MINUTE_SECS, 'min');
  return parts(whole, DAY_SECS, 'd', HOUR_SECS, 'h');
}

/** 42780 → 11.9 h: in one unit, where there is room for no more. */
export function roughly(seconds) {
  if (!isNumber(seconds) || seconds < HOUR_SECS) return duration(seconds);
  if (seconds < 2 * DAY_SECS) return `${ONE_DIGIT.format(seconds / HOUR_SECS)} h`;
  return `${ONE_DIGIT.format(seconds / DAY_SECS)} d`;
}

/** When nothing will be open, or what that hangs on. `moving` is how much is open and doesn't wait for people. */
export function outlook({ seconds, parked, moving }) {
  if (isNumber(seconds)) return `done in ${duration(seconds)}`;
  return parked > 0 && moving === 0 ? 'waits for people' : 'no end in sight yet';
}

export const milliseconds = (value) => (isNumber(value) ? duration(value / 1000) : NONE);

function parts(whole, large, largeName, small, smallName) {
  const rest = Math.floor((whole % large) / small);
  return `${Math.floor(whole / large)} ${largeName}${rest ? ` ${rest} ${smallName}` : ''}`;
}

/** How long ago, or how soon, an instant is. */
export function ago(instant, now = Date.now()) {
  const at = Date.parse(instant);
  if (Number.isNaN(at)) return NONE;
  const seconds = (now - at) / 1000;
  if (Math.abs(seconds) < 1.5) return 'now';
  return seconds > 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`;
}

/** The seconds from one instant to another, or to now. */
export function between(from, to) {
  const start = Date.parse(from);
  const end = to ? Date.parse(to) : Date.now();
  return Number.isNaN(start) || Number.isNaN(end) ? undefined : (end - start) / 1000;
}

const forms = new Map();

function fields(instant, zone) {
  if (!forms.has(zone)) {
    forms.set(
      zone,
      new Intl.DateTimeFormat('en-CA', {
        timeZone: zone,
        hourCycle: 'h23',
        year: 'numeric',
        month: '2-digit',
        day: '2-digit',
        hour: '2-digit',
        minute: '2-digit',
        second: '2-digit',
      }),
    );
  }
  return Object.fromEntries(
    forms
      .get(zone)
      .formatToParts(instant)
      .map(({ type, value }) => [type, value]),
  );
}

const zoneOf = () => (settings.zone === 'local' ? HERE : 'UTC');
const hasInstant = (instant) => instant !== null && instant !== undefined && !Number.isNaN(Date.parse(instant));

/** 2026-11-22 06:00:00, in the zone that is chosen. */
export function time(instant, zone = zoneOf()) {
  if (!hasInstant(instant)) return NONE;
  const { year, month, day, hour, minute, second } = fields(new Date(instant), zone);
  return `${year}-${month}-${day} ${hour}:${minute}:${second}`;
}

/** 06:00 */
export function clock(instant) {
  if (!hasInstant(instant)) return NONE;
  const { hour, minute } = fields(new Date(instant), zoneOf());
  return `${hour}:${minute}`;
}

/** 2026-11-22 */
export const day = (instant) => time(instant).slice(0, 10);

/** What a table cell or a tooltip says of the zone. */
export const zoneName = () => zoneOf();

/** `in_progress` → in progress */
export const words = (name) => String(name ?? NONE).replaceAll('_', ' ');

/** `bytesStored` → bytes stored */
export const label = (name) =>
  String(name)
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replaceAll('_', ' ')
    .toLowerCase();

/** A name at the start of a line. */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** 1 batch, 2 batches */
export const counted = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** The beginning of a uuid, enough to tell it from others on a page. */
export const shortId = (id) => String(id ?? NONE).slice(-8);
