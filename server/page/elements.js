// Elements of the page, by their id and made anew.

export const $ = (id) => document.getElementById(id);

/** An element with its properties and what stands in it. */
export function make(name, properties = {}, ...content) {
  const element = document.createElement(name);
  const { dataset = {}, ...others } = properties;
  Object.assign(element, others);
  Object.assign(element.dataset, dataset);
  element.append(...content);
  return element;
}
