// SPDX-License-Identifier: Apache-2.0
// Sends studies in pieces that survive a broken link: a zip as it is, a folder packed on the way.
import { downloadZip } from "./vendor/client-zip/index.js";

const PIECE = 8 * 1024 * 1024;
const AGAIN_MS = [0, 1000, 3000, 10000, 30000, 60000, 60000];
const ZIP = "application/zip";
const DICOM = "application/dicom";

const form = document.getElementById("send");
const drop = document.getElementById("drop");

function chosen() {
  const fields = Object.fromEntries(new FormData(form));
  return { tenant: fields.tenant, order: { priority: fields.priority, ...(fields.network && { network: fields.network }) } };
}

// ── What was dropped or chosen ───────────────────────────────────────────────────────────────

async function* walk(entry) {
  if (entry.isFile) {
    yield await new Promise((done, failed) => entry.file(done, failed));
    return;
  }
  const reader = entry.createReader();
  // A folder is read by the hundred, until there is no more.
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return;
    for (const one of some) yield* walk(one);
  }
}

async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  const files = [];
  for (const entry of entries) for await (const file of walk(entry)) files.push(file);
  return files;
}

function isZip(file) { return /\.zip$/i.test(file.name); }

// The same files are known again, whatever their names, so that a closed page can go on.
async function fingerprint(files, where) {
  const about = files.map((file) => `${file.name} ${file.size} ${file.lastModified}`).sort().join("\n");
  // Browsers digest for pages of TLS and of this machine alone; elsewhere a closed page begins anew.
  if (!globalThis.crypto?.subtle) return null;
  const bytes = new TextEncoder().encode(`${where.tenant}\n${JSON.stringify(where.order)}\n${about}`);
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return `hilum-${[...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

// Names of files may name patients, and nobody needs them.
async function pack(files) {
  if (files.length === 1) return { body: files[0], type: isZip(files[0]) ? ZIP : DICOM };
  const sorted = [...files].sort((one, other) => (one.name < other.name ? -1 : 1));
  const named = sorted.map((file, index) => ({ name: `${index}.dcm`, input: file, lastModified: new Date(0) }));
  return { body: await downloadZip(named).blob(), type: ZIP };
}

// ── One upload ───────────────────────────────────────────────────────────────────────────────

function row(files) {
  const item = document.getElementById("upload").content.cloneNode(true).firstElementChild;
  const find = (name) => item.querySelector(`[data-${name}]`);
  find("name").textContent = files.length === 1 ? files[0].name : `${files.length} files`;
  document.getElementById("sent").hidden = false;
  document.getElementById("uploads").prepend(item);
  return { item, find, bar: item.querySelector("progress"), say: (text) => { find("said").textContent = text; } };
}

function problemOf(error) {
  try {
    const problem = JSON.parse(error.originalResponse.getBody());
    return `${problem.title} ${problem.detail} (${problem.code})`;
  } catch {
    return "The server does not answer. Drop the same study again to go on where it stood.";
  }
}

function refuse(shown, words) {
  shown.find("said").className = "alert";
  shown.say(words);
  shown.find("pause").remove();
  shown.find("cancel").remove();
}

// All bytes had arrived before, by a page that was closed then: the study may be on its way in, or wait to be asked for.
async function jobOf(upload, headers) {
  for (let tries = 0; tries < 120; tries += 1) {
    const told = await (await fetch(upload.url, { headers: { ...headers, Accept: "application/json" } })).json();
    if (told.links?.job) return told.links.job.split("/").pop();
    if (told.error) throw new Error(`${told.error.message} (${told.error.code})`);
    if (tries === 5) {
      const piece = { "Tus-Resumable": "1.0.0", "Upload-Offset": String(told.offset), "Content-Type": "application/offset+octet-stream" };
      await fetch(upload.url, { method: "PATCH", headers: { ...headers, ...piece } });
    }
    await new Promise((go) => { setTimeout(go, 1000); });
  }
  throw new Error("It has arrived, and the server has not taken it in yet. See under Cases whether it is there.");
}

async function answer(shown, job) {
  const part = await fetch(`/send/${job}`, { headers: { Accept: "text/html" } });
  shown.bar.remove();
  shown.find("pause").remove();
  shown.find("cancel").remove();
  shown.say("Arrived.");
  // Of our own server, which escapes what it shows.
  shown.find("answer").innerHTML = await part.text();
}

async function begin(files) {
  if (!files.length) return;
  const where = chosen();
  const shown = row(files);
  shown.say(files.length === 1 ? "Sending" : "Packing");
  let packed;
  try {
    packed = await pack(files);
  } catch {
    return refuse(shown, "A file could not be read. See that it is still there, and drop the study again.");
  }
  let job = null;
  const headers = { "X-Form-Token": form.dataset.token, "Hilum-Tenant": where.tenant };
  const upload = new tus.Upload(packed.body, {
    endpoint: "/v1/uploads",
    chunkSize: PIECE,
    retryDelays: AGAIN_MS,
    removeFingerprintOnSuccess: true,
    headers,
    metadata: { filetype: packed.type, ...where.order },
    fingerprint: () => fingerprint(files, where),
    storeFingerprintForResuming: Boolean(globalThis.crypto?.subtle),
    onProgress: (sent, all) => {
      shown.bar.value = sent / all;
      shown.say(`${(sent / 2 ** 20).toFixed(1)} of ${(all / 2 ** 20).toFixed(1)} MiB`);
    },
    // What the server refuses for the study's sake it will refuse again.
    onShouldRetry: (error) => !error.originalResponse || error.originalResponse.getStatus() >= 500 || error.originalResponse.getStatus() === 423,
    onAfterResponse: (request, response) => { job = response.getHeader("Hilum-Job")?.split("/").pop() ?? job; },
    onError: (error) => refuse(shown, problemOf(error)),
    onSuccess: async () => {
      try {
        await answer(shown, job ?? await jobOf(upload, headers));
      } catch (error) {
        refuse(shown, error.message);
      }
    },
  });
  const pause = shown.find("pause");
  pause.addEventListener("click", () => {
    const isPaused = pause.getAttribute("aria-pressed") === "true";
    pause.setAttribute("aria-pressed", String(!isPaused));
    pause.textContent = isPaused ? "Pause" : "Go on";
    if (isPaused) upload.start(); else upload.abort().then(() => shown.say("Paused"));
  });
  shown.find("cancel").addEventListener("click", () => {
    // It need not have begun on the server.
    upload.abort(true).catch(() => {}).then(() => shown.item.remove());
  });
  try {
    const before = globalThis.crypto?.subtle ? await upload.findPreviousUploads() : [];
    if (before.length) upload.resumeFromPreviousUpload(before[0]);
    upload.start();
  } catch {
    refuse(shown, "A file could not be read. See that it is still there, and drop the study again.");
  }
}

// Several zips are several studies; several files are one.
function take(files) {
  if (files.length && !chosen().tenant) {
    form.elements.tenant.focus();
    return refuse(row(files), "Choose a hospital first.");
  }
  return files.every(isZip) ? files.forEach((file) => begin([file])) : begin(files);
}

// ── The page ─────────────────────────────────────────────────────────────────────────────────

if (form) {
  for (const button of drop.querySelectorAll("[data-choose]")) {
    const input = document.getElementById(button.dataset.choose);
    const choose = () => {
      take([...input.files]);
      input.value = "";
    };
    button.addEventListener("click", () => input.click());
    input.addEventListener("change", choose);
    // Somebody may have been quicker than this script.
    choose();
  }
  for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    take(await filesOf(event.dataTransfer));
  });
}
