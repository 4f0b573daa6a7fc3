(() => {
  "use strict";
  const EVERY = 5000;
  const lost = document.getElementById("lost");
  // What the reader opened or closed by hand; everything else follows the server.
  const chosen = new Map();
  let seen = Date.now();

  document.addEventListener("click", (event) => {
    const summary = event.target.closest("details[id] > summary");
    if (summary) chosen.set(summary.parentElement.id, !summary.parentElement.open);
  });

  // The topmost column in view, so that a new order does not move what is being read.
  const anchor = () => {
    for (const details of document.querySelectorAll("#main details[id]")) {
      const box = details.getBoundingClientRect();
      if (box.bottom > 0) return { id: details.id, top: box.top };
    }
    return null;
  };

  // Where the keyboard is: in which part of the page, and the how manieth stop there.
  const FOCUSABLE = "a[href], summary, [tabindex]";
  const place = (element) => {
    const around = element.closest("details[id], section[id], main");
    return { id: around.id, index: [...around.querySelectorAll(FOCUSABLE)].indexOf(element) };
  };

  const swap = (text) => {
    const next = new DOMParser().parseFromString(text, "text/html");
    const main = next.getElementById("main");
    if (!main) throw new Error("no page");
    for (const details of main.querySelectorAll("details")) {
      if (details.id && chosen.has(details.id)) details.open = chosen.get(details.id);
    }
    for (const element of main.querySelectorAll("[autofocus]")) element.removeAttribute("autofocus");
    const old = document.getElementById("main");
    const focused = old.contains(document.activeElement) && place(document.activeElement);
    const sideways = new Map();
    for (const details of old.querySelectorAll("details[id]")) {
      const scrolled = [...details.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
      if (scrolled.some((left) => left > 0)) sideways.set(details.id, scrolled);
    }
    const before = scrollY > 0 ? anchor() : null;
    old.replaceWith(document.adoptNode(main));
    document.title = next.title;
    document.getElementById("foot").replaceWith(document.adoptNode(next.getElementById("foot")));
    if (focused) {
      const around = document.getElementById(focused.id);
      (around?.querySelectorAll(FOCUSABLE)[focused.index] ?? around)?.focus({ preventScroll: true });
    }
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
  document.querySelector("[data-selected]")?.scrollIntoView({ block: "start" });
  // Asked to stand still.
  if (document.querySelector("main[data-still]")) return;
  document.addEventListener("visibilitychange", refresh);
  setTimeout(tick, EVERY);
})();
