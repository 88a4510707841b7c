// The keyboard: j k move, Enter opens, x ticks, a d decide (with a confirming step), n asks, ? lists the keys.
(() => {
  const rows = () => [...document.querySelectorAll("[data-row]")];
  const here = () => document.querySelector("[data-row].here");

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

  const decide = (verdict) => {
    const current = here();
    if (current && !document.querySelector('[data-row] input:checked')) tick();
    document.querySelector(`[data-key="${verdict}"]`)?.click();
  };

  const show = (id) => { const dialog = document.getElementById(id); if (dialog && !dialog.open) dialog.showModal(); };

  const keys = {
    j: () => move(1), k: () => move(-1), x: tick,
    a: () => decide("a"), d: () => decide("d"),
    n: () => document.querySelector('[data-key="n"]')?.click(),
    "?": () => show("keys"),
  };

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]):not([type=radio]), textarea, select, dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  // A button that says data-confirm repeats its consequence in a window before it acts.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-confirm]");
    const dialog = document.getElementById("confirm");
    if (!button || button.dataset.sure || !dialog) return;
    event.preventDefault();
    document.getElementById("confirm-title").textContent = button.dataset.confirm;
    const yes = document.getElementById("confirm-yes");
    yes.textContent = button.dataset.yes || button.textContent.trim();
    yes.className = button.classList.contains("danger") ? "btn danger" : "btn primary";
    dialog.returnValue = "";
    dialog.onclose = () => {
      if (dialog.returnValue !== "yes") return button.focus();
      button.dataset.sure = "1";
      button.click();
      delete button.dataset.sure;
    };
    dialog.showModal();
  });
})();
