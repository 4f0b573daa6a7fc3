(() => {
  "use strict";
  const EVERY = 5000;
  // Until the answer begins, and until it has come whole: a large page over a slow line is no silence.
  const SILENCE = 5000;
  const LONGEST = 30000;
  const lost = document.getElementById("lost");
  // What the reader opened or closed by hand; everything else follows the server.
  const chosen = new Map();
  let seen = Date.now();
  let took = 0;
  let busy = false;

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
    // The link beside it stays, and with it whoever is there.
    document.getElementById("facts").replaceWith(document.adoptNode(next.getElementById("facts")));
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

  const fetched = async () => {
    const stop = new AbortController();
    let cause = "does not answer";
    let timer = setTimeout(() => stop.abort(), SILENCE);
    try {
      const response = await fetch(location.pathname + location.search, {
        cache: "no-store",
        signal: stop.signal,
      });
      clearTimeout(timer);
      cause = "answers too slowly";
      timer = setTimeout(() => stop.abort(), LONGEST);
      const text = await response.text();
      cause = response.ok ? "answers with something else than its page" : `answers with status ${response.status}`;
      if (!response.ok) throw new Error(cause);
      swap(text);
    } catch (error) {
      throw new Error(cause, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  };

  // Said once for each cause, with a time that stands still; how old the page is is only to be seen.
  const tell = (cause) => {
    const clock = new Date(seen).toISOString().slice(11, 19);
    const why = `driftd ${cause}. What you see is of ${clock} UTC.`;
    const [said, age] = lost.children;
    lost.hidden = false;
    if (said.textContent !== why) said.textContent = why;
    age.textContent = ` ${Math.round((Date.now() - seen) / 1000)} s old`;
  };

  const refresh = async () => {
    if (busy || document.hidden || reading()) return;
    busy = true;
    const begun = Date.now();
    try {
      await fetched();
      seen = Date.now();
      lost.hidden = true;
      for (const part of lost.children) part.textContent = "";
    } catch (error) {
      tell(error.message);
    }
    took = Date.now() - begun;
    busy = false;
  };

  const tick = async () => {
    await refresh();
    // What takes long is asked for less often.
    setTimeout(tick, Math.max(EVERY, 4 * took));
  };
  document.querySelector("[data-selected]")?.scrollIntoView({ block: "start" });
  // Asked to stand still.
  if (document.querySelector("main[data-still]")) return;
  document.addEventListener("visibilitychange", refresh);
  setTimeout(tick, EVERY);
})();
