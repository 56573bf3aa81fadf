// What somebody chose for this browser: theme and zone; and for this tab: whether pages refresh by themselves.
//
// A browser that keeps nothing (a private window, a full disk) still works: the choice then lasts until the tab is closed.

const THEME = 'granary.theme';
const ZONE = 'granary.zone';
const LIVE = 'granary.live';

export const settings = {
  theme: read(localStorage, THEME, 'system'),
  zone: read(localStorage, ZONE, 'utc'),
  live: read(sessionStorage, LIVE, 'on') === 'on',
};

function read(storage, name, otherwise) {
  try {
    return storage.getItem(name) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function keep(storage, name, value) {
  try {
    storage.setItem(name, value);
  } catch {
    // Kept in memory alone.
  }
}

/** `system`, `light` or `dark`. */
export function chooseTheme(theme) {
  settings.theme = theme;
  keep(localStorage, THEME, theme);
  applyTheme();
}

/** The colours follow `color-scheme`, which follows this attribute. */
export function applyTheme() {
  document.documentElement.dataset.theme = settings.theme;
}

/** `utc` or `local`. */
export function chooseZone(zone) {
  settings.zone = zone;
  keep(localStorage, ZONE, zone);
}

export function chooseLive(live) {
  settings.live = live;
  keep(sessionStorage, LIVE, live ? 'on' : 'off');
}
