// Small line drawings. They accompany words and are never the only bearer of a meaning, so they are hidden from those
// who hear the page.

import { h } from './element.js';

const PATHS = {
  overview: 'M4 13h6V4H4zM14 20h6V11h-6zM4 20h6v-4H4zM14 8h6V4h-6z',
  windows: 'M4 6h16v14H4zM4 10h16M8 3v4M16 3v4M8 14h3M13 14h3M8 17h3',
  migrations: 'M3 12h13M12 7l5 5-5 5M20 5v14',
  batches: 'M12 3 3 7.500l9 4.500 9-4.500zM3 12l9 4.500 9-4.500M3 16.500 12 21l9-4.500',
  failures: 'M12 4 2.500 20h19zM12 10v4.500M12 17.300v.2',
  queues: 'M4 6h16M4 12h16M4 18h9M17 16l3 2-3 2',
  trace: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16.200 16.200 21 21',
  verify: 'M12 3 4.500 6v6c0 4.500 3.200 7.700 7.500 9 4.300-1.300 7.500-4.500 7.500-9V6zM8.500 12l2.500 2.500 4.500-5',
  alerts: 'M6 17V11a6 6 0 0 1 12 0v6l1.500 2h-15zM10 21h4',
  controls: 'M5 4v7M5 15v5M12 4v3M12 11v9M19 4v9M19 17v3M2.500 13h5M9.500 9h5M16.500 15h5',
  audit: 'M6 3h9l4 4v14H6zM15 3v4h4M9 12h6M9 16h6',
  operations: 'M12 4a8 8 0 1 0 8 8M12 8v4l3 2M16 4l4 0 0 4',
  menu: 'M4 7h16M4 12h16M4 17h16',
  pause: 'M8 5v14M16 5v14',
  play: 'M7 4.500v15l12-7.500z',
  refresh: 'M20 12a8 8 0 1 1-2.300-5.600M20 3v4.500h-4.500',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M4.900 4.900l1.400 1.400M17.700 17.700l1.400 1.400M2 12h2M20 12h2M4.900 19.100l1.400-1.400M17.700 6.300l1.400-1.400',
  moon: 'M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500z',
  system: 'M3 5h18v11H3zM8 20h8M12 16v4',
  leave: 'M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9',
  close: 'M6 6l12 12M18 6 6 18',
  info: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v5.500M12 7.500v.2',
  check: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8 12.200l2.800 2.800 5.200-5.800',
};

export function icon(name) {
  return h(
    'svg',
    {
      viewBox: '0 0 24 24',
      fill: 'none',
      stroke: 'currentColor',
      'stroke-width': '1.8',
      'stroke-linecap': 'round',
      'stroke-linejoin': 'round',
      'aria-hidden': 'true',
      focusable: 'false',
    },
    h('path', { d: PATHS[name] }),
  );
}

/** The sign of the house. */
export function sign() {
  return h(
    'svg',
    {
      viewBox: '0 0 32 32',
      fill: 'none',
      stroke: 'currentColor',
      'stroke-width': '2.4',
      'stroke-linecap': 'round',
      'stroke-linejoin': 'round',
      'aria-hidden': 'true',
      focusable: 'false',
    },
    h('path', { d: 'M4 15 16 5l12 10' }),
    h('path', { d: 'M7 13.500V27h18V13.500' }),
    h('path', { class: 'grain', d: 'M7 18.500h18M7 22.800h18' }),
  );
}
