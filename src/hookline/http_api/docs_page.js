"use strict";
// Makes /docs usable where it is read: examples name this address, and each call can be tried.

const SHOWN_MAX = 200_000; // characters of a body

for (const place of document.querySelectorAll(".origin")) {
  place.textContent = location.origin;
}
for (const details of document.querySelectorAll("details.try")) {
  const form = details.querySelector("form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (form.ariaBusy !== "true") tryCall(form);
  });
  details.hidden = false;
}

// Kept in the page alone, and gone with it.
const key = document.querySelector("#api-key");
key.closest("p").hidden = false;

async function tryCall(form) {
  const { method } = form.dataset;
  const target = targetOf(form);
  const question = `${method} ${location.origin}${target}\n\nThis changes what Hookline holds. Send it?`;
  if (method !== "GET" && !confirm(question)) return;
  form.ariaBusy = "true";
  const began = performance.now();
  try {
    const answer = await fetch(target, { method, headers: headersOf(form), body: bodyOf(form), cache: "no-store" });
    const body = await answer.text();
    const took = Math.round(performance.now() - began);
    show(form, `${answer.status} ${answer.statusText} after ${took} ms`, answer.headers, body);
  } catch (error) {
    show(form, `No answer: ${error.message}`, [], "");
  } finally {
    form.ariaBusy = "false";
  }
}

function given(form, where) {
  return [...form.querySelectorAll(`[data-in="${where}"]`)].filter((field) => field.value !== "");
}

function targetOf(form) {
  let path = form.dataset.path;
  for (const field of given(form, "path")) {
    path = path.replace(`{${field.name}}`, () => encodeURIComponent(field.value));
  }
  const query = new URLSearchParams(given(form, "query").map((field) => [field.name, field.value]));
  return query.size ? `${path}?${query}` : path;
}

function headersOf(form) {
  const headers = Object.fromEntries(given(form, "header").map((field) => [field.name, field.value]));
  if (key.value !== "") headers.Authorization = `Bearer ${key.value}`;
  if (form.dataset.method !== "GET") headers["Content-Type"] = "application/json";
  return headers;
}

function bodyOf(form) {
  return given(form, "body")[0]?.value;
}

function show(form, status, headers, body) {
  const isJson = [...headers].some(([name, value]) => name === "content-type" && value.includes("json"));
  const text = isJson ? indented(body) : body;
  const more = text.length > SHOWN_MAX ? `\n… and ${text.length - SHOWN_MAX} more characters` : "";
  const output = form.querySelector("output");
  output.querySelector(".status").textContent = status;
  output.querySelector(".headers").textContent = [...headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  output.querySelector(".body").textContent = text.slice(0, SHOWN_MAX) + more;
  output.hidden = false;
}

// Only white space changes: numbers and texts stay as they came, which JSON.parse does not promise.
function indented(json) {
  const tokens = json.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
  const parts = [];
  let depth = 0;
  let before = "";
  for (const token of tokens) {
    const closes = token === "}" || token === "]";
    const isFirst = before === "{" || before === "[";
    if (closes) depth -= 1;
    if (isFirst !== closes || before === ",") parts.push("\n", "  ".repeat(depth));
    parts.push(token === ":" ? ": " : token);
    if (token === "{" || token === "[") depth += 1;
    before = token;
  }
  return parts.join("").trim();
}
