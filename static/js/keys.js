// The keyboard: j k move, Enter opens, x ticks, a d decide (with a confirming step), n asks, / finds, ? lists the keys.
(() => {
  const ROW = "[data-row], .list tbody tr";
  const rows = () => [...document.querySelectorAll(ROW)];
  const here = () => rows().find((row) => row.classList.contains("here"));

  const move = (by) => {
    const all = rows();
    if (!all.length) return;
    const next = Math.min(all.length - 1, Math.max(0, all.indexOf(here()) + by));
    all.forEach((row, place) => row.classList.toggle("here", place === next));
    const link = all[next].querySelector("a[href]");
    (link || all[next]).focus({ preventScroll: true });
    all[next].scrollIntoView({ block: "nearest" });
  };

  const tick = () => {
    const box = here()?.querySelector('input[type="checkbox"]');
    if (box) { box.checked = !box.checked; box.dispatchEvent(new Event("change", { bubbles: true })); }
  };

  // In a list what is ticked is decided on the next page; where the button acts at once, a key asks first.
  const decide = (verdict) => {
    const button = document.querySelector(`[data-key="${verdict}"]`);
    if (!button) return;
    if (!document.querySelector("[data-row] input[type=checkbox]")) return button.dataset.confirm ? button.click() : confirm(button);
    if (here() && !document.querySelector("[data-row] input:checked")) tick();
    button.click();
  };

  const find = () => {
    const field = document.querySelector('main [role="search"] input[type="search"]');
    if (field) { field.focus(); field.select(); } else document.querySelector("[data-palette]")?.click();
  };

  const KEYS = [["Ctrl K", "Find anything"], ["/", "Find on this page"], ["j k", "Next, previous"], ["Enter", "Open it"], ["x", "Tick it"],
    ["a d", "Approve, deny; a confirming step follows"], ["n", "Ask for access"], ["?", "This list"], ["Esc", "Close it"]];

  const windowOf = (id, inside) => {
    const dialog = document.createElement("dialog");
    dialog.id = id;
    dialog.setAttribute("aria-labelledby", `${id}-title`);
    dialog.innerHTML = inside;
    document.body.append(dialog);
    return dialog;
  };

  const showKeys = () => {
    const caps = (text) => text.split(" ").map((key) => `<kbd>${key}</kbd>`).join(" ");
    const rows = KEYS.map(([key, what]) => `<dt>${caps(key)}</dt><dd>${what}</dd>`).join("");
    const dialog = document.getElementById("keys") || windowOf("keys", `<div class="dialog-in"><h2 id="keys-title">Keys</h2>
      <dl class="facts">${rows}</dl><form method="dialog"><button class="btn">Close</button></form></div>`);
    if (!dialog.open) dialog.showModal();
  };

  const confirmWindow = () => document.getElementById("confirm") || windowOf("confirm", `<form class="dialog-in" method="dialog">
    <h2 id="confirm-title"></h2><div class="wrap"><button class="btn primary" value="yes" id="confirm-yes"></button>
    <button class="btn" value="">Not now</button></div></form>`);

  const keys = {
    j: () => move(1), k: () => move(-1), x: tick,
    a: () => decide("a"), d: () => decide("d"),
    n: () => document.querySelector('[data-key="n"]')?.click(),
    "/": find,
    "?": showKeys,
    Escape: () => document.querySelector('[data-key="esc"]')?.click(),
  };

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]):not([type=radio]), textarea, select, dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  // Repeats the consequence in a window before the button acts.
  const confirm = (button) => {
    const said = button.textContent.trim().replace(/\s+/g, " ");
    const dialog = confirmWindow();
    document.getElementById("confirm-title").textContent = button.dataset.confirm || `${said}?`;
    const yes = document.getElementById("confirm-yes");
    yes.textContent = button.dataset.yes || (button.dataset.confirm ? said : "Yes");
    yes.className = button.classList.contains("danger") ? "btn danger" : "btn primary";
    dialog.returnValue = "";
    dialog.onclose = () => {
      if (dialog.returnValue !== "yes") return button.focus();
      button.dataset.sure = "1";
      button.click();
      delete button.dataset.sure;
    };
    dialog.showModal();
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-confirm]");
    if (!button || button.dataset.sure) return;
    event.preventDefault();
    confirm(button);
  });
})();
