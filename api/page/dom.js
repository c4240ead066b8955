// Elements by calls. Markup is never made from strings, so nothing that people write can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** Properties that start with `on` are listeners, the others attributes; false, null and undefined leave one out. */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else set(element, key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false && child !== undefined));
  return element;
}

export function set(element, attribute, value) {
  if (value === false || value === null || value === undefined) element.removeAttribute(attribute);
  else if (element.getAttribute(attribute) !== String(value)) element.setAttribute(attribute, value === true ? "" : value);
}

/** Leaves an element alone that says it already, so that selections and screen readers are not disturbed. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
  return element;
}

export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const SHAPES = {
  play: "M8 5.2v13.6a.8.8 0 0 0 1.22.68l11-6.8a.8.8 0 0 0 0-1.36l-11-6.8A.8.8 0 0 0 8 5.2z",
  pause: "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z",
  more: "M6 10.3a1.7 1.7 0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4zm6 0a1.7 1.7 0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4zm6 0a1.7 1.7 0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4z",
  mic: "M12 15a3.5 3.5 0 0 0 3.5-3.5v-5a3.5 3.5 0 0 0-7 0v5A3.5 3.5 0 0 0 12 15zm6-3.5h-1.8a4.2 4.2 0 0 1-8.4 0H6a6 6 0 0 0 5.1 5.9V21h1.8v-3.6A6 6 0 0 0 18 11.5z",
  send: "M4 19.5l16.5-7.5L4 4.5v5.8L14 12 4 13.7z",
  back: "M14.7 5.3L8 12l6.7 6.7 1.4-1.4L10.8 12l5.3-5.3z",
  plus: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
  alert: "M12 3L2 20.5h20zm-1 7h2v5h-2zm0 6.5h2v2h-2z",
  stop: "M7 7h10v10H7z",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zm0 2c-3.4 0-6.5 1.7-6.5 4.3V19h13v-1.7c0-2.6-3.1-4.3-6.5-4.3zm7-2a3 3 0 1 0-1.2-5.7 5.3 5.3 0 0 1 0 5.4c.4.2.800.3 1.2.300zm1.3 2.3c.8.9 1.2 2 1.2 3.2V19h3v-1.5c0-2-1.9-3.7-4.2-4.2z",
  trash: "M9 4h6l1 1.5h4v2H4v-2h4zM6 9h12l-1 11.5H7z",
};

export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, svg("path", { d: SHAPES[name] }));
}
