for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const number = head.classList.contains("number");
    const key = (row) => row.cells[column].dataset.key;
    const order = (a, b) => number ? Number(a) - Number(b) : a.localeCompare(b, undefined, {numeric: true});
    const rows = [...table.tBodies[0].rows];
    rows.sort((one, other) => {
      const [a, b] = [key(one), key(other)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return down ? -order(a, b) : order(a, b);
    });
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    table.tBodies[0].append(...rows);
  }));
}

const shown = document.getElementById("curve-name");
for (const curve of document.querySelectorAll("svg .curve")) {
  const line = curve.querySelector("path");
  if (line === null) continue;
  const wide = line.cloneNode(); // a thin line is hard to hit with a pointer
  wide.removeAttribute("id");
  wide.style.strokeWidth = 9;
  wide.style.stroke = "transparent";
  wide.style.strokeDasharray = "none"; // the gaps between dashes count too
  curve.append(wide);
  curve.addEventListener("pointermove", (event) => {
    shown.textContent = curve.dataset.name;
    shown.hidden = false;
    const left = Math.min(event.clientX + 12, innerWidth - shown.offsetWidth - 8);
    shown.style.transform = `translate(${Math.max(8, left)}px, ${event.clientY + 14}px)`;
  });
  curve.addEventListener("pointerleave", () => { shown.hidden = true; });
}

for (const button of document.querySelectorAll("button[data-hue]")) {
  button.addEventListener("click", () => {
    const visible = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", visible);
    for (const curve of document.querySelectorAll("svg .curve")) {
      if (curve.dataset.hue === button.dataset.hue) curve.style.display = visible ? "" : "none";
    }
  });
}
