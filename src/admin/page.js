(() => {
  "use strict";
  const EVERY = 5000;
  const lost = document.getElementById("lost");
  // What the reader opened or closed by hand; everything else follows the server.
  const chosen = new Map();
  let seen = Date.now();

  document.addEventListener("click", (event) => {
    const summary = event.target.closest("summary");
    if (summary) chosen.set(summary.parentElement.id, !summary.parentElement.open);
  });

  // The topmost column in view, so that a new order does not move what is being read.
  const anchor = () => {
    for (const details of document.querySelectorAll("#main details")) {
      const box = details.getBoundingClientRect();
      if (box.bottom > 0) return { id: details.id, top: box.top };
    }
    return null;
  };

  const swap = (text) => {
    const next = new DOMParser().parseFromString(text, "text/html");
    const main = next.getElementById("main");
    if (!main) throw new Error("no page");
    for (const details of main.querySelectorAll("details")) {
      if (chosen.has(details.id)) details.open = chosen.get(details.id);
    }
    for (const element of main.querySelectorAll("[autofocus]")) element.removeAttribute("autofocus");
    const old = document.getElementById("main");
    const focused = old.contains(document.activeElement) && document.activeElement.closest("details");
    const sideways = new Map();
    for (const details of old.querySelectorAll("details")) {
      const scrolled = [...details.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
      if (scrolled.some((left) => left > 0)) sideways.set(details.id, scrolled);
    }
    const before = scrollY > 0 ? anchor() : null;
    old.replaceWith(document.adoptNode(main));
    document.title = next.title;
    if (focused) document.getElementById(focused.id)?.querySelector("summary").focus({ preventScroll: true });
    for (const [id, scrolled] of sideways) {
      const boxes = document.getElementById(id)?.querySelectorAll(".scroll") ?? [];
      boxes.forEach((box, index) => { box.scrollLeft = scrolled[index] ?? 0; });
    }
    const after = before && document.getElementById(before.id);
    if (after) scrollBy({ top: after.getBoundingClientRect().top - before.top, behavior: "instant" });
  };

  const reading = () => {
    const selection = getSelection();
    return selection && !selection.isCollapsed;
  };

  const refresh = async () => {
    if (document.hidden || reading()) return;
    try {
      const response = await fetch(location.pathname + location.search, {
        cache: "no-store",
        signal: AbortSignal.timeout(EVERY),
      });
      if (!response.ok) throw new Error(response.statusText);
      swap(await response.text());
      seen = Date.now();
      lost.hidden = true;
    } catch {
      const seconds = Math.round((Date.now() - seen) / 1000);
      lost.textContent = `driftd does not answer. What you see is ${seconds} s old.`;
      lost.hidden = false;
    }
  };

  const tick = async () => {
    await refresh();
    setTimeout(tick, EVERY);
  };
  document.addEventListener("visibilitychange", refresh);
  document.querySelector("[data-selected]")?.scrollIntoView({ block: "start" });
  setTimeout(tick, EVERY);
})();
