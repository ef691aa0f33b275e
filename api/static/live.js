// SPDX-License-Identifier: Apache-2.0
// Keeps a page up to date by its stream. Without JavaScript the page reloads by itself instead.
"use strict";

const AGAIN_MS = 10000;
const FINAL = ["succeeded", "failed", "cancelled", "quarantined"];

const page = document.querySelector("[data-stream]");
const stream = new EventSource(page.dataset.stream);

function reload() {
  stream.close();
  location.reload();
}

// A stream that ends is opened again by the browser; one that is refused is not.
stream.onerror = () => {
  if (stream.readyState === EventSource.CLOSED) setTimeout(reload, AGAIN_MS);
};

function place(job) {
  if (job.queue_position !== null) {
    return job.queue_position === 0 ? "Next in the queue" : `${job.queue_position} jobs before it`;
  }
  const counted = job.stage === "slices" ? ` ${job.slices.done} of ${job.slices.total}` : "";
  return (job.stage ?? "starting") + counted;
}

// One job: its bar moves, and its page is another one once it has ended.
stream.addEventListener("job", (event) => {
  const job = JSON.parse(event.data);
  if (FINAL.includes(job.state)) return reload();
  const left = job.eta_s === null ? "" : `, about ${Math.round(job.eta_s)} s to go`;
  document.getElementById("state").textContent = `Job ${job.state}`;
  document.getElementById("fraction").value = job.fraction;
  document.getElementById("place").textContent = `${place(job)}${left}.`;
});

// The list: the bars of running jobs move, and it is another list when anything else happens.
stream.addEventListener("progress", (event) => {
  const job = JSON.parse(event.data);
  const bar = document.getElementById(`fraction-${job.job_id}`);
  if (bar) bar.value = job.fraction;
});

let isDue = false;
for (const name of ["submitted", "running", "queued", "prioritised", "regraded", ...FINAL]) {
  stream.addEventListener(name, () => {
    // What happens at once is shown at once, not one by one.
    if (!isDue) setTimeout(reload, 1000);
    isDue = true;
  });
}
