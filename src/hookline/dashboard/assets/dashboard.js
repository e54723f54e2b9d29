"use strict";
// Copies, asks before what cannot be undone, and puts the cursor into the search at "/". All else works without it.

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
})();
