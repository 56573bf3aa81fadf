// The pulse of a page: when to ask again.
//
// It stops while the tab is hidden and while somebody has paused it, and asks at once when either ends. What fails is
// asked again later and later, so that a desk that was left open doesn't press on a service that is ill.

import { chooseLive, settings } from './settings.js';

const EVERY_MS_DEFAULT = 5_000;
const EVERY_MS_MAX = 60_000;

export function createPulse({ refresh, changed }) {
  let timer;
  let everyMs = 0;
  let failures = 0;
  let beat = 0;

  // Each start outdates what is under way from the one before.
  async function ask() {
    const mine = (beat += 1);
    clearTimeout(timer);
    const went = await refresh();
    if (mine !== beat) return;
    failures = went ? 0 : failures + 1;
    plan();
  }

  function plan() {
    clearTimeout(timer);
    if (!everyMs || !settings.live || document.hidden) return;
    timer = setTimeout(ask, Math.min(everyMs * 2 ** failures, EVERY_MS_MAX));
  }

  document.addEventListener('visibilitychange', () => {
    if (document.hidden) clearTimeout(timer);
    else if (settings.live && everyMs) ask();
    changed();
  });

  return {
    /** Asks now, and then every so often; 0: never again. */
    start(every = EVERY_MS_DEFAULT) {
      everyMs = every;
      failures = 0;
      return ask();
    },
    stop() {
      everyMs = 0;
      clearTimeout(timer);
    },
    setLive(live) {
      chooseLive(live);
      if (live && everyMs) ask();
      else clearTimeout(timer);
      changed();
    },
    now: ask,
    isPeriodic: () => everyMs > 0,
  };
}
