// Descriptions of elements, and what brings the document to a description.
//
// A page describes itself anew at each refresh; only what differs is touched. So what somebody has focused, typed,
// selected, opened or scrolled stays as it is while numbers move. Nothing here knows the API or the pages.

const SVG = 'http://www.w3.org/2000/svg';
const HTML = 'http://www.w3.org/1999/xhtml';
const TEXT = '#text';
// Stands in the place of a child that isn't there now, so that its siblings stay the same elements when it comes.
const NOTHING = '#nothing';

// These are what somebody changed, not what was written into the document at first.
const PROPERTIES = new Set(['value', 'checked', 'selected', 'open', 'indeterminate']);

const drawn = new WeakMap();

/** Describes an element. `attributes.key` tells it from its siblings; `attributes.made` gets the element once it exists. */
export function h(tag, attributes, ...children) {
  const { key, made, ...rest } = attributes ?? {};
  return { tag, key, made, attributes: rest, children: children.flat(Infinity).map(described) };
}

function described(child) {
  if (child === null || child === undefined || child === false || child === true) return { tag: NOTHING };
  if (typeof child === 'object') return child;
  return { tag: TEXT, text: String(child) };
}

/** Makes a container's content what is described. */
export function draw(container, ...children) {
  const after = children.flat(Infinity).map(described);
  const before = drawn.get(container);
  // What the page came with makes room at the first drawing.
  if (!before) container.replaceChildren();
  drawn.set(container, after);
  drawChildren(container, before ?? [], after);
}

function drawChildren(parent, before, after) {
  const pairs = matched(before, after);
  const kept = new Set(pairs.map(({ old }) => old));
  for (const old of before) if (!kept.has(old)) old.element.remove();
  let place = parent.firstChild;
  for (const { old, node } of pairs) {
    if (old) changed(old, node);
    else node.element = make(node, parent);
    if (node.element === place) place = place.nextSibling;
    else parent.insertBefore(node.element, place);
    if (!old) node.made?.(node.element);
  }
}

// Children with a key belong to the one with the same key, the others to the one in the same place.
function matched(before, after) {
  const byKey = new Map(before.filter((node) => node.key !== undefined).map((node) => [node.key, node]));
  const byPlace = before.filter((node) => node.key === undefined);
  let place = 0;
  return after.map((node) => {
    const candidate = node.key === undefined ? byPlace[place++] : byKey.get(node.key);
    if (node.key !== undefined) byKey.delete(node.key);
    return { node, old: candidate?.tag === node.tag ? candidate : undefined };
  });
}

function make(node, parent) {
  if (node.tag === TEXT) return document.createTextNode(node.text);
  if (node.tag === NOTHING) return document.createComment('');
  const inSvg = node.tag === 'svg' || (parent.namespaceURI === SVG && parent.localName !== 'foreignObject');
  const element = document.createElementNS(inSvg ? SVG : HTML, node.tag);
  drawChildren(element, [], node.children);
  // After the children, since a select's value needs its options.
  for (const [name, value] of Object.entries(node.attributes)) set(element, name, value);
  return element;
}

function changed(old, node) {
  const { element } = old;
  node.element = element;
  if (node.tag === TEXT) {
    if (old.text !== node.text) element.data = node.text;
    return;
  }
  if (node.tag === NOTHING) return;
  drawChildren(element, old.children, node.children);
  for (const name of Object.keys(old.attributes)) {
    if (!(name in node.attributes)) set(element, name, undefined);
  }
  for (const [name, value] of Object.entries(node.attributes)) {
    // Compared with what was described before, not with what is there: somebody may be typing.
    if (old.attributes[name] !== value) set(element, name, value);
  }
}

function set(element, name, value) {
  if (name.startsWith('on')) element[name] = value ?? null;
  else if (PROPERTIES.has(name)) element[name] = value ?? (typeof element[name] === 'boolean' ? false : '');
  else if (name === 'style')
    for (const [property, text] of Object.entries(value ?? {})) element.style.setProperty(property, text);
  else if (value === undefined || value === null || (value === false && !name.startsWith('aria-')))
    element.removeAttribute(name);
  else element.setAttribute(name, value === true && !name.startsWith('aria-') ? '' : String(value));
}
