// Fields of forms and filters, each with its label.

import { h } from './element.js';
import { empty } from './panel.js';
import { filter } from './router.js';

let numbers = 0;
const ids = new Map();

// The same field keeps its id from one drawing to the next.
function idOf(name, place) {
  const key = `${place}/${name}`;
  if (!ids.has(key)) ids.set(key, `f${(numbers += 1)}`);
  return ids.get(key);
}

/** A line of text. `hint` stands below it, `fault` says what is wrong with it. */
export function textField({ name, label, place = 'form', hint, fault, kind = 'text', ...rest }) {
  const id = idOf(name, place);
  const described = [hint && `${id}-hint`, fault && `${id}-fault`].filter(Boolean).join(' ') || undefined;
  const isLong = kind === 'long';
  return h(
    'div',
    { class: 'field', key: name },
    h('label', { for: id }, label),
    h(isLong ? 'textarea' : 'input', {
      id,
      name,
      class: 'input',
      type: isLong ? undefined : kind,
      autocomplete: 'off',
      spellcheck: 'false',
      'aria-describedby': described,
      'aria-invalid': fault ? 'true' : undefined,
      ...rest,
    }),
    hint ? h('p', { class: 'hint', id: `${id}-hint` }, hint) : null,
    fault ? h('p', { class: 'fault', id: `${id}-fault` }, fault) : null,
  );
}

/** One of some values: [[value, shown], …]. */
export function choiceField({ name, label, options, value, place = 'form', hint, ...rest }) {
  const id = idOf(name, place);
  return h(
    'div',
    { class: 'field', key: name },
    h('label', { for: id }, label),
    h(
      'select',
      { id, name, class: 'input', value: value ?? '', 'aria-describedby': hint ? `${id}-hint` : undefined, ...rest },
      options.map(([option, shown]) => h('option', { value: option }, shown)),
    ),
    hint ? h('p', { class: 'hint', id: `${id}-hint` }, hint) : null,
  );
}

export function checkField({ name, label, hint, place = 'form', ...rest }) {
  const id = idOf(name, place);
  return h(
    'div',
    { class: 'check', key: name },
    h('input', { id, name, type: 'checkbox', 'aria-describedby': hint ? `${id}-hint` : undefined, ...rest }),
    h('div', null, h('label', { for: id }, label), hint ? h('p', { class: 'aside', id: `${id}-hint` }, hint) : null),
  );
}

/** A filter that lives in the address: chosen is done. */
export const filterChoice = (query, name, label, options) =>
  choiceField({
    name,
    label,
    options,
    value: query[name],
    place: 'filter',
    onchange: (event) => filter({ [name]: event.target.value }),
  });

/** A filter that is typed: it holds once somebody leaves it or presses Enter. */
export const filterText = (query, name, label, rest = {}) =>
  textField({
    name,
    label,
    value: query[name] ?? '',
    place: 'filter',
    onchange: (event) => filter({ [name]: event.target.value.trim() }),
    ...rest,
  });

/** The row of filters, with a way out of all of them. */
export function filters(query, ...fields) {
  const names = Object.keys(query).filter((name) => name !== 'cursor');
  return h(
    'form',
    { class: 'filters', role: 'search', 'aria-label': 'Filters', onsubmit: (event) => event.preventDefault() },
    fields,
    names.length
      ? h(
          'button',
          {
            type: 'button',
            class: 'button plain',
            onclick: () => filter(Object.fromEntries(names.map((name) => [name, undefined]))),
          },
          'Clear filters',
        )
      : null,
  );
}

/** What stands in the place of an empty list: filters hide more than they find. */
export const noneFound = (query, title, text) =>
  Object.keys(query).length ? empty(title, 'With these filters there are none.') : empty(title, text);

/** What a form holds, by name: empty fields are left out, checked boxes are true. */
export function valuesOf(form) {
  const values = {};
  for (const element of form.elements) {
    if (!element.name || element.disabled) continue;
    if (element.type === 'checkbox') {
      if (element.checked) values[element.name] = true;
    } else if (element.value.trim() !== '') values[element.name] = element.value.trim();
  }
  return values;
}

/** `2026-11-22T06:00` or `2026-11-22`, meant in UTC, as the API wants it. What has a zone stays as it is. */
export function instantOf(text) {
  if (!text) return undefined;
  const trimmed = text.trim().replace(' ', 'T');
  if (/^\d{4}-\d{2}-\d{2}$/.test(trimmed)) return `${trimmed}T00:00:00Z`;
  if (/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}$/.test(trimmed)) return `${trimmed}:00Z`;
  if (/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?$/.test(trimmed)) return `${trimmed}Z`;
  return trimmed;
}
