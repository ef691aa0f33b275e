// SPDX-License-Identifier: Apache-2.0
// What every page does: forms that ask before they act, and are sent once.
"use strict";

document.addEventListener("submit", (event) => {
  const form = event.target;
  const question = event.submitter?.dataset.confirm ?? form.dataset.confirm;
  if (question && !confirm(question)) return event.preventDefault();
  // A second click, before the answer is there, would do it twice.
  if (form.method === "post") setTimeout(() => form.querySelectorAll("button").forEach((one) => { one.disabled = true; }));
});

// A page that comes back from the browser's memory is used again.
addEventListener("pageshow", (event) => {
  if (event.persisted) document.querySelectorAll("form button").forEach((one) => { one.disabled = false; });
});

// Whoever came from a list goes back to it as it was, with its filters.
const back = document.querySelector("[data-back]");
if (back && document.referrer.startsWith(`${back.href}?`)) back.href = document.referrer;

// What is wider than its place is scrolled by keys, once it can have the focus.
const widths = new ResizeObserver((seen) => seen.forEach(({ target }) => {
  if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
  else target.removeAttribute("tabindex");
}));
document.querySelectorAll(".wide").forEach((one) => widths.observe(one));
document.addEventListener("htmx:after:swap", () => document.querySelectorAll(".wide").forEach((one) => widths.observe(one)));
