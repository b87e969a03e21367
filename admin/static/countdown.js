// Keeps the countdowns of a page true while it stays open. The page says everything without it; when one is over, the page is loaded again,
// but not under the hands of somebody who is filling a field in.
"use strict";
(() => {
  const marks = [...document.querySelectorAll("[data-until]")];
  if (!marks.length) return;
  const ahead = Date.now() - Date.parse(document.body.dataset.now);
  const say = (mark, number, unit) => mark.dataset[unit + (number === 1 ? "1" : "n")].replace("{n}", number);
  const tick = () => {
    for (const mark of marks) {
      const minutes = Math.max(0, Math.ceil((Date.parse(mark.dataset.until) + ahead - Date.now()) / 60000));
      if (minutes <= 0 && !document.activeElement?.matches("input, textarea, select")) return location.reload();
      if (minutes >= 1440) continue;
      const hours = Math.floor(minutes / 60), rest = minutes % 60;
      const parts = hours ? [say(mark, hours, "hour")] : [];
      if (rest || !hours) parts.push(say(mark, rest, "minute"));
      mark.textContent = parts.join(" ");
    }
    setTimeout(tick, 10000);
  };
  setTimeout(tick, 10000);
})();
