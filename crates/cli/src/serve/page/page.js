"use strict";
(() => {
  const body = document.querySelector("tbody");
  if (!body) return;
  const states = [...document.querySelectorAll("button[data-state]")];
  const headings = [...document.querySelectorAll("button[data-sort]")];
  const search = document.querySelector("#search");
  const count = document.querySelector("output");
  const none = document.querySelector("#none");
  const rank = states.map((button) => button.dataset.state);
  const names = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  // Read once: querying a thousand rows at every key press would be slow.
  const rows = [...body.rows].map((element, order) => ({
    element,
    order,
    name: element.querySelector(".title").textContent,
    text: element.querySelector("th").textContent.toLowerCase(),
    state: element.dataset.state,
    expires: Number(element.dataset.expires),
  }));

  const orders = {
    name: (a, b) => names.compare(a.name, b.name),
    state: (a, b) => rank.indexOf(a.state) - rank.indexOf(b.state),
    expires: (a, b) => a.expires - b.expires,
  };

  let chosen = "";

  const filter = () => {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits = (!chosen || row.state === chosen) && row.text.includes(wanted);
      row.element.hidden = !fits;
      shown += fits;
    }
    none.hidden = shown > 0;
    count.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
  };

  const sort = (button) => {
    const heading = button.parentElement;
    const descending = heading.getAttribute("aria-sort") === "ascending";
    for (const other of headings) other.parentElement.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const order = orders[button.dataset.sort];
    const sign = descending ? -1 : 1;
    // Equal rows keep the order in which they expire.
    rows.sort((a, b) => sign * order(a, b) || a.order - b.order);
    body.append(...rows.map((row) => row.element));
  };

  for (const button of states) {
    button.disabled = false;
    button.addEventListener("click", () => {
      chosen = button.dataset.state;
      for (const other of states) other.setAttribute("aria-pressed", String(other === button));
      filter();
    });
  }
  for (const button of headings) {
    button.disabled = false;
    button.addEventListener("click", () => sort(button));
  }
  search.addEventListener("input", filter);
  search.parentElement.hidden = false;
  filter();
})();
