// Ctrl-K: find anything. The list comes from the search page's own fragment; arrows move, Enter opens.
(() => {
  const opener = document.querySelector("[data-palette]");
  if (!opener) return;
  const dialog = document.createElement("dialog");
  dialog.className = "palette";
  dialog.setAttribute("aria-label", "Find anything");
  dialog.innerHTML = `<input type="search" name="q" placeholder="Service, request, person, or page" aria-label="Find anything"
    autocomplete="off" hx-get="${opener.getAttribute("href")}" hx-trigger="input changed delay:120ms"
    hx-target="#found" hx-swap="outerHTML"><ul id="found"></ul>`;
  document.body.append(dialog);
  htmx.process(dialog);
  const input = dialog.querySelector("input");
  const links = () => [...dialog.querySelectorAll("#found a")];

  const open = () => {
    if (dialog.open) return;
    dialog.showModal();
    input.select();
    htmx.ajax("GET", `${input.getAttribute("hx-get")}?q=${encodeURIComponent(input.value)}`, { target: dialog.querySelector("#found"), swap: "outerHTML" });
  };

  const move = (by) => {
    const all = links();
    if (!all.length) return;
    const next = (all.findIndex((link) => link.classList.contains("here")) + by + all.length) % all.length;
    all.forEach((link, place) => link.classList.toggle("here", place === next));
    all[next].scrollIntoView({ block: "nearest" });
  };

  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    open();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-palette]")) { event.preventDefault(); open(); }
    if (event.target === dialog) dialog.close();
  });
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); move(step); }
    if (event.key === "Enter") {
      event.preventDefault();
      (dialog.querySelector("#found a.here") || links()[0])?.click();
    }
  });
  dialog.addEventListener("htmx:afterSettle", () => links()[0]?.classList.add("here"));
})();
