// SPDX-License-Identifier: Apache-2.0
// Light or dark, as the reader chose last, before anything is drawn; else as their system has it.
"use strict";

const KEPT = "hilum-theme";
const root = document.documentElement;
const chosen = localStorage.getItem(KEPT);
if (chosen) root.dataset.theme = chosen;

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-theme-switch]")) return;
  const isDark = getComputedStyle(root).colorScheme === "dark"
    || (root.dataset.theme === undefined && matchMedia("(prefers-color-scheme: dark)").matches);
  root.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem(KEPT, root.dataset.theme);
  document.dispatchEvent(new CustomEvent("hilum:theme"));
});
