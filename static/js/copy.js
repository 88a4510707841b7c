// Copy buttons appear where scripts run, and say aloud what they did.
(() => {
  const reveal = () => document.querySelectorAll("[data-copy][hidden]").forEach((button) => { button.hidden = false; });
  reveal();
  document.addEventListener("htmx:afterSettle", reveal);
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const label = button.querySelector("span");
    try {
      await navigator.clipboard.writeText(button.parentElement.querySelector("pre").textContent);
      label.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(button.parentElement.querySelector("pre"));
      label.textContent = "Selected";
    }
    setTimeout(() => { label.textContent = "Copy"; }, 1600);
  });
  // A control that says data-send submits its form when it changes; its button is for pages without scripts.
  document.addEventListener("change", (event) => { if (event.target.matches("[data-send]")) event.target.form.requestSubmit(); });
})();
