"use strict";
// The page is complete without this: it only toggles series, shows values, sorts tables, picks an ε.

document.querySelectorAll(".legend button").forEach((button) => {
  button.disabled = false;
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    const figure = button.closest("figure");
    const off = (of) =>
      [...figure.querySelectorAll(`button[data-of="${of}"][aria-pressed="false"]`)].map((b) => b.dataset.name);
    const networks = off("network");
    const kinds = off("kind");
    figure.querySelectorAll(".series, .band").forEach((group) => {
      const hide = networks.includes(group.dataset.network) || kinds.includes(group.dataset.kind);
      group.toggleAttribute("hidden", hide);
    });
  });
});

const tip = document.getElementById("tip");
document.querySelectorAll(".hit").forEach((disc) => {
  const text = disc.textContent;
  disc.replaceChildren(); // its own title would show a second time
  disc.addEventListener("pointerenter", (event) => {
    tip.textContent = text;
    tip.hidden = false;
    const left = Math.min(event.clientX + 12, window.innerWidth - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${Math.max(8, event.clientY - tip.offsetHeight - 12)}px`;
  });
  disc.addEventListener("pointerleave", () => { tip.hidden = true; });
});

const numberIn = (cell) => {
  if (cell.dataset.sort !== undefined) return Number(cell.dataset.sort);
  const text = cell.textContent.replace(/\s/g, "");
  const found = text.match(/^[>+<-]?(\d+(\.\d+)?)/);
  if (!found) return NaN;
  // "> 0.3" lies beyond every 0.3 that was reached
  return text.startsWith("-") ? -Number(found[1]) : Number(found[1]) + (text.startsWith(">") ? 1e-9 : 0);
};
document.querySelectorAll("table.sortable thead th").forEach((head) => {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const column = head.cellIndex;
    const up = head.getAttribute("aria-sort") !== "ascending";
    head.parentElement.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    for (const body of head.closest("table").tBodies) {
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [a.cells[column], b.cells[column]];
        const [p, q] = [numberIn(x), numberIn(y)];
        const order = isNaN(p) || isNaN(q) ? x.textContent.localeCompare(y.textContent) : p - q;
        return up ? order : -order;
      });
      body.append(...rows);
    }
  });
});

document.querySelectorAll(".picker").forEach((picker) => {
  const input = picker.querySelector("input");
  const table = document.getElementById(input.dataset.table);
  const bodies = [...table.tBodies];
  picker.hidden = false;
  const show = () => {
    const eps = bodies[Number(input.value)].dataset.eps;
    bodies.forEach((body) => { body.hidden = body.dataset.eps !== eps; });
    picker.querySelector("output").textContent = eps;
    table.querySelector(".picked").textContent = eps;
    input.setAttribute("aria-valuetext", `ε = ${eps}`);
  };
  input.addEventListener("input", show);
  show();
});

window.addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
});
