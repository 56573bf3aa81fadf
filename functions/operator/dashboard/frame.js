// What stands around every page: the bar, the list of pages, the page's heading, and what is wrong with its numbers.

import { h } from './element.js';
import { icon, sign } from './icons.js';
import { chooseTheme, chooseZone } from './settings.js';
import { runbook } from './runbook.js';
import { session } from './session.js';
import { loading, problemNote } from './panel.js';
import { pauses, tallies } from './watch.js';
import { HERE, clock, count, time, zoneName } from './format.js';

const ROOMS = [
  [
    'Watch',
    [
      ['/', 'overview', 'Overview'],
      ['/windows', 'windows', 'Windows'],
      ['/migrations', 'migrations', 'Migrations'],
      ['/batches', 'batches', 'Batches'],
      ['/queues', 'queues', 'Queues'],
    ],
  ],
  [
    'Understand',
    [
      ['/failures', 'failures', 'Failures'],
      ['/trace', 'trace', 'Message trace'],
      ['/verify', 'verify', 'Verification'],
      ['/alerts', 'alerts', 'Alerts'],
    ],
  ],
  [
    'Steer',
    [
      ['/controls', 'controls', 'Controls'],
      ['/operations', 'operations', 'Long jobs'],
      ['/audit', 'audit', 'Audit'],
    ],
  ],
];
const THEMES = [
  ['system', 'system', 'As the system'],
  ['light', 'sun', 'Light'],
  ['dark', 'moon', 'Dark'],
];

export function frame({ desk, visit, summary, pulse, settings, redraw, leave, toggleMenu }) {
  return h(
    'div',
    { class: 'frame', key: 'frame' },
    h('a', { class: 'skip', href: '#main', onclick: toMain }, 'Skip to the page'),
    h(
      'header',
      { class: 'bar' },
      h(
        'a',
        { class: 'brand', href: '#/' },
        sign(),
        h('span', null, 'Granary'),
        session.source ? h('span', { class: 'of' }, session.source) : null,
      ),
      h(
        'button',
        {
          type: 'button',
          class: 'button plain nav-switch',
          'aria-expanded': desk.isMenuOpen ? 'true' : 'false',
          'aria-controls': 'pages',
          onclick: toggleMenu,
        },
        icon('menu'),
        'Pages',
      ),
      pulseState({ visit, pulse, settings }),
      h('a', { href: runbook() }, 'Runbook'),
      zoneChoice(settings, redraw),
      themeChoice(settings, redraw),
      h('span', { class: 'aside' }, session.role ? `${session.name} (${session.role})` : ''),
      h(
        'button',
        {
          type: 'button',
          class: 'button plain icon-only',
          title: 'Sign out',
          'aria-label': 'Sign out',
          onclick: leave,
        },
        icon('leave'),
      ),
    ),
    h('nav', { class: 'nav', 'aria-label': 'Pages' }, navigation(desk, visit, tallies(summary))),
    h(
      'main',
      { class: 'main', id: 'main', tabindex: '-1' },
      desk.problem && !session.role ? problemNote(desk.problem, { title: 'The token could not be checked' }) : null,
      pauses(summary),
      visit ? page(visit) : loading(),
    ),
  );
}

// The part behind # is the page's address, so the link itself must not be followed.
function toMain(event) {
  event.preventDefault();
  document.getElementById('main').focus();
}

// A page that shows nothing of the API has nothing to refresh.
function pulseState({ visit, pulse, settings }) {
  if (!pulse.isPeriodic()) return null;
  const isIll = Boolean(visit?.problem);
  const kind = isIll ? 'ill' : settings.live ? 'live' : '';
  const said = isIll ? 'Not up to date' : settings.live ? 'Live' : 'Paused';
  return h(
    'div',
    { class: `pulse ${kind}` },
    h('span', { class: 'light', 'aria-hidden': 'true' }),
    h('span', null, said),
    visit?.refreshedAt
      ? h(
          'span',
          { class: 'when', title: `The numbers are of ${time(visit.refreshedAt)} ${zoneName()}` },
          time(visit.refreshedAt).slice(11),
        )
      : null,
    h(
      'button',
      {
        type: 'button',
        class: 'button plain small',
        'aria-pressed': settings.live ? 'false' : 'true',
        onclick: () => pulse.setLive(!settings.live),
        title: settings.live ? 'Stop refreshing' : 'Refresh again',
      },
      icon(settings.live ? 'pause' : 'play'),
      h('span', { class: 'hidden-text' }, 'Pause live updates'),
    ),
    h(
      'button',
      { type: 'button', class: 'button plain small', onclick: () => visit?.refresh(), title: 'Refresh now' },
      icon('refresh'),
      h('span', { class: 'hidden-text' }, 'Refresh now'),
    ),
  );
}

