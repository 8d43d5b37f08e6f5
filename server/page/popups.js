// Menus and pop-ups (<details data-popup>): Escape, a press elsewhere, or the focus leaving closes them.

export function watchPopups() {
  for (const name of ["pointerdown", "focusin"]) {
    document.addEventListener(name, (event) => {
      for (const popup of open()) if (!popup.contains(event.target)) popup.open = false;
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const popup of open()) {
      popup.open = false;
      popup.querySelector("summary").focus();
    }
  });
}

function open() {
  return document.querySelectorAll("details[data-popup][open]");
}
