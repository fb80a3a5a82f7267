/* Sorting, filtering and choosing a run; without it everything shows, unsorted. State can stand in the address:
   #sort=sequences:bits:descending&filter=sequences:K562&run=0 */
"use strict";
(() => {
  const page = document.documentElement;
  page.classList.add("js");
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v !== undefined ? cell.dataset.v : cell.textContent.trim();
  };
  const compare = (a, b) => {
    const missing = (a === "") - (b === "");
    if (missing) return { missing };
    const difference = a - b;
    return { order: Number.isNaN(difference) ? a.localeCompare(b, undefined, { numeric: true }) : difference };
  };

  function sort(table, column, direction) {
    const body = table.tBodies[0];
    const sign = direction === "descending" ? -1 : 1;
    const rows = [...body.rows].map((row) => [value(row, column), row]);
    // What has no value comes last in both directions.
    rows.sort(([a], [b]) => { const c = compare(a, b); return c.missing || sign * c.order; });
    body.append(...rows.map(([, row]) => row));
    for (const head of table.tHead.rows[0].cells) head.removeAttribute("aria-sort");
    table.tHead.rows[0].cells[column].setAttribute("aria-sort", direction);
  }

  function filter(table) {
    const words = tools(table, "input").flatMap((box) => box.value.toLowerCase().split(/\s+/).filter(Boolean));
    const exact = tools(table, "select").filter((box) => box.value !== "");
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      const keep = words.every((word) => text.includes(word)) &&
        exact.every((box) => value(row, columnOf(table, box.dataset.column)) === box.value);
      row.hidden = !keep;
      shown += keep;
    }
    for (const note of tools(table, "output")) note.textContent = `${shown} of ${table.tBodies[0].rows.length} rows`;
  }

  const tools = (table, kind) => [...document.querySelectorAll(`[data-for="${table.id}"] ${kind}`)];
  const columnOf = (table, name) => [...table.tHead.rows[0].cells].findIndex((head) => head.dataset.column === name);

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () =>
        sort(table, column, head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending"));
    });
    for (const box of tools(table, "select")) {
      const column = columnOf(table, box.dataset.column);
      const values = new Set([...table.tBodies[0].rows].map((row) => value(row, column)));
      box.append(...[...values].sort().map((text) => new Option(text, text)));
      box.closest("label").hidden = values.size < 2;
      box.addEventListener("change", () => filter(table));
    }
    for (const box of tools(table, "input")) box.addEventListener("input", () => filter(table));
    filter(table);
  }

  const chooser = document.getElementById("run");
  function chooseRun(number) {
    for (const part of document.querySelectorAll(".run")) part.hidden = part.dataset.run !== String(number);
    chooser.value = String(number);
  }
  if (chooser) {
    chooser.addEventListener("change", () => chooseRun(chooser.value));
    chooseRun(0);
  }

  document.getElementById("download")?.addEventListener("click", () => {
    const rows = [...document.getElementById("sequences").tBodies[0].rows].filter((row) => !row.hidden);
    const fasta = rows.map((row) => row.dataset.fasta + "\n" + row.querySelector(".seq").textContent.trim() + "\n").join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([fasta], { type: "text/plain" }));
    link.download = "sequences.fasta";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  // What is folded away on a screen must be there on paper.
  addEventListener("beforeprint", () => document.querySelectorAll("details.print").forEach((part) => { part.open = true; }));

  function fromAddress() {
    for (const [kind, text] of new URLSearchParams(location.hash.slice(1))) {
      const [id, name, more] = text.split(":");
      if (kind === "run" && chooser) chooseRun(id);
      const table = document.getElementById(id);
      if (kind === "sort" && table) sort(table, columnOf(table, name), more || "ascending");
      if (kind === "filter" && table) { tools(table, "input")[0].value = name; filter(table); }
    }
  }
  addEventListener("hashchange", fromAddress);
  fromAddress();
})();
