"""How the page of a report looks, and the few lines that sort its table."""

from __future__ import annotations

STYLE = """
:root { --ground: #fff; --text: #1c1f23; --faint: #626972; --line: #dde1e6; --link: #0072b2; --band: #f5f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #16181b; --text: #e4e6e9; --faint: #9aa2ab; --line: #33383e; --link: #56b4e9; --band: #1e2125; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
p { max-width: 44rem; margin: .5rem 0; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: .9rem 2rem; margin: 0; }
dt { color: var(--faint); font-size: .8rem; }
dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; max-height: 40rem; border: 1px solid var(--line); border-radius: 6px; width: fit-content;
  max-width: 100%; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .35rem .7rem; text-align: left; white-space: nowrap; vertical-align: top; }
thead th { position: sticky; top: 0; background: var(--band); font-weight: 600; }
tbody tr { border-top: 1px solid var(--line); }
tbody tr:hover { background: var(--band); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
th button { all: unset; cursor: pointer; }
th button:hover, th button:focus-visible { color: var(--link); text-decoration: underline; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
figure { margin: 0; }
img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 6px; padding: .5rem;
  border: 1px solid var(--line); }
figcaption, footer, .empty, summary { color: var(--faint); font-size: .9rem; }
figcaption { max-width: 44rem; margin-top: .5rem; }
pre { margin: 0; font: .8rem/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
details { margin-top: .75rem; }
details pre { margin-top: .5rem; }
footer { margin-top: 3rem; overflow-wrap: anywhere; }
@media print { .wide { max-height: none; overflow: visible; } }
"""

SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const key = (row) => {
      const cell = row.cells[column];
      return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
    };
    const rows = [...body.rows].sort((one, other) => {
      const a = key(one), b = key(other);
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
      return down ? -order : order;
    });
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  }));
}
"""
