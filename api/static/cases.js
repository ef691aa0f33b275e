// SPDX-License-Identifier: Apache-2.0
// Ticking many cases at once, and keeping the ticks while the list is brought up to date.
"use strict";

const bulk = document.getElementById("bulk");
const ticked = new Set();
let last = null;

const boxes = () => [...document.querySelectorAll('#rows input[name="job_id"]')];

function show() {
  const all = bulk.querySelector("[data-tick-all]");
  const here = boxes();
  bulk.querySelector("[data-ticked]").value = `${ticked.size} ticked`;
  all.checked = here.length > 0 && ticked.size === here.length;
  all.indeterminate = ticked.size > 0 && !all.checked;
  bulk.querySelectorAll("button").forEach((one) => { one.disabled = ticked.size === 0; });
}

function tick(box, on) {
  box.checked = on;
  on ? ticked.add(box.value) : ticked.delete(box.value);
}

// What is no longer on the page is no longer ticked: nobody acts on what they do not see.
function restore() {
  const here = boxes();
  const values = new Set(here.map((box) => box.value));
  ticked.forEach((value) => { if (!values.has(value)) ticked.delete(value); });
  here.forEach((box) => { box.checked = ticked.has(box.value); });
  show();
}

if (bulk) {
  bulk.querySelectorAll("[data-needs-script]").forEach((one) => { one.hidden = false; });
  document.addEventListener("click", (event) => {
    const box = event.target.closest?.('#rows input[name="job_id"]');
    if (!box) return;
    const here = boxes();
    const from = event.shiftKey && last ? here.findIndex((one) => one.value === last) : -1;
    const to = here.indexOf(box);
    const range = from < 0 ? [box] : here.slice(Math.min(from, to), Math.max(from, to) + 1);
    range.forEach((one) => tick(one, box.checked));
    last = box.value;
    show();
  });
  bulk.querySelector("[data-tick-all]").addEventListener("change", (event) => {
    boxes().forEach((box) => tick(box, event.target.checked));
    show();
  });
  // A file that is sent leaves the page as it is, and its buttons are to be used again.
  bulk.addEventListener("submit", (event) => {
    if (event.submitter?.hasAttribute("data-download")) setTimeout(show, 1000);
  });
  // Each swap renews at least an attribute of the list; what is written beside the buttons is no news.
  const isNews = (records) => records.some((record) => !bulk.contains(record.target));
  new MutationObserver((records) => { if (isNews(records)) restore(); })
    .observe(document.getElementById("main"), { childList: true, subtree: true, attributes: true });
  boxes().filter((box) => box.checked).forEach((box) => ticked.add(box.value));
  show();
}
