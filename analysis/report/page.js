document.querySelectorAll("table").forEach(table => {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const number = head.dataset.numeric === "yes";
    const order = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (!number) return down ? x.localeCompare(y) : y.localeCompare(x);
      if (x === "" || y === "") return (x === "") - (y === "");
      return down ? y - x : x - y;
    };
    table.querySelectorAll("tbody").forEach(body =>
      [...body.querySelectorAll("tr:not(.group)")].sort(order).forEach(row => body.append(row)));
  }));
});

// Rows by words, blocks by metric, columns by condition: what is chosen stays, in every table.
const chosen = name => document.querySelector(`#filter [name=${name}]`).value;
const narrow = () => {
  const words = chosen("rows").toLowerCase().split(/\s+/).filter(Boolean);
  const [metric, condition] = [chosen("metric"), chosen("condition")];
  document.querySelectorAll("table").forEach(table => {
    table.querySelectorAll("tbody").forEach(body => {
      body.hidden = Boolean(metric && body.dataset.metric && body.dataset.metric !== metric);
      body.querySelectorAll("tr:not(.group)").forEach(row => {
        const text = row.cells[0].textContent.toLowerCase();
        row.hidden = !words.every(word => text.includes(word));
      });
    });
    [...table.querySelectorAll("thead th")].forEach((head, column) => {
      const own = head.dataset.condition;
      const hidden = Boolean(condition && own && own !== condition);
      head.hidden = hidden;
      table.querySelectorAll("tbody tr:not(.group)").forEach(row => {
        if (row.cells[column]) row.cells[column].hidden = hidden;
      });
    });
  });
};
const form = document.querySelector("#filter");
if (form) {
  form.addEventListener("input", narrow);
  form.addEventListener("submit", event => event.preventDefault());
  narrow();
}
