// Elements made by code. Text of the data goes through textContent only, and so is never markup.

type Props = Record<string, string | number | boolean | null | ((event: never) => void)>;
type Child = Node | string | null;

/** Makes an element: properties beginning with ``on`` are listeners, the others attributes. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value as EventListener);
    else if (value !== null && value !== false)
      made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A part of the page with a heading. */
export function card(name: string, title: string, ...children: Child[]): HTMLElement {
  return el(
    "section",
    { class: `card ${name}`, "aria-label": title },
    el("h2", {}, title),
    ...children,
  );
}

export function button(text: string, onclick: () => void, props: Props = {}): HTMLButtonElement {
  return el("button", { type: "button", onclick, ...props }, text);
}

/** Hands a file to the reader. */
export function download(name: string, type: string, content: string): void {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = el("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Says something to those who hear the page. */
export function say(text: string): void {
  const live = document.getElementById("live");
  if (live) live.textContent = text;
}
