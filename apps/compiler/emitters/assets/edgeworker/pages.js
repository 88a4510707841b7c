// The few pages of the edge itself. They hold nothing from elsewhere and run nothing.
const SAFE = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

export const escaped = (text) => text.replace(/[&<>"']/g, (letter) => SAFE[letter]);

export const link = (address, label) => `<a href="${escaped(address)}">${escaped(label)}</a>`;

export const button = (action, label) => `<form method="post" action="${action}"><button>${escaped(label)}</button></form>`;

/** ``ways`` and ``small`` are markup already. */
export function page({ title, heading, words, ways, small = "" }) {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title>
<style>:root{color-scheme:light dark;background:Canvas;color:CanvasText}body{font:16px/1.5 system-ui,sans-serif;
max-width:36rem;margin:15vh auto;padding:0 1rem}button{font:inherit;padding:.3rem 1rem}small{opacity:.8}</style></head>
<body><main><h1>${escaped(heading)}</h1><p>${escaped(words)}</p>${ways.map((way) => `<div>${way}</div>`).join("")}
<p><small>${small}</small></p></main></body></html>
`;
}

export const pageHeaders = (forms) => ({
  "Content-Type": "text/html; charset=utf-8",
  "Cache-Control": "no-store",
  "Content-Security-Policy": `default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; form-action ${forms}`,
});