function zoneChoice(settings, redraw) {
  const choose = (zone) => () => {
    chooseZone(zone);
    redraw();
  };
  return h(
    'div',
    { class: 'choices', role: 'group', 'aria-label': 'Zone of times' },
    [
      ['utc', 'UTC'],
      ['local', 'Local'],
    ].map(([zone, shown]) =>
      h(
        'button',
        {
          type: 'button',
          'aria-pressed': settings.zone === zone ? 'true' : 'false',
          onclick: choose(zone),
          title: zone === 'local' ? HERE : 'Coordinated universal time',
        },
        shown,
      ),
    ),
  );
}

function themeChoice(settings, redraw) {
  const at = THEMES.findIndex(([theme]) => theme === settings.theme);
  const [, shape, said] = THEMES[at] ?? THEMES[0];
  const [next, , nextSaid] = THEMES[(at + 1) % THEMES.length];
  const choose = () => {
    chooseTheme(next);
    redraw();
  };
  return h(
    'button',
    {
      type: 'button',
      class: 'button plain icon-only',
      onclick: choose,
      title: `Colours: ${said}. Next: ${nextSaid}.`,
      'aria-label': `Colours: ${said}. Change to: ${nextSaid}`,
    },
    icon(shape),
  );
}

function navigation(desk, visit, numbers) {
  return h(
    'div',
    { id: 'pages', class: desk.isMenuOpen ? 'nav-inner open' : 'nav-inner' },
    ROOMS.map(([room, links]) =>
      h(
        'div',
        null,
        h('p', { class: 'room', id: `room-${room}` }, room),
        h(
          'ul',
          { 'aria-labelledby': `room-${room}` },
          links.map(([path, shape, name]) =>
            h(
              'li',
              null,
              h(
                'a',
                { href: `#${path}`, 'aria-current': isHere(visit, path) ? 'page' : undefined },
                icon(shape),
                name,
                tally(numbers[path], name),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

const isHere = (visit, path) => visit && (visit.route.room ?? visit.route.path) === path;

const tally = (number, name) =>
  number ? h('span', { class: 'tally', 'aria-label': `${count(number)} ${name.toLowerCase()}` }, count(number)) : null;

function page(visit) {
  const { route, data, problem } = visit;
  return h(
    'div',
    { key: visit.path, 'data-path': visit.path, 'aria-busy': visit.busy && !data ? 'true' : undefined },
    h(
      'div',
      { class: 'page-head' },
      h(
        'div',
        null,
        route.above ? h('p', { class: 'trail' }, h('a', { href: `#${route.above[0]}` }, route.above[1])) : null,
        h('h1', { tabindex: '-1' }, route.title(visit)),
        route.lead ? h('p', { class: 'lead' }, route.lead(visit)) : null,
      ),
      data && route.acts ? h('div', { class: 'row' }, route.acts(visit)) : null,
    ),
    h(
      'div',
      { class: 'page' },
      problem ? staleNote(visit) : null,
      data ? route.view(visit) : problem ? null : loading(),
    ),
  );
}

// Old numbers are better than none, as long as they say how old they are.
function staleNote({ problem, data, refreshedAt, refresh }) {
  const acts = h('button', { type: 'button', class: 'button small', onclick: refresh }, 'Try again');
  const title = data ? `These numbers are of ${clock(refreshedAt)}: refreshing them failed` : problem.title;
  return problemNote(problem, { title, acts });
}
