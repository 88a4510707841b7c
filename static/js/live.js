// Pages that move by themselves: a poke over server-sent events, then the same page's fragment fetched by htmx.
// An element says data-live="<events address>"; on each poke everything inside with hx-trigger="poke" asks again.
// What somebody is typing is never swept away: then a note offers the refresh instead.
(() => {
  const open = new Map();

  const busy = (root) => {
    const field = document.activeElement;
    const typing = root.contains(field) && /^(TEXTAREA|INPUT|SELECT)$/.test(field.tagName);
    return typing || [...root.querySelectorAll("textarea")].some((area) => area.value !== area.defaultValue);
  };

  const offer = (root) => {
    const note = root.querySelector("[data-moved]");
    if (note) note.hidden = false;
  };

  const poke = (root) => {
    if (busy(root)) return offer(root);
    const parts = root.querySelectorAll('[hx-trigger~="poke"]');
    parts.forEach((part) => htmx.trigger(part, "poke"));
  };

  const calmly = (fn, rest) => {
    let timer = 0, last = 0;
    return () => {
      clearTimeout(timer);
      timer = setTimeout(() => { last = Date.now(); fn(); }, Math.max(30, rest - (Date.now() - last)));
    };
  };

  const start = (root) => {
    if (open.has(root)) return;
    const source = new EventSource(root.dataset.live);
    const again = calmly(() => poke(root), Number(root.dataset.rest || 150));
    let greeted = false;
    source.addEventListener("poke", again);
    source.addEventListener("call", again);
    source.addEventListener("open", () => { if (greeted) again(); greeted = true; root.dataset.link = "up"; });
    source.addEventListener("error", () => { root.dataset.link = "down"; });
    open.set(root, source);
  };

  document.querySelectorAll("[data-live]").forEach(start);
  addEventListener("pagehide", () => { open.forEach((source) => source.close()); open.clear(); });
  addEventListener("pageshow", (event) => { if (event.persisted) document.querySelectorAll("[data-live]").forEach(start); });

  // What was folded open stays open when its surroundings are replaced.
  let unfolded = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    unfolded = [...event.detail.target.querySelectorAll("details[id][open]")].map((details) => details.id);
  });
  document.addEventListener("htmx:afterSwap", () => {
    unfolded.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
  });
})();
