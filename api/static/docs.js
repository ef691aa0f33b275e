// SPDX-License-Identifier: Apache-2.0
// A file of its own, so that the page needs no inline script.
"use strict";

const place = document.getElementById("api");
SwaggerUIBundle({
  url: place.dataset.document,
  domNode: place,
  deepLinking: true,
  // The usual validator is on the internet.
  validatorUrl: null,
});
