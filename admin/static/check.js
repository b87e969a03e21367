// Looks again while a check of this device is under way, and opens the outcome when there is one: nothing is loaded anew in between, so that
// a screen reader reads each page once. Without scripts the page does it by itself.
"use strict";
(() => {
  const look = async (address) => {
    const reply = await fetch(address, { credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    const again = page.querySelector("[data-again]");
    if (!again) return location.replace(address);
    for (const one of page.querySelectorAll("img.probe")) new Image().src = one.src;
    wait(again.getAttribute("href"));
  };
  const wait = (address) => setTimeout(() => look(address).catch(() => location.replace(address)), 2000);
  const first = document.querySelector("[data-again]");
  if (first) wait(first.getAttribute("href"));
})();
