"use strict";
// Keeps parts of a page up to date, copies, asks before what cannot be undone, and puts the cursor into the search at
// "/". All else works without it.

(() => {
  const said = (text) => {
    const place = document.getElementById("said");
    place.textContent = text;
    place.classList.add("is-said");
    setTimeout(() => place.classList.remove("is-said"), 2000);
  };

  const copied = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {  // over plain http there is no clipboard but this way
      const field = document.createElement("textarea");
      field.value = text;
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    said("Copied");
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) {
      copied(document.getElementById(button.dataset.copy).textContent);
    } else if (event.target.closest("[data-copy-link]")) {
      copied(location.origin + location.pathname);
    }
  });

  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.confirm;
    if (question && !confirm(question)) {
      event.preventDefault();
    }
  });

  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, select, textarea");
    const search = document.getElementById("search");
    if (event.key === "/" && search && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  });

  // A part is not replaced while somebody types or has opened something in it, and keeps what has the focus.
  const isInUse = (part) => part.querySelector("details[open]") || part.contains(document.getSelection().focusNode)
    && !document.getSelection().isCollapsed;

  const replaced = (part, text) => {
    const held = document.activeElement;
    const id = part.contains(held) ? held.id || held.getAttribute("href") || held.textContent : null;
    part.innerHTML = text;
    htmx.process(part);
    if (id) {
      [...part.querySelectorAll("a, button")]
        .find((one) => [one.id, one.getAttribute("href"), one.textContent].includes(id))?.focus({ preventScroll: true });
    }
  };

  const open = new Map();  // of the parts that are kept up to date, by their elements

  const close = (part) => {
    open.get(part)?.close();
    open.delete(part);
  };

  const follow = (part) => {
    const source = new EventSource(part.dataset.live);
    const place = document.getElementById(part.dataset.liveInto) ?? part;
    let waiting = null;
    open.set(part, source);
    source.addEventListener("part", (event) => {
      waiting = event.data;
      const put = () => {
        if (waiting === null || !part.isConnected) {
          return;
        }
        if (isInUse(place)) {
          setTimeout(put, 1000);
          return;
        }
        replaced(place, waiting);
        waiting = null;
      };
      put();
    });
    source.addEventListener("sample", (event) => {
      part.dispatchEvent(new CustomEvent("sample", { detail: JSON.parse(event.data) }));
    });
  };

  // A browser has six connections for a site: a page that nobody sees gives its one back.
  const look = () => {
    const parts = document.hidden ? [] : [...document.querySelectorAll("[data-live]")];
    [...open.keys()].filter((part) => !parts.includes(part)).forEach(close);
    parts.filter((part) => !open.has(part)).forEach(follow);
  };

  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const told = (seconds) => {
    const [step, unit] = units.find(([least]) => seconds >= least) ?? [1, "s"];
    return `${Math.floor(seconds / step)} ${unit}`;
  };
  const age = () => document.querySelectorAll("time[title]").forEach((one) => {
    const seconds = (new Date(one.dateTime) - Date.now()) / 1000;
    one.textContent = seconds > 0 ? `in ${told(seconds)}` : `${told(-seconds)} ago`;
  });

  document.addEventListener("visibilitychange", look);
  document.addEventListener("htmx:afterSettle", look);
  document.addEventListener("DOMContentLoaded", look);
  addEventListener("pagehide", () => [...open.keys()].forEach(close));
  addEventListener("pageshow", look);
  setInterval(age, 10000);
})();
