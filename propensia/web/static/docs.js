// Shows the OpenAPI document that the page names. Nothing is kept in the browser.
"use strict";

// The files of Swagger UI have dark colours of their own, but only under this class.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const colour = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", colour);
colour();

const place = document.getElementById("swagger-ui");

// A key is typed like a password: out of sight, and never among what the browser remembers.
place.addEventListener("focusin", ({ target }) => {
  if (target.closest(".auth-container") && target.matches("input[type=text]")) {
    target.type = "password";
    target.autocomplete = "new-password";
  }
});

window.SwaggerUIBundle({
  domNode: place,
  url: place.dataset.document,
  queryConfigEnabled: false,
  persistAuthorization: false,
  validatorUrl: null,
  // The line for curl is the request before this adds to it: what the page sends to show that it is
  // of the session is of no use elsewhere, and for nobody else to see.
  showMutatedRequest: false,
  // With a session, what changes something must show that a page of ours sent it.
  requestInterceptor(request) {
    if (place.dataset.csrf) request.headers["X-CSRF-Token"] = place.dataset.csrf;
    return request;
  },
  defaultModelsExpandDepth: 0,
});
