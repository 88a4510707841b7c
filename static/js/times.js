// Times in the reader's own zone, the zone named; relative where that says more, exact on focus and hover.
(() => {
  const zone = { timeZoneName: "short" };
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const near = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...zone });
  const day = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...zone };
  const thisYear = new Intl.DateTimeFormat(undefined, day);
  const otherYear = new Intl.DateTimeFormat(undefined, { ...day, year: "numeric" });
  const far = (moment) => (moment.getFullYear() === new Date().getFullYear() ? thisYear : otherYear).format(moment);
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long", hourCycle: "h23" });
  const steps = [[60, 1, "second"], [3600, 60, "minute"], [86400, 3600, "hour"], [604800, 86400, "day"]];
  const words = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

  const ago = (moment) => {
    const seconds = Math.round((moment - Date.now()) / 1000);
    const step = steps.find(([limit]) => Math.abs(seconds) < limit);
    if (!step) return far(moment);
    return Math.abs(seconds) < 5 ? "now" : words.format(Math.round(seconds / step[1]), step[2]);
  };

  const full = (moment) => (moment.toDateString() === new Date().toDateString() ? near.format(moment) : far(moment));

  const show = (element) => {
    const moment = new Date(element.dateTime);
    const style = element.dataset.as || element.closest("[data-times]")?.dataset.times;
    element.textContent = style === "clock" ? clock.format(moment) : style === "full" ? full(moment) : ago(moment);
    element.title = exact.format(moment);
  };

  const zoneName = near.formatToParts(new Date()).find((part) => part.type === "timeZoneName").value;
  const showAll = (root) => {
    root.querySelectorAll("time").forEach(show);
    root.querySelectorAll("[data-zone]").forEach((element) => { element.textContent = zoneName; });
  };
  showAll(document);
  // After the swap and before the browser paints: settling comes later, and the server's own zone would be seen till then.
  document.addEventListener("htmx:afterSwap", (event) => showAll(event.target.parentElement || document));
  setInterval(() => document.querySelectorAll("time").forEach(show), 15000);
})();
