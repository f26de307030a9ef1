// Keeps the page of a portfolio fresh while it is at work: the page is fetched again, and its part
// takes the place of the old one. Without it the page loads itself again.
"use strict";

const EVERY_MS = 1000;
const REST_MS = 5000;

async function renew() {
  const old = document.getElementById("cartera");
  let pause = EVERY_MS;
  try {
    const reply = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (reply.status === 404 || reply.status === 401) {
      location.reload();
      return;
    }
    if (reply.ok) {
      const page = new DOMParser().parseFromString(await reply.text(), "text/html");
      const fresh = page.getElementById("cartera");
      if (fresh && fresh.innerHTML !== old.innerHTML) old.replaceWith(fresh);
      if (fresh && !fresh.hasAttribute("data-working")) return;
    } else {
      pause = REST_MS;
    }
  } catch {
    pause = REST_MS; // the service is away for a moment
  }
  setTimeout(renew, pause);
}

setTimeout(renew, EVERY_MS);
