// The desk: starts, asks for a token where there is none, and keeps the page that the address means up to date.
//
// A refresh that fails leaves what was there and says so above it; the next one tries again, later each time. Nothing is
// asked while nobody looks: a hidden tab and a paused desk are silent.

import { draw } from './element.js';
import { settings, applyTheme } from './settings.js';
import { session, signIn, signOut } from './session.js';
import { Problem, get } from './api.js';
import { routeOf, whereabouts } from './router.js';
import { createPulse } from './live.js';
import { frame } from './frame.js';
import { gate } from './gate.js';
import { notice, prepareNotices } from './notices.js';
import { summary, watch } from './watch.js';
import { pages } from './pages/pages.js';

const root = document.getElementById('app');
const desk = { visit: null, isMenuOpen: false, problem: null, isChecking: false };
const pulse = createPulse({ refresh: () => refresh(), changed: () => redraw() });

function start() {
  applyTheme();
  prepareNotices();
  addEventListener('hashchange', () => enter());
  enter();
}

/**
 * Asks the API whose token it is, where no answer has said so yet. It says no to a wrong one; anything else is no
 * reason to send people away: the next refresh asks again.
 */
async function check() {
  if (session.role || desk.isChecking) return;
  const { token } = session;
  desk.isChecking = true;
  try {
    await get('/health');
    desk.problem = null;
  } catch (problem) {
    if (token !== session.token) return;
    if (problem.status === 401) leave(problem);
    else desk.problem = problem;
  } finally {
    desk.isChecking = false;
    redraw();
  }
}

function leave(problem) {
  signOut();
  pulse.stop();
  desk.visit?.abort.abort();
  desk.visit = null;
  desk.problem = problem ?? null;
  redraw();
}

/** Goes where the address points: the same page with other filters keeps what somebody has opened in it. */
function enter() {
  if (!session.token) {
    redraw();
    return;
  }
  const { path, query } = whereabouts();
  const found = routeOf(pages, path) ?? { route: pages.at(-1), params: {} };
  const before = desk.visit;
  before?.abort.abort();
  const isSamePage = before?.path === path;
  desk.visit = {
    path,
    query,
    route: found.route,
    params: found.params,
    state: isSamePage ? before.state : {},
    data: isSamePage ? before.data : undefined,
    problem: null,
    busy: false,
    refreshedAt: isSamePage ? before.refreshedAt : null,
    abort: new AbortController(),
    redraw,
    refresh: () => refresh(true),
  };
  desk.visit.signal = desk.visit.abort.signal;
  desk.isMenuOpen = false;
  redraw();
  if (before && !isSamePage) toTop();
  pulse.start(found.route.everyMs);
}

// Those who hear the page learn where they are, and everybody starts at its beginning.
function toTop() {
  scrollTo(0, 0);
  document.querySelector('main h1')?.focus({ preventScroll: true });
}

/** Brings the page at hand up to date. Resolves to whether that worked. */
async function refresh(isAsked = false) {
  const { visit } = desk;
  if (!visit) return true;
  check();
  if (visit.busy) {
    visit.isAskedAgain ||= isAsked;
    return true;
  }
  Object.assign(visit, { busy: true, isAskedAgain: false });
  if (isAsked || !visit.data) redraw();
  try {
    const data = (await visit.route.load?.(visit)) ?? {};
    if (visit !== desk.visit) return true;
    Object.assign(visit, { data, problem: null, refreshedAt: new Date().toISOString() });
    watch(redraw);
  } catch (problem) {
    if (visit !== desk.visit || problem.name === 'AbortError') return true;
    if (problem.status === 401) leave(problem);
    else visit.problem = problem instanceof Problem ? problem : unexpected(problem);
  } finally {
    visit.busy = false;
    redraw();
    // What was changed while the answer was on its way isn't in it.
    if (visit === desk.visit && visit.isAskedAgain) refresh(true);
  }
  return !visit.problem;
}

// A defect of the page, not of the API. It is said rather than swallowed.
function unexpected(error) {
  console.error(error);
  return {
    title: 'This page has a defect',
    detail: `${error.name}: ${error.message}`,
    remedy: 'Reload the page. If it happens again, tell those who maintain Granary.',
  };
}

function redraw() {
  try {
    if (!session.token) {
      document.title = 'Sign in · Granary';
      draw(root, gate({ problem: desk.problem, enter: admitted, redraw }));
      return;
    }
    const { visit } = desk;
    document.title = `${visit ? visit.route.title(visit) : 'Desk'} · ${session.source ?? 'Granary'}`;
    draw(root, frame({ desk, visit, summary, pulse, settings, redraw, leave: () => leave(), toggleMenu }));
  } catch (error) {
    notice(unexpected(error).detail, 'bad');
  }
}

function admitted(token, health) {
  signIn(token, health);
  desk.problem = null;
  enter();
}

function toggleMenu() {
  desk.isMenuOpen = !desk.isMenuOpen;
  redraw();
}

start();
