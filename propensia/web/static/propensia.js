// Adds a copy button under each box; the pages do everything else, and this too by hand, without it.
"use strict";

for (const box of document.querySelectorAll("textarea[data-copy]")) {
  const button = document.createElement("button");
  const said = document.createElement("span");
  button.type = "button";
  button.className = "copy";
  button.textContent = box.dataset.copy;
  button.setAttribute("aria-label", `${box.dataset.copy}: ${box.labels[0].textContent}`);
  said.setAttribute("role", "status");
  said.className = "copy-said";
  button.addEventListener("click", async () => {
    said.textContent = (await copied(box)) ? box.dataset.copied : box.dataset.failed;
  });
  box.after(button, said);
}

// The clipboard interface exists only on https and localhost; an intranet is neither.
async function copied(box) {
  try {
    await navigator.clipboard.writeText(box.value);
    return true;
  } catch {
    box.focus();
    box.select();
    return document.execCommand("copy");
  }
}
