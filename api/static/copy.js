// SPDX-License-Identifier: Apache-2.0
// What is shown once can be copied at one press; without this script it can be marked and copied.
"use strict";

const button = document.querySelector("[data-copy]");
const field = document.getElementById(button.dataset.copy);

button.hidden = false;
field.addEventListener("focus", () => field.select());
button.addEventListener("click", async () => {
  field.select();
  // Without TLS a browser has no clipboard for scripts; what is marked can still be copied by hand.
  const copied = navigator.clipboard ? await navigator.clipboard.writeText(field.value).then(() => true, () => false) : false;
  document.querySelector("[data-copied]").textContent = copied ? "Copied." : "It is marked: copy it by hand.";
});
